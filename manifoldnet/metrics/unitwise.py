"""Metrics made of one modulus a unit: blocks, and what the reductions keep of them."""

import abc
from typing import final

import attrs
from numpy.typing import NDArray

from manifoldnet.compiler.data import Streams, Targets
from manifoldnet.compiler.passes import pull_back_moduli, pull_back_squares
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import ModulusRecipe
from manifoldnet.compiler.trace import Trace
from manifoldnet.metrics.rows import FisherRows, Rows, Seeds


@final
@attrs.frozen(eq=False)
class Moduli:
    """The modulus of every unit on every sample, in inner coordinates, stage by stage.

    `parameters` holds rows on output parameters, (k, samples, p), for the interpretations that have some.
    """

    stages: tuple[NDArray, ...]
    parameters: dict[str, NDArray]


class ModulusRule(abc.ABC):
    """How a unitwise metric measures the activity of a unit."""

    needs_targets: bool
    needs_rng: bool

    @abc.abstractmethod
    def moduli(self, trace: Trace, targets: Targets, streams: Streams) -> Moduli:
        """The moduli of all units on a chunk."""

    @property
    def recipe(self) -> ModulusRecipe | None:
        """The same as plain data, which compiled backends read; None where there is none, and `autograd` alone computes it."""
        return None

    @abc.abstractmethod
    def rows(self, program: Program) -> int:
        """How many covectors it pulls back for each sample."""


@final
@attrs.frozen
class SquaredRows(ModulusRule):
    """Contributions to a unit are added BEFORE squaring: Fisher modulus and its relatives (eqs. 14-17, 66)."""

    source: Rows

    @property
    def needs_targets(self) -> bool:  # type: ignore[override]
        return self.source.needs_targets

    @property
    def needs_rng(self) -> bool:  # type: ignore[override]
        return self.source.needs_rng

    @property
    def recipe(self) -> ModulusRecipe | None:
        rows = self.source.recipe
        return None if rows is None else ModulusRecipe(rows)

    def moduli(self, trace: Trace, targets: Targets, streams: Streams) -> Moduli:
        seeds = self.source.seeds(trace, targets, streams)
        return Moduli(tuple(pull_back_squares(trace, seeds.outputs)), dict(seeds.parameters))

    def rows(self, program: Program) -> int:
        return self.source.count(program)


@final
@attrs.frozen
class PropagatedModulus(ModulusRule):
    """Contributions to a unit are added AFTER squaring: the backpropagated modulus (eqs. 26-27, 76)."""

    needs_targets: bool = attrs.field(default=False, init=False)
    needs_rng: bool = attrs.field(default=False, init=False)

    @property
    def recipe(self) -> ModulusRecipe:
        return ModulusRecipe(None)

    def moduli(self, trace: Trace, targets: Targets, streams: Streams) -> Moduli:
        parameters: dict[str, NDArray] = {}
        if trace.lowered.output_groups:
            seeds: Seeds = FisherRows().seeds(trace, targets, streams)
            parameters = dict(seeds.parameters)
        return Moduli(tuple(pull_back_moduli(trace)), parameters)

    def rows(self, program: Program) -> int:
        return 1
