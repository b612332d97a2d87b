"""The affine stage: phi(bias + weights . readings), with derivatives in closed form."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import attrs
import numpy
import scipy.sparse
from numpy.typing import NDArray

from manifoldnet.compiler.affine_products import Products
from manifoldnet.compiler.columns import ColumnSource, ParentBlocks
from manifoldnet.compiler.once import once
from manifoldnet.compiler.rates import IDENTITY, Rate, rate_of_matrix
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.compiler.stage import (
    Contribution,
    DiagonalRows,
    Linearisation,
    Points,
    Reading,
    Slot,
    Stage,
    rows_are_last,
)
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.declare.links import Link, keeps_to
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.units import Units


@final
@attrs.frozen(eq=False, slots=False)
class AffineStage(Stage):
    """Affine units that share a link, a manifold and charts.

    `dense` says that all units read the same columns in the same order.
    """

    slots: tuple[Slot, ...]
    stored: Units
    group: Units
    link: Link
    space: ActivitySpace
    sources: tuple[ColumnSource, ...]
    blocks: tuple[ParentBlocks, ...]
    preactivation_scale: NDArray
    preactivation_shift: NDArray
    dense: bool

    @cached_property
    def inner_dim(self) -> int:  # type: ignore[override]
        return self.space.dim

    @cached_property
    def parent_layers(self) -> tuple[str, ...]:
        return tuple(parent.layer for parent in self.sources)

    @cached_property
    def columns(self) -> int:
        return self.sources[-1].stop

    @cached_property
    def is_scalar(self) -> bool:
        """Whether pre-activations and what is read all have one dimension (q = e = 1)."""
        return self.inner_dim == 1 and len(self.blocks) == 1 and self.blocks[0].columns.shape[2] == 1

    @property
    def shares_reads(self) -> bool:
        """Whether all units read the same scalars in the same order."""
        return self.is_scalar and self.dense

    @cached_property
    def is_plain_reader(self) -> bool:
        """Whether all it reads is one whole layer of scalars in its own coordinates."""
        (source, *others) = self.sources
        return not others and source.is_whole and source.is_scalar

    @cached_property
    def order(self) -> NDArray[numpy.int_] | None:
        """For dense scalar stages the columns in the order of the weights; None if that is their own order."""
        order = self.blocks[0].columns[0, :, 0]
        return None if numpy.array_equal(order, numpy.arange(self.columns)) else order

    @cached_property
    def run(self) -> slice | None:
        """Where the parameters stand in the flat vector if they are the weight matrix as it is, unit after unit."""
        start = self.stored.start
        if start is None or not self.shares_reads or self.order is not None:
            return None
        return slice(start, start + self.stored.index.size)

    def linearise(
        self, theta: NDArray, points: Points, weights: tuple[Any, NDArray] | None = None
    ) -> "AffineLinearisation":
        """`weights` are the matrix (columns, units * q) and the biases, where they have been gathered already."""
        layer = self._layer_as_it_is
        design = self._design(points) if layer is None else points[layer][..., 0]
        matrix, bias = self.weights(theta) if weights is None else weights
        preactivation = design @ matrix
        preactivation += bias
        values = preactivation.reshape(self._inner_shape)
        if not self._plain_preactivation:
            values = self._preactivation(values)
        return AffineLinearisation(self, points, design, matrix, values)

    def _design(self, points: Points) -> NDArray:
        """All that its units read, (samples, columns)."""
        read = [source.reading(points) for source in self.sources]
        return read[0] if len(read) == 1 else numpy.concatenate(read, axis=1)

    @cached_property
    def _layer_as_it_is(self) -> str | None:
        """The layer whose points are all it reads, number by number; None if it reads anything else."""
        return self.sources[0].layer if self.is_plain_reader and self.sources[0].is_as_it_is else None

    def weights(self, theta: NDArray) -> tuple[NDArray, NDArray]:
        """The weight matrix (columns, units * q), zero where units are not linked, and the biases (units * q,)."""
        if self.run is not None:
            table = theta[self.run].reshape(self.units, -1)
            return table[:, 1:].T, table[:, 0]
        padded = numpy.append(theta, 0.0)
        matrix = self.matrix([padded[positions] for positions in self.stored.parents])
        return matrix, theta[self.stored.bias].reshape(-1)

    def matrix(self, parts: Sequence[NDArray]) -> NDArray:
        """Weights (units, parents, e * q) of each block as one matrix (columns, units * q)."""
        matrix = numpy.zeros((self.columns + 1) * self.units * self.inner_dim)
        for block, part in zip(self.blocks, parts, strict=True):
            matrix[block.cells] = part
        return matrix[: self.columns * self.units * self.inner_dim].reshape(self.columns, -1)

    def _preactivation(self, coordinates: NDArray) -> NDArray:
        """The pre-activation itself, (samples, units, q), from its chart's coordinates."""
        return (coordinates - self.preactivation_shift) @ numpy.linalg.inv(self.preactivation_scale).T

    @cached_property
    def _inner_shape(self) -> tuple[int, int, int]:
        return -1, self.units, self.inner_dim

    @cached_property
    def _plain_preactivation(self) -> bool:
        identity = numpy.eye(self.inner_dim)
        return numpy.array_equal(self.preactivation_scale, identity) and not self.preactivation_shift.any()

    @cached_property
    def preactivation_rate(self) -> Rate | None:
        """d pre-activation/d its chart's coordinates, None for the identity."""
        if self._plain_preactivation:
            return None
        return rate_of_matrix(numpy.linalg.inv(self.preactivation_scale))

    @cached_property
    def log_odds_rate(self) -> Rate:
        """d log-odds/d pre-activation, for a link that has it."""
        slope = self.link.log_odds_slope
        return IDENTITY if slope == 1.0 else Rate(numpy.full((1, 1, 1), slope), True)

    @cached_property
    def fills_image(self) -> bool:
        """Whether activities live on the very manifold that the link maps onto."""
        return self.space.manifold == self.link.image(self.inner_dim)

    @cached_property
    def may_leave(self) -> bool:  # type: ignore[override]
        return not keeps_to(self.link, self.space.manifold)

    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        return None

    def bytes_per_sample(self) -> int:
        # what one whole layer of scalars is read from is that layer itself
        copied = 0 if self._layer_as_it_is else self.columns
        # pre-activations, activities and their derivatives
        return 8 * (copied + self.units * self.inner_dim * (2 + self.inner_dim))

    def pull_bytes_per_sample(self) -> int:
        copies = 1 if self.is_plain_reader else 2
        return 8 * (copies * self.columns + self.units * self.inner_dim)

    def block_bytes_per_sample(self) -> int:
        if self.shares_reads:
            narrow = self.units if self.fan_in < 40 else 2
            return 8 * (2 * self.units + (1 + narrow) * (1 + self.fan_in))
        return 2 * 8 * self.units * self.inner_dim**2 * (1 + self.fan_in)

    @property
    def fan_in(self) -> int:
        """How many numbers a unit reads at most."""
        return sum(block.columns.shape[1] * block.columns.shape[2] for block in self.blocks)

    def describe(self) -> str:
        plan = "dense" if self.dense else "gathered"
        return f"affine ({self.link.name}), {plan}, {self.units} units x {self.fan_in} inputs"


