"""Affine stages as pure functions of traced wiring, parameters and points."""

from functools import cached_property
from typing import Any, final

import attrs
import jax.numpy as jnp
import numpy

from manifoldnet.compiler.backends.jax.affine_products import AffineProducts
from manifoldnet.compiler.backends.jax.spaces import Space, times
from manifoldnet.compiler.backends.jax.stage import Contribution, Points, SlotShape, StageAt, StageShape
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.stage import Reading
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.declare.links import Link

Array = Any


@final
@attrs.frozen
class Source:
    """Columns `start:stop` of the design matrix: what `count` units of a layer are read as; all of them if `whole`."""

    layer: str
    whole: bool
    count: int
    space: Space
    start: int
    stop: int


@final
@attrs.frozen(cache_hash=True)
class AffineShape(StageShape):
    """Affine units that share a link and the kinds of their charts; `blocks` are the (parents, e) of each width.

    `dense`: all units read the same columns. Else the weight matrix has zeros where units are not linked.
    """

    slots: tuple[SlotShape, ...]
    units: int
    link: Link
    space: Space
    sources: tuple[Source, ...]
    blocks: tuple[tuple[int, int], ...]
    dense: bool
    plain: bool
    may_leave: bool
    has_parameters: bool = attrs.field(default=True, init=False)

    @property
    def inner_dim(self) -> int:
        return self.space.dim

    @property
    def parent_layers(self) -> tuple[str, ...]:
        return tuple(source.layer for source in self.sources)

    @property
    def is_scalar(self) -> bool:
        """Whether pre-activations and readings all have one dimension."""
        return self.inner_dim == 1 and all(e == 1 for _, e in self.blocks)

    @property
    def width(self) -> int:
        return self.inner_dim * (1 + sum(parents * e for parents, e in self.blocks))

    def linearise(self, numbers: dict, theta: Array, points: Points) -> "AffineAt":
        parts = [self._reading(position, numbers, points) for position in range(len(self.sources))]
        design = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
        weights = self.weights(numbers, theta)
        bias = theta[:, : self.inner_dim].reshape(-1)
        values = (design @ weights + bias).reshape(len(design), self.units, self.inner_dim)
        if not self.plain:
            values = times(numbers["preactivation_inverse"], values - numbers["preactivation_shift"])
        found, slope = self.link.value_and_slope(values)
        return AffineAt(self, numbers, points, design, weights, values, jnp.asarray(found), slope)

    def source_points(self, position: int, numbers: dict, points: Points) -> Array:
        source = self.sources[position]
        found = points[source.layer]
        return found if source.whole else found[:, numbers["sources"][position]["units"]]

    def _reading(self, position: int, numbers: dict, points: Points) -> Array:
        chosen = self.source_points(position, numbers, points)
        read = self.sources[position].space.reading(numbers["sources"][position]["space"], chosen)
        return read.reshape(len(chosen), -1)

    def weights(self, numbers: dict, values: Array) -> Array:
        """Values by unit (units, width) as a matrix (columns, units * q), zero where units are not linked."""
        if not self.dense:
            return jnp.append(values.reshape(-1), 0.0)[numbers["places"]]
        q, start, parts = self.inner_dim, self.inner_dim, []
        for parents, e in self.blocks:
            stop = start + parents * e * q
            part = values[:, start:stop].reshape(self.units, parents * e, q)
            parts.append(part.transpose(1, 0, 2).reshape(parents * e, self.units * q))
            start = stop
        joined = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
        return joined[numbers["rows"]] if "rows" in numbers else joined


