"""Affine stages whose parameters are stored in a smooth chart of the user's."""

from typing import Any, final

import attrs
import jax.numpy as jnp
import numpy

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.backends.jax.affine import AffineShape
from manifoldnet.compiler.backends.jax.affine_arrays import affine_arrays, affine_shape
from manifoldnet.compiler.backends.jax.spaces import Space
from manifoldnet.compiler.backends.jax.stage import Contribution, Points, SlotShape, StageAt, StageShape
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.stage import Reading
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.geometry.chart import Chart
from manifoldnet.linalg.units import Units

Array = Any


@final
@attrs.frozen(cache_hash=True)
class RechartedShape(StageShape):
    """A stage in affine coordinates, and the chart in which its units' parameters are stored."""

    affine: AffineShape
    chart: Chart
    has_parameters: bool = attrs.field(default=True, init=False)

    @property
    def slots(self) -> tuple[SlotShape, ...]:  # type: ignore[override]
        return self.affine.slots

    @property
    def units(self) -> int:  # type: ignore[override]
        return self.affine.units

    @property
    def space(self) -> Space:  # type: ignore[override]
        return self.affine.space

    @property
    def may_leave(self) -> bool:  # type: ignore[override]
        return self.affine.may_leave

    @property
    def inner_dim(self) -> int:
        return self.affine.inner_dim

    @property
    def parent_layers(self) -> tuple[str, ...]:
        return self.affine.parent_layers

    def linearise(self, numbers: dict, theta: Array, points: Points) -> "RechartedAt":
        affine = jnp.asarray(self.chart.to_point(theta))
        by_unit = jnp.append(affine.reshape(-1), 0.0)[numbers["index"]]
        frame = self.chart.frame(affine)
        return RechartedAt(self, numbers, self.affine.linearise(numbers["affine"], by_unit, points), frame)


@final
@attrs.frozen(eq=False)
class RechartedAt(StageAt):
    """Everything about activities is the affine stage's; contractions with parameters are pulled back."""

    shape: RechartedShape
    numbers: dict
    affine: StageAt
    frame: Array

    @property
    def points(self) -> Array:
        return self.affine.points

    def to_inner(self) -> Rate:
        return self.affine.to_inner()

    def read(self, scale: Scale) -> Reading | None:
        return self.affine.read(scale)

    def push(self, tangent: Array, moving: Points) -> Array:
        affine = (self.frame @ tangent[..., None])[..., 0]
        return self.affine.push(jnp.append(affine.reshape(-1), 0.0)[self.numbers["index"]], moving)

    def pull_covectors(self, inner: Array) -> list[Contribution]:
        return self.affine.pull_covectors(inner)

    def pull_moduli(self, inner: Array) -> list[Contribution]:
        return self.affine.pull_moduli(inner)

    def gradient(self, inner: Array) -> Array:
        return self._pulled(self._in_order(self.affine.gradient(inner)))

    def rows(self, inner: Array) -> Array:
        return self._pulled(self._in_order(self.affine.rows(inner)))

    def block(self, modulus: Array) -> Array:
        return self.pulled_block(self.affine.block(modulus))

    def pulled_block(self, blocks: Array) -> Array:
        """Blocks in affine coordinates, pulled back to the chart."""
        # the unit's axis last but one, first for rows and then for columns
        half = self._in_order(blocks.transpose(1, 0, 2))
        blocks = self._in_order(half.transpose(2, 1, 0)).transpose(1, 2, 0)
        return self.frame.swapaxes(1, 2) @ blocks @ self.frame

    def quasi(self, modulus: Array) -> Any:
        # in affine coordinates: the reduction of a sum is not the sum of the reductions
        return self.affine.quasi(modulus)

    def diagonal(self, modulus: Array) -> Array:
        return jnp.diagonal(self.block(modulus), axis1=1, axis2=2)

    def _in_order(self, values: Array) -> Array:
        """From the order of the affine group's index to that of the stored numbers, (..., units, width)."""
        order = self.numbers["order"]
        return jnp.take_along_axis(values, jnp.broadcast_to(order, (*values.shape[:-1], order.shape[-1])), -1)

    def _pulled(self, covectors: Array) -> Array:
        return (covectors[..., None, :] @ self.frame)[..., 0, :]


def recharted_shape(stage: RechartedStage, room: tuple[int, ...]) -> RechartedShape:
    """The static part; all units have equally many parameters, so that nothing is padded beyond them."""
    assert isinstance(stage.affine, AffineStage)
    return RechartedShape(affine_shape(stage.affine, room), stage.chart)


def recharted_arrays(stage: RechartedStage, shape: RechartedShape) -> dict[str, Any]:
    """The traced part: the affine stage's, and where each entry of a unit stands among the stored numbers."""
    assert isinstance(stage.affine, AffineStage)
    index = padded_index(stage.affine.stored, shape.affine.blocks, stage.affine.stored.padding or 0)
    width = stage.group.index.shape[1]
    return {
        "affine": affine_arrays(stage.affine, shape.affine),
        "index": numpy.asarray(index, dtype=numpy.int32),
        "order": numpy.asarray(numpy.argsort(index, axis=1)[:, :width], dtype=numpy.int32),
    }


def padded_index(group: Units, blocks: tuple[tuple[int, int], ...], padding: int) -> Any:
    """The group's index with room for as many parents as `blocks` says, (units, width); `padding` where there is none."""
    parts = [group.bias]
    for part, (parents, _) in zip(group.parents, blocks, strict=True):
        room = numpy.pad(part, ((0, 0), (0, parents - part.shape[1]), (0, 0)), constant_values=padding)
        parts.append(room.reshape(len(room), -1))
    return numpy.concatenate(parts, axis=1)
