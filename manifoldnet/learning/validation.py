"""Loss and accuracy on held-out data, and when to stop because they no longer improve."""

from typing import final

import attrs
import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.history import Record


@final
@attrs.frozen
class Score:
    """The average loss in nats, and the fraction of right answers where the interpretations have answers."""

    loss: float
    accuracy: float | None


def score(run: Run) -> Score:
    """Loss and accuracy of a network on the batch of a run."""
    right: list[float] = []
    points, targets = run.outputs(), run.targets or {}
    for output in run.program.declaration.outputs:
        answers = output.interpretation.answers(points[output.name])
        if answers is not None:
            right.extend((answers == targets[output.name]).reshape(-1))
    return Score(run.loss, float(numpy.mean(right)) if right else None)


@final
class Validation:
    """Keeps the best parameters seen on the held-out data; `exhausted` after `patience` scores without a better one."""

    def __init__(self, program: Program, data: Dataset, patience: int | None) -> None:
        self._program, self._patience = program, patience
        self._data = None if data.validation is None else program.prepare(*data.validation)
        self._best: tuple[float, Parameters | None] = (numpy.inf, None)
        self._worse = 0

    @property
    def available(self) -> bool:
        return self._data is not None

    @property
    def exhausted(self) -> bool:
        return self._patience is not None and self._worse >= self._patience

    def score(self, theta: Parameters) -> Score:
        """Score parameters and remember the best."""
        assert self._data is not None
        found = score(Run(self._program, theta, *self._data, None))
        if found.loss < self._best[0]:
            self._best, self._worse = (found.loss, theta), 0
        else:
            self._worse += 1
        return found

    def best(self, last: Parameters) -> Parameters:
        """The best parameters if training may stop early, else the last."""
        if self._patience is None or self._best[1] is None:
            return last
        return self._best[1]


def validated(record: Record, validation: Validation, theta: Parameters, last: bool, every: int = 10) -> Record:
    """The record with the validation score of this step, taken every so many steps and at the last."""
    if not validation.available or not (last or record.step % every == 0):
        return record
    found = validation.score(theta)
    return attrs.evolve(record, validation_loss=found.loss, accuracy=found.accuracy)
