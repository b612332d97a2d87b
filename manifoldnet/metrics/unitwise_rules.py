"""The unitwise metrics: one block for each unit (definitions 4, 8, 13; propositions 21, 22)."""

import abc
from functools import cached_property
from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import MetricRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.accumulate import block_tensor
from manifoldnet.metrics.memory import block_memory
from manifoldnet.metrics.rows import FisherRows, MonteCarloRows, OuterProductRows
from manifoldnet.metrics.unitwise import ModulusRule, PropagatedModulus, SquaredRows


class UnitwiseRule(MetricRule):
    """E_x (da_k/dtheta_k)^T m_k (da_k/dtheta_k) for each unit, with the modulus m_k of one rule (remark 18)."""

    @property
    @abc.abstractmethod
    def modulus(self) -> ModulusRule:
        """How the activities of a unit are measured."""

    @property
    @final
    def needs_targets(self) -> bool:
        return self.modulus.needs_targets

    @property
    @final
    def needs_rng(self) -> bool:
        return self.modulus.needs_rng

    @property
    @final
    def recipe(self) -> MetricRecipe | None:
        return MetricRecipe.of("block", self.modulus.recipe)

    @final
    def evaluate(self, run: Run) -> MetricTensor:
        return block_tensor(self.modulus, run, self.name)

    @final
    def memory(self, program: Program, samples: int) -> int:
        return block_memory(self.modulus, program, samples)


@final
@attrs.frozen
class UnitwiseNatural(UnitwiseRule):
    """The diagonal blocks of the natural metric, from the Fisher modulus (eqs. 18, 70)."""

    @property
    def name(self) -> str:
        return "unitwise-natural"

    @cached_property
    def modulus(self) -> ModulusRule:
        return SquaredRows(FisherRows())


@final
@attrs.frozen
class Backpropagated(UnitwiseRule):
    """The backpropagated metric, from a modulus computed in one backward pass (eqs. 28, 78)."""

    @property
    def name(self) -> str:
        return "backpropagated"

    @cached_property
    def modulus(self) -> ModulusRule:
        return PropagatedModulus()


@final
@attrs.frozen
class UnitwiseOuterProduct(UnitwiseRule):
    """The diagonal blocks of the outer product metric (eq. 63)."""

    @property
    def name(self) -> str:
        return "unitwise-outer-product"

    @property
    def modulus(self) -> ModulusRule:
        return SquaredRows(OuterProductRows())


@final
@attrs.frozen
class UnitwiseMonteCarloNatural(UnitwiseRule):
    """The diagonal blocks of the Monte Carlo natural metric with K drawn targets (eq. 100)."""

    samples: int = attrs.field(default=1, validator=lambda _, __, value: MonteCarloRows(value) and None)

    @property
    def name(self) -> str:
        return "unitwise-monte-carlo-natural"

    @property
    def modulus(self) -> ModulusRule:
        return SquaredRows(MonteCarloRows(self.samples))
