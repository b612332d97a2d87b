"""Metrics that claim to be what they are not, for tests that must catch them."""

from typing import final

import attrs
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.tensor import MetricTensor


@final
@attrs.frozen
class NotIntrinsic(MetricRule):
    """The identity in the coordinates at hand, which says nothing of being a control."""

    @property
    def name(self) -> str:
        return "claimed"

    def evaluate(self, run: Run) -> MetricTensor:
        return Diagonal(numpy.ones(run.size))

    def memory(self, program: Program, samples: int) -> int:
        return 8 * program.tangent_layout.size
