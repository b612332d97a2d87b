"""The identity in the coordinates at hand: plain backpropagation. NOT invariant."""

from typing import final

import attrs
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import MetricRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.tensor import MetricTensor


@final
@attrs.frozen
class Euclidean(MetricRule):
    """Id, whose gradient is the vector of partial derivatives (eq. 12)."""

    @property
    def name(self) -> str:
        return "euclidean"

    @property
    def recipe(self) -> MetricRecipe | None:
        return MetricRecipe("identity")

    def evaluate(self, run: Run) -> MetricTensor:
        return Diagonal(numpy.ones(run.size))

    def memory(self, program: Program, samples: int) -> int:
        # ones, and the direction beside the gradient
        return program.pass_bytes(samples) + 3 * 8 * program.tangent_layout.size
