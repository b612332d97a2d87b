"""Activity spaces as the compiled functions see them: the kind of chart is static, affine charts are arrays."""

from typing import Any, Literal, final

import attrs
import jax.numpy as jnp
import numpy

from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold

Array = Any


def times(matrix: Array, values: Array) -> Array:
    """A matrix (m, n) applied to values (..., n)."""
    return values * matrix[0, 0] if matrix.shape == (1, 1) else values @ matrix.T


@final
@attrs.frozen
class Space:
    """An activity space: its manifold, and whether coordinates are reference ones, affine in them, or neither.

    A chart that is affine is not part of it: `space_arrays` holds its numbers.
    """

    manifold: Manifold
    kind: Literal["trivial", "affine", "curved", "no chart"]
    chart: Chart | None

    @property
    def dim(self) -> int:
        return self.manifold.dim

    @property
    def size(self) -> int:
        return self.manifold.size

    @property
    def is_trivial(self) -> bool:
        return self.kind == "trivial"

    def shaped(self, points: Array) -> Array:
        return points.reshape(*points.shape[:-1], *self.manifold.shape)

    def frame(self, numbers: dict, points: Array) -> Array:
        """d point/d coordinates, (..., size, dim), with leading axes or without."""
        if self.kind == "trivial":
            return numpy.eye(self.dim)
        if self.kind == "affine":
            return numbers["frame"]
        owner = self.manifold if self.chart is None else self.chart
        return owner.frame(self.shaped(points))

    def coframe(self, numbers: dict, points: Array) -> Array:
        """d coordinates/d point, (..., dim, size), with leading axes or without."""
        if self.kind == "trivial":
            return numpy.eye(self.dim)
        if self.kind == "affine":
            return numbers["coframe"]
        owner = self.manifold if self.chart is None else self.chart
        return owner.coframe(self.shaped(points))

    def reading(self, numbers: dict, points: Array) -> Array:
        """What affine units read, (..., hull_dim)."""
        if self.kind == "trivial":
            return points
        hull = self.manifold.hull(self.shaped(points))
        return times(numbers["scale"], hull) + numbers["shift"] if self.kind == "affine" else hull

    def reading_frame(self, numbers: dict, points: Array) -> Array | None:
        """d reading/d coordinates, (..., hull_dim, dim), or None where it is the identity."""
        if self.kind in ("trivial", "affine"):
            return None
        columns = jnp.moveaxis(self.frame(numbers, points), -1, -2)
        return jnp.moveaxis(self.manifold.hull(self.shaped(columns)), -1, -2)


def space_of(space: ActivitySpace) -> Space:
    """The static part of a space."""
    if space.is_trivial:
        return Space(space.manifold, "trivial", None)
    if space.reads_chart:
        return Space(space.manifold, "affine", None)
    return Space(space.manifold, "no chart" if space.chart is None else "curved", space.chart)


def space_arrays(space: ActivitySpace) -> dict[str, Array]:
    """The numbers of an affine chart, whose frame is the same everywhere; nothing for others."""
    if space.is_trivial or not space.reads_chart:
        return {}
    assert space.chart is not None
    point = space.manifold.sample(numpy.random.default_rng(0), 1)
    return {
        "scale": space.chart.scale,
        "shift": space.chart.shift,
        "frame": numpy.array(space.chart.frame(point)[0]),
        "coframe": numpy.array(space.chart.coframe(point)[0]),
    }
