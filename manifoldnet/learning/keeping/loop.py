"""Training that loses nothing: steps one after another, with what a run directory needs written as they come."""

from collections.abc import Callable, Iterator
from typing import final

import attrs

from manifoldnet.errors import ManifoldNetError
from manifoldnet.learning.history import Record
from manifoldnet.learning.keeping.directory import RunDirectory
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Trainer
from manifoldnet.learning.worsened import Worsened

# A checkpoint takes some milliseconds: writing one so often costs nothing that one would notice.
CHECKPOINT_SECONDS = 15.0


@final
@attrs.define(eq=False)
class Kept:
    """Training with or without a directory: where it stands after each step, and a last checkpoint however it ends.

    `stop()` is asked after every step. Where a step raises, the state before it is saved and the error passes. Once
    training has ended or was stopped, `worsened` tells whether it ended worse than it began.
    """

    trainer: Trainer
    state: State
    directory: RunDirectory | None = None
    every: float = CHECKPOINT_SECONDS
    stop: Callable[[], bool] = lambda: False
    interrupted: bool = False
    worsened: Worsened | None = None
    _losses: list[float] = attrs.field(factory=list, init=False)

    def records(self) -> Iterator[Record]:
        """The records of the steps from `state` on."""
        if self.directory is not None and self.state.step == 0:
            self.directory.save(self.trainer, self.state)
        if self.directory is not None:
            self._losses.extend(self.directory.history.column("loss"))
        told = False
        try:
            while self.state.ended is None and not self.interrupted:
                record = self._step()
                told = record is not None and self.state.ended is not None
                if record is not None:
                    yield record
                self.interrupted = self.stop()
        except (ManifoldNetError, KeyboardInterrupt):
            self._save()
            raise
        if not told:
            self.worsened = self.trainer.worsened(self.state, self._losses)
        self._save()

    def _step(self) -> Record | None:
        state, record = self.trainer.step(self.state)
        if record is not None:
            self._losses.append(record.loss)
            if state.ended is not None:
                self.worsened = self.trainer.worsened(state, self._losses)
                record = attrs.evolve(record, remark=self.worsened and str(self.worsened))
        if self.directory is not None and record is not None:
            self.directory.append(record)
        # from here on the step has been taken, its record written
        self.state = state
        if self.directory is not None and self.directory.seconds_since_saved() >= self.every:
            self.directory.save(self.trainer, state)
        return record

    def _save(self) -> None:
        if self.directory is not None:
            self.directory.save(self.trainer, self.state)
