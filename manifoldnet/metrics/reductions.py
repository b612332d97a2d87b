"""Reductions of unitwise metrics: quasi-diagonal (definition 23) and diagonal."""

from functools import cached_property
from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import MetricRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.accumulate import diagonal_tensor, quasi_diagonal_tensor
from manifoldnet.metrics.memory import diagonal_memory, quasi_diagonal_memory
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.unitwise_rules import (
    UnitwiseMonteCarloNatural,
    UnitwiseNatural,
    UnitwiseOuterProduct,
    UnitwiseRule,
)


def unitwise(metric: MetricRule) -> UnitwiseRule:
    """The rule whose blocks a reduction keeps: a unitwise one itself, or the blocks of a whole one."""
    if isinstance(metric, UnitwiseRule):
        return metric
    if isinstance(metric, Natural):
        return UnitwiseNatural()
    if isinstance(metric, OuterProduct):
        return UnitwiseOuterProduct()
    if isinstance(metric, MonteCarloNatural):
        return UnitwiseMonteCarloNatural(metric.samples)
    raise TypeError(f"a reduction takes a unitwise metric such as mn.Backpropagated(), received {metric!r}")


@final
@attrs.frozen
class QuasiDiagonal(MetricRule):
    """The quasi-diagonal reduction of a unitwise metric (section 2.3, definition 23).

    Units that are not affine, and output parameters, keep their full block.
    """

    metric: UnitwiseRule = attrs.field(converter=unitwise)

    @cached_property
    def name(self) -> str:
        return f"quasi-diagonal-{_short(self.metric)}"

    @property
    def needs_targets(self) -> bool:
        return self.metric.needs_targets

    @property
    def needs_rng(self) -> bool:
        return self.metric.needs_rng

    @property
    def recipe(self) -> MetricRecipe | None:
        return MetricRecipe.of("quasi", self.metric.modulus.recipe)

    def evaluate(self, run: Run) -> MetricTensor:
        return quasi_diagonal_tensor(self.metric.modulus, run, self.name)

    def memory(self, program: Program, samples: int) -> int:
        return quasi_diagonal_memory(self.metric.modulus, program, samples)


@final
@attrs.frozen
class Diagonal(MetricRule):
    """The diagonal of a unitwise metric: diagonal Gauss-Newton is that of the backpropagated one. NOT invariant."""

    metric: UnitwiseRule = attrs.field(converter=unitwise)

    @property
    def name(self) -> str:
        short = _short(self.metric)
        return "diagonal-gauss-newton" if short == "backpropagated" else f"diagonal-{short}"

    @property
    def needs_targets(self) -> bool:
        return self.metric.needs_targets

    @property
    def needs_rng(self) -> bool:
        return self.metric.needs_rng

    @property
    def recipe(self) -> MetricRecipe | None:
        return MetricRecipe.of("diagonal", self.metric.modulus.recipe)

    def evaluate(self, run: Run) -> MetricTensor:
        return diagonal_tensor(self.metric.modulus, run)

    def memory(self, program: Program, samples: int) -> int:
        return diagonal_memory(self.metric.modulus, program, samples)


def _short(metric: UnitwiseRule) -> str:
    return metric.name.removeprefix("unitwise-")
