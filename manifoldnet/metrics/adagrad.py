"""AdaGrad as the paper's section 4 ran it, for comparison. NOT invariant."""

from typing import final

import attrs
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import MetricRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.accumulate import diagonal_tensor
from manifoldnet.metrics.memory import diagonal_memory
from manifoldnet.metrics.rows import OuterProductRows
from manifoldnet.metrics.unitwise import SquaredRows


@final
@attrs.frozen
class AdaGrad(MetricRule):
    """The root mean square over samples of each component of the gradient, as a diagonal (section 4)."""

    @property
    def name(self) -> str:
        return "adagrad"

    @property
    def needs_targets(self) -> bool:
        return True

    @property
    def recipe(self) -> MetricRecipe | None:
        return MetricRecipe("root", SquaredRows(OuterProductRows()).recipe)

    def evaluate(self, run: Run) -> MetricTensor:
        squares = diagonal_tensor(SquaredRows(OuterProductRows()), run)
        return Diagonal(numpy.sqrt(squares.diagonal()))

    def memory(self, program: Program, samples: int) -> int:
        rule = SquaredRows(OuterProductRows())
        return diagonal_memory(rule, program, samples)
