"""The abstract metric rule: compiled with a network and evaluated at a point, it gives a metric tensor."""

import abc
from typing import TYPE_CHECKING

from manifoldnet.compiler.recipes import MetricRecipe
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor

if TYPE_CHECKING:
    from manifoldnet.compiler.program import Program


class MetricRule(abc.ABC):
    """A rule that assigns a metric on parameter space to any network."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name by which the command line knows it."""

    @property
    def needs_targets(self) -> bool:
        """Whether it is made of losses on true targets."""
        return False

    @property
    def needs_rng(self) -> bool:
        """Whether it draws targets."""
        return False

    @property
    def recipe(self) -> MetricRecipe | None:
        """The same as plain data, from which backends compile whole steps; None where they cannot."""
        return None

    @abc.abstractmethod
    def evaluate(self, run: Run) -> MetricTensor:
        """The tensor, averaged over the samples of `run`."""

    @abc.abstractmethod
    def memory(self, program: "Program", samples: int) -> int:
        """The predicted size in bytes of the tensor and its workspace on so many samples."""