@final
@attrs.frozen(eq=False, slots=False)
class AffineLinearisation(Linearisation):
    """An affine stage at one point; inner coordinates are those of the pre-activation's chart."""

    stage: AffineStage
    parents: Points
    design: NDArray
    weights: Any
    preactivation: NDArray

    @once
    def _at_preactivation(self) -> tuple[NDArray, NDArray | None]:
        """phi(y), and phi'(y) where the link gives both at once."""
        both = self.stage.link.with_slope
        if both is not None:
            return both(self.preactivation)
        return numpy.asarray(self.stage.link.function(self.preactivation)), None

    @property
    def points(self) -> NDArray:  # type: ignore[override]
        return self._at_preactivation[0]

    @once
    def to_inner(self) -> Rate:
        space, rate = self.stage.space, self._value_rate()
        return rate if space.is_trivial else self._outer_rate(space).after(rate)

    def _value_rate(self) -> Rate:
        """d activity/d inner: r_k = phi' (eq. 6) times the derivative of the pre-activation's chart."""
        slope, chart = self._at_preactivation[1], self.stage.preactivation_rate
        rate = Rate(self.stage.link.derivative_at(self.preactivation) if slope is None else slope, True)
        return rate if chart is None else rate.after(chart)

    def _outer_rate(self, space: ActivitySpace) -> Rate:
        """d outer/d activity."""
        if space.reads_chart:
            assert space.chart is not None and space.chart.scale is not None
            return rate_of_matrix(space.chart.scale)
        return Rate(space.coframe(self.points), False)

    def read(self, scale: Scale, outer: bool) -> Reading | None:
        if not outer:
            return self._read_inner(scale)
        found = value_scales(self.points, self.stage.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        return Reading(z, on_points.after(Rate(self.stage.space.frame(self.points), False)))

    def _read_inner(self, scale: Scale) -> Reading | None:
        exact = self._exact_scale(scale)
        if exact is not None:
            z, rate = exact
            chart = self.stage.preactivation_rate
            return Reading(z.reshape(len(z), -1), rate if chart is None else rate.after(chart))
        found = value_scales(self.points, self.stage.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        return Reading(z, on_points.after(self._value_rate()))

    def _exact_scale(self, scale: Scale) -> tuple[NDArray, Rate] | None:
        link, y = self.stage.link, self.preactivation
        if scale == "log-odds" and link.log_odds_slope is not None and self.stage.fills_image:
            z = y if link.log_odds_slope == 1.0 else link.log_odds_slope * y
            return z, self.stage.log_odds_rate
        if scale == "log" and link.stable_log is not None:
            return link.stable_log.value(y), Rate(link.stable_log.derivative(y), True)
        return None

    def push(self, tangent: NDArray, parents: Points, weights: tuple[Any, NDArray] | None = None) -> NDArray:
        if weights is None:
            first, parts = self.stage.group.split(tangent)
            weights = self.stage.matrix(parts), first.reshape(-1)
        matrix, bias = weights
        moved = self.design @ matrix + bias
        for source in self.stage.sources:
            if source.layer in parents:
                moved = moved + self._pushed_reading(source, parents) @ self.weights[source.start : source.stop]
        return moved.reshape(len(moved), self.stage.units, self.stage.inner_dim)

    def _pushed_reading(self, source: ColumnSource, parents: Points) -> NDArray:
        tangent, frame = source.of(parents), source.space.reading_frame(source.of(self.parents))
        read = tangent if frame is None else (frame @ tangent[..., None])[..., 0]
        return read.reshape(len(read), -1)

    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        count, samples = inner.shape[:2]
        if count > 1 and rows_are_last(inner) and not scipy.sparse.issparse(self.weights):
            by_sample = inner.transpose(1, 2, 3, 0).reshape(samples, -1, count)
            columns = (self.weights @ by_sample).transpose(2, 0, 1)
        else:
            columns = (inner.reshape(count * samples, -1) @ self.weights.T).reshape(count, samples, -1)
        if self.stage.is_plain_reader:
            return [Contribution(self.stage.sources[0].layer, None, columns[..., None])]
        return [self._contribution(s, columns[..., s.start : s.stop]) for s in self.stage.sources]

    def pull_diagonal(self, rows: DiagonalRows, rows_last: bool) -> list[Contribution]:
        """`pull_covectors` of rows with one entry each, for units with one pre-activation: products, not sums."""
        weights = self.weights.toarray() if scipy.sparse.issparse(self.weights) else self.weights
        samples, first, last = len(rows.values), rows.first, rows.first + weights.shape[1]
        if rows_last:
            columns = numpy.empty((samples, len(weights), rows.count)).transpose(2, 0, 1)
        else:
            columns, weights = numpy.empty((rows.count, samples, len(weights))), numpy.asfortranarray(weights)
        columns[:first], columns[last:] = 0.0, 0.0
        numpy.multiply(rows.values.T[:, :, None], weights.T[:, None, :], out=columns[first:last])
        return [self._contribution(s, columns[..., s.start : s.stop]) for s in self.stage.sources]

    def _contribution(self, source: ColumnSource, columns: NDArray) -> Contribution:
        values = columns.reshape(*columns.shape[:-1], source.count, -1)
        frame = source.space.reading_frame(source.of(self.parents))
        if frame is not None:
            values = (values[..., None, :] @ frame)[..., 0, :]
        return Contribution(source.layer, None if source.is_whole else source.units, values)

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        if not (self.stage.is_plain_reader and self.stage.is_scalar):
            return [self._modulus_contribution(source, inner) for source in self.stage.sources]
        columns = inner[:, :, 0, 0] @ (self.weights * self.weights).T
        return [Contribution(self.stage.sources[0].layer, None, columns[:, :, None, None])]

    def _modulus_contribution(self, source: ColumnSource, inner: NDArray) -> Contribution:
        weights = self.weights[source.start : source.stop]
        e, q, units = source.space.manifold.hull_dim, self.stage.inner_dim, self.stage.units
        if e == q == 1:
            values = (inner[:, :, 0, 0] @ (weights * weights).T)[:, :, None, None]
        else:
            by_unit = weights.reshape(source.count, e, units, q)
            pairs = numpy.einsum("neuq,nfur->uqrnef", by_unit, by_unit, optimize=True)
            flat = inner.reshape(len(inner), -1) @ pairs.reshape(units * q * q, -1)
            values = flat.reshape(len(inner), source.count, e, e)
        frame = source.space.reading_frame(source.of(self.parents))
        if frame is not None:
            values = frame.swapaxes(-1, -2) @ values @ frame
        return Contribution(source.layer, None if source.is_whole else source.units, values)

    @once
    def products(self) -> Products:
        """What it makes of moduli and covectors together with what its units read."""
        return Products(self.stage, self.design)

    @property
    def shared_reads(self) -> NDArray:
        """What every unit of a dense scalar stage reads, a one first, (samples, 1 + columns)."""
        return self.products.shared_reads

    def gradient(self, inner: NDArray) -> NDArray:
        return self.products.gradient(inner)

    def rows(self, inner: NDArray) -> NDArray:
        return self.products.rows(inner)

    def block(self, modulus: NDArray) -> NDArray:
        return self.products.block(modulus)

    def quasi(self, modulus: NDArray) -> Entries:
        return self.products.quasi(modulus)

    def diagonal(self, modulus: NDArray) -> NDArray:
        return self.products.diagonal(modulus)
