"""Rows: the covectors whose squares sum to a metric, as the three families of definitions give them."""

import abc
from collections.abc import Mapping
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.data import Streams, Targets
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import RowsRecipe
from manifoldnet.compiler.stage import DiagonalRows
from manifoldnet.compiler.trace import OutputReading, Trace
from manifoldnet.declare.interpretations.interpretation import Factor, Score


@final
@attrs.frozen(eq=False)
class Seeds:
    """k covectors for each sample, on output numbers and on output parameters, by interpretation."""

    outputs: Mapping[str, NDArray | DiagonalRows]
    parameters: Mapping[str, NDArray]


class Rows(abc.ABC):
    """Where the rows of a metric come from."""

    needs_targets: bool
    needs_rng: bool

    @abc.abstractmethod
    def seeds(self, trace: Trace, targets: Targets, streams: Streams) -> Seeds:
        """The rows at the outputs, to be pulled back; their squares sum to the metric of one sample."""

    @property
    def recipe(self) -> RowsRecipe | None:
        """The same as plain data, which compiled backends read; None where there is none, and `autograd` alone computes it."""
        return None

    @abc.abstractmethod
    def count(self, program: Program) -> int:
        """How many rows there are for each sample."""


@final
@attrs.frozen
class FisherRows(Rows):
    """Omega^(1/2) domega: one row for each output number or so (definition 19, eqs. 65-66)."""

    needs_targets: bool = attrs.field(default=False, init=False)
    needs_rng: bool = attrs.field(default=False, init=False)

    @property
    def recipe(self) -> RowsRecipe:
        return RowsRecipe("fisher")

    def seeds(self, trace: Trace, targets: Targets, streams: Streams) -> Seeds:
        factors = {name: reading.factor() for name, reading in trace.readings.items()}
        total = sum(factor.rows for factor in factors.values())
        outputs: dict[str, NDArray | DiagonalRows] = {}
        parameters, start = {}, 0
        for name, factor in factors.items():
            # several interpretations side by side: their contributions add, so each has rows of its own
            outputs[name] = _among_all(factor, start, total)
            if factor.parameters is not None:
                parameters[name] = _among(factor.parameters, start, total)
            start += factor.rows
        return Seeds(outputs, parameters)

    def count(self, program: Program) -> int:
        counts = program.output_counts()
        return sum(o.interpretation.rank(counts[o.name]) for o in program.declaration.outputs)


def _among_all(factor: Factor, start: int, total: int) -> NDArray | DiagonalRows:
    if factor.is_diagonal:
        assert factor.diagonal is not None
        return DiagonalRows(factor.diagonal, start, total)
    return _among(factor.outputs, start, total)


def _among(rows: NDArray, start: int, total: int) -> NDArray:
    if len(rows) == total:
        return rows
    placed = numpy.zeros((total, *rows.shape[1:]))
    placed[start : start + len(rows)] = rows
    return placed


@final
@attrs.frozen
class OuterProductRows(Rows):
    """dl: the differential of each sample's loss on its true target (eq. 61)."""

    needs_targets: bool = attrs.field(default=True, init=False)
    needs_rng: bool = attrs.field(default=False, init=False)

    @property
    def recipe(self) -> RowsRecipe:
        return RowsRecipe("targets")

    def seeds(self, trace: Trace, targets: Targets, streams: Streams) -> Seeds:
        scores = {name: [reading.score(targets[name])] for name, reading in trace.readings.items()}
        return _stacked(scores, 1.0)

    def count(self, program: Program) -> int:
        return 1


def _at_least_one(instance: object, attribute: attrs.Attribute, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | numpy.integer) or value < 1:
        raise ValueError(f"samples= is how many targets are drawn for each input, at least 1; received {value!r}")


@final
@attrs.frozen
class MonteCarloRows(Rows):
    """dl on K targets drawn afresh from omega (eq. 100)."""

    samples: int = attrs.field(default=1, validator=_at_least_one)
    needs_targets: bool = attrs.field(default=False, init=False)
    needs_rng: bool = attrs.field(default=True, init=False)

    @property
    def recipe(self) -> RowsRecipe:
        return RowsRecipe("drawn", int(self.samples))

    def seeds(self, trace: Trace, targets: Targets, streams: Streams) -> Seeds:
        scores = {name: _drawn(reading, streams[name], self.samples) for name, reading in trace.readings.items()}
        return _stacked(scores, 1.0 / numpy.sqrt(self.samples))

    def count(self, program: Program) -> int:
        return self.samples


def _drawn(reading: OutputReading, rng: numpy.random.Generator, draws: int) -> list[Score]:
    return [reading.score(targets) for targets in reading.sample(rng, draws)]


def _stacked(scores: Mapping[str, list[Score]], weight: float) -> Seeds:
    outputs = {name: weight * numpy.stack([s.outputs for s in found]) for name, found in scores.items()}
    parameters = {
        name: weight * numpy.stack([s.parameters for s in found if s.parameters is not None])
        for name, found in scores.items()
        if found[0].parameters is not None
    }
    return Seeds(outputs, parameters)
