"""Loss and accuracy on held-out data, and when to stop because they no longer improve."""

from typing import final

import attrs
import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.errors import NumericalError
from manifoldnet.learning.history import Record
from manifoldnet.learning.state import Best
from manifoldnet.learning.stream import Data


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
    """Scores parameters on the held-out data, where there are some, every so many steps."""

    def __init__(self, program: Program, data: Data, patience: int | None, every: int) -> None:
        self._program, self._every, self.patience = program, every, patience
        self._data = None if data.validation is None else program.prepare(*data.validation)

    def is_due(self, step: int, last: bool) -> bool:
        return self._data is not None and (last or step % self._every == 0)

    def exhausted(self, best: Best) -> bool:
        """Whether so many scores were worse that training stops."""
        return self.patience is not None and best.worse >= self.patience

    @numpy.errstate(over="ignore", divide="ignore", invalid="ignore")
    def judged(self, record: Record, best: Best, theta: Parameters) -> tuple[Record, Best]:
        """The record with its score, and the best parameters, these ones among them."""
        assert self._data is not None
        try:
            found = score(Run(self._program, theta, *self._data, None))
        except NumericalError:
            # a loss that there is not counts as the worst one
            found = Score(numpy.inf, None)
        worse = attrs.evolve(best, worse=best.worse + 1)
        best = Best(found.loss, theta, record.step, 0) if found.loss < best.loss else worse
        return attrs.evolve(record, validation_loss=found.loss, accuracy=found.accuracy), best
