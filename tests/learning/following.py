"""Following a trainer, as several tests do."""

import attrs

from manifoldnet.learning.history import Record
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Trainer


def followed(trainer: Trainer, state: State, steps: int = 10**9) -> tuple[State, list[Record]]:
    """So many steps from a state on, and their records without the seconds."""
    records = []
    for _ in range(steps):
        if state.ended is not None:
            break
        state, record = trainer.step(state)
        if record is not None:
            records.append(attrs.evolve(record, seconds=0.0))
    return state, records
