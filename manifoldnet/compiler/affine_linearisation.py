"""An affine stage at one point: derivatives in closed form."""

from typing import TYPE_CHECKING, Any, final

import attrs
import numpy
import scipy.sparse
from numpy.typing import NDArray

from manifoldnet.compiler.affine_products import Products
from manifoldnet.compiler.columns import ColumnSource
from manifoldnet.compiler.once import once
from manifoldnet.compiler.products import squares, times
from manifoldnet.compiler.rates import Rate, rate_of_matrix
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.compiler.stage import (
    Contribution,
    DiagonalRows,
    Linearisation,
    OuterRows,
    Points,
    Reading,
    rows_are_last,
)
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.linalg.entries import Entries

if TYPE_CHECKING:
    from manifoldnet.compiler.affine import AffineStage


@final
@attrs.frozen(eq=False, slots=False)
class AffineLinearisation(Linearisation):
    """An affine stage at one point; inner coordinates are those of the pre-activation's chart.

    `known` are phi(y) and phi'(y), or None for the latter, where they have been computed already.
    """

    stage: "AffineStage"
    parents: Points
    design: NDArray
    weights: Any
    preactivation: NDArray
    known: tuple[NDArray, NDArray | None] | None = None

    @once
    def _at_preactivation(self) -> tuple[NDArray, NDArray | None]:
        """phi(y), and phi'(y) where the link gives both at once."""
        return self.stage.link.value_and_slope(self.preactivation) if self.known is None else self.known

    @property
    def points(self) -> NDArray:  # type: ignore[override]
        return self._at_preactivation[0]

    @once
    def to_inner(self) -> Rate:
        space, rate = self.stage.space, self._value_rate()
        return rate if space.is_trivial else self._outer_rate(space).after(rate)

    @property
    def scalar_rate(self) -> NDArray:
        """d outer/d inner where that is one number a unit, (samples, units)."""
        slope = self._at_preactivation[1]
        return (slope if slope is not None and self.stage.rate_is_slope else self.to_inner.values)[..., 0]

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
        exact = None if outer else self.stage.exact_reading(self.preactivation, scale)
        if exact is not None:
            return exact
        found = value_scales(self.points, self.stage.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        return Reading(
            z, on_points.after(Rate(self.stage.space.frame(self.points), False) if outer else self._value_rate())
        )

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
            return self._contributions(_along_rows(self.weights, inner))
        columns = times(inner.reshape(count * samples, -1), self.weights.T).reshape(count, samples, -1)
        return self._contributions(columns)

    def pull_outer(self, outer: OuterRows) -> list[Contribution]:
        """`pull_covectors` of rows side by side in memory, which have not been pulled, by weights that are an array."""
        return self._contributions(_along_rows(self.weights * outer.rate.values[:, None, :, 0], outer.rows))

    def _contributions(self, columns: NDArray) -> list[Contribution]:
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
        return self._contributions(columns)

    def _contribution(self, source: ColumnSource, columns: NDArray) -> Contribution:
        values = columns.reshape(*columns.shape[:-1], source.count, -1)
        frame = source.space.reading_frame(source.of(self.parents))
        if frame is not None:
            values = (values[..., None, :] @ frame)[..., 0, :]
        return Contribution(source.layer, None if source.is_whole else source.units, values)

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        if not (self.stage.is_plain_reader and self.stage.is_scalar):
            return [self._modulus_contribution(source, inner) for source in self.stage.sources]
        columns = times(inner[:, :, 0, 0], squares(self.weights).T)
        return [Contribution(self.stage.sources[0].layer, None, columns[:, :, None, None])]

    def _modulus_contribution(self, source: ColumnSource, inner: NDArray) -> Contribution:
        weights = self.weights[source.start : source.stop]
        e, q, units = source.space.manifold.hull_dim, self.stage.inner_dim, self.stage.units
        if e == q == 1:
            values = times(inner[:, :, 0, 0], squares(weights).T)[:, :, None, None]
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


def _along_rows(weights: NDArray, rows: NDArray) -> NDArray:
    """weights @ rows, (k, samples, columns), for rows (k, samples, units, q) side by side in memory; weights may differ by
    sample."""
    by_sample = rows.transpose(1, 2, 3, 0).reshape(rows.shape[1], -1, len(rows))
    return (weights @ by_sample).transpose(2, 0, 1)