@final
@attrs.frozen(eq=False, slots=False)
class AffineAt(StageAt):
    """An affine stage at one point; inner coordinates are those of the pre-activation's chart."""

    shape: AffineShape
    numbers: dict
    parents: Points
    design: Array
    matrix: Array
    preactivation: Array
    points: Array
    slope: Array | None

    def shifted(self, theta: Array, change: Array) -> "AffineAt":
        """The stage at other parameters, by which pre-activations change so, (samples, units, inner), and parents do not."""
        shape, numbers = self.shape, self.numbers
        values = self.preactivation + (change if shape.plain else times(numbers["preactivation_inverse"], change))
        found, slope = shape.link.value_and_slope(values)
        matrix = shape.weights(numbers, theta)
        return attrs.evolve(self, matrix=matrix, preactivation=values, points=jnp.asarray(found), slope=slope)

    def to_inner(self) -> Rate:
        space, numbers = self.shape.space, self.numbers["space"]
        value_rate = self._value_rate()
        if space.is_trivial:
            return value_rate
        coframe = space.coframe(numbers, self.points)
        return _rate(coframe).after(value_rate)

    def _value_rate(self) -> Rate:
        """d activity/d inner: r_k = phi' (eq. 6) times the derivative of the pre-activation's chart."""
        slope = self.shape.link.derivative_at(self.preactivation) if self.slope is None else self.slope
        return Rate(slope, True).after(self._preactivation_rate())

    def _preactivation_rate(self) -> Rate | None:
        return None if self.shape.plain else _rate(self.numbers["preactivation_inverse"])

    def read(self, scale: Scale) -> Reading | None:
        exact = self._exact_scale(scale)
        if exact is not None:
            z, derivative = exact
            return Reading(z.reshape(len(z), -1), Rate(derivative, True).after(self._preactivation_rate()))
        found = value_scales(self.points, self.shape.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        return Reading(z, on_points.after(self._value_rate()))

    def _exact_scale(self, scale: Scale) -> tuple[Array, Array] | None:
        link, y = self.shape.link, self.preactivation
        onto_image = self.shape.space.manifold == link.image(self.shape.inner_dim)
        if scale == "log-odds" and link.log_odds_slope is not None and onto_image:
            return link.log_odds_slope * y, numpy.full((1, 1, 1), link.log_odds_slope)
        if scale == "log" and link.stable_log is not None:
            return link.stable_log.value(y), link.stable_log.derivative(y)
        return None

    def push(self, tangent: Array, moving: Points) -> Array:
        shape, q = self.shape, self.shape.inner_dim
        moved = self.design @ shape.weights(self.numbers, tangent) + tangent[:, :q].reshape(-1)
        for position, source in enumerate(shape.sources):
            if source.layer in moving:
                read = shape.source_points(position, self.numbers, moving)
                frame = self._reading_frame(position)
                read = read if frame is None else (frame @ read[..., None])[..., 0]
                moved = moved + read.reshape(len(read), -1) @ self.matrix[source.start : source.stop]
        return moved.reshape(len(moved), shape.units, q)

    def _reading_frame(self, position: int) -> Array | None:
        chosen = self.shape.source_points(position, self.numbers, self.parents)
        return self.shape.sources[position].space.reading_frame(self.numbers["sources"][position]["space"], chosen)

    def _contribution(self, position: int, values: Array) -> Contribution:
        source = self.shape.sources[position]
        units = None if source.whole else self.numbers["sources"][position]["units"]
        return Contribution(source.layer, units, values)

    def pull_covectors(self, inner: Array) -> list[Contribution]:
        return self._from_columns(inner.reshape(*inner.shape[:2], -1) @ self.matrix.T)

    def pull_one_each(self, inner: Array) -> list[Contribution]:
        """The same for as many covectors as units of one dimension, the k-th of which is `inner[:, k]` on unit k alone."""
        return self._from_columns(inner[:, :, 0].T[:, :, None] * self.matrix.T[:, None, :])

    def _from_columns(self, columns: Array) -> list[Contribution]:
        found = []
        for position, source in enumerate(self.shape.sources):
            values = columns[..., source.start : source.stop].reshape(*columns.shape[:2], source.count, -1)
            frame = self._reading_frame(position)
            if frame is not None:
                values = (values[..., None, :] @ frame)[..., 0, :]
            found.append(self._contribution(position, values))
        return found

    def pull_moduli(self, inner: Array) -> list[Contribution]:
        found = []
        for position in range(len(self.shape.sources)):
            values, frame = self._pulled_modulus(position, inner), self._reading_frame(position)
            if frame is not None:
                values = frame.swapaxes(-1, -2) @ values @ frame
            found.append(self._contribution(position, values))
        return found

    def _pulled_modulus(self, position: int, inner: Array) -> Array:
        source, q, units = self.shape.sources[position], self.shape.inner_dim, self.shape.units
        weights, e = self.matrix[source.start : source.stop], source.space.manifold.hull_dim
        if e == q == 1:
            return (inner[:, :, 0, 0] @ (weights * weights).T)[:, :, None, None]
        by_unit = weights.reshape(source.count, e, units, q)
        pairs = jnp.einsum("neuq,nfur->uqrnef", by_unit, by_unit).reshape(units * q * q, -1)
        return (inner.reshape(len(inner), -1) @ pairs).reshape(len(inner), source.count, e, e)

    @cached_property
    def products(self) -> AffineProducts:
        """Products over samples of what the units read."""
        return AffineProducts(self.shape, self.numbers, self.design)

    def gradient(self, inner: Array) -> Array:
        return self.products.gradient(inner)

    def rows(self, inner: Array) -> Array:
        return self.products.rows(inner)

    def block(self, modulus: Array) -> Array:
        return self.products.block(modulus)

    def quasi(self, modulus: Array) -> tuple[Array, tuple, tuple]:
        return self.products.quasi(modulus)

    def diagonal(self, modulus: Array) -> Array:
        return self.products.diagonal(modulus)


def _rate(matrix: Array) -> Rate:
    """A derivative as a matrix with or without leading axes; a number acts alone."""
    if matrix.shape == (1, 1):
        return Rate(matrix[None], True)
    return Rate(matrix if matrix.ndim > 2 else matrix[None, None], False)
