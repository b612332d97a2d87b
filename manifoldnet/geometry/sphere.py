"""The unit sphere."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import final

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.geometry.arrays import check_count, leading_axes
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold, tolerance
from manifoldnet.numpy.dispatch import Array


def _dimension(n: object) -> int:
    return check_count("Sphere", n)


@final
@attrs.frozen
class Sphere(Manifold):
    """Unit vectors of R^(n+1), with the round metric; points are (..., n + 1), the dimension is n.

    Charts: stereographic-north and -south, each from the pole of that name (the last coordinate is 1 or -1),
    which it cannot hold. No chart covers the sphere, so none is the default: coordinates centred at a point
    serve instead.

    >>> Sphere(2).chart("stereographic-north").to_point(numpy.zeros(2)).tolist()
    [0.0, 0.0, -1.0]
    """

    n: int = attrs.field(converter=_dimension)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point: (n + 1,)."""
        return (self.n + 1,)

    @property
    def dim(self) -> int:
        """The dimension, n."""
        return self.n

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "the length 1"

    def _holds(self, point: Array) -> Array:
        return np.abs(np.linalg.norm(point, axis=-1) - 1.0) <= tolerance(point)

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        charts = [
            Chart("stereographic-north", _from_north, _to_sphere_from_north),
            Chart("stereographic-south", _from_south, _to_sphere_from_south),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    @property
    def default_chart(self) -> str | None:
        """None: no chart covers the sphere."""
        return None

    @property
    def hull_dim(self) -> int:
        """The dimension of the affine hull, n + 1."""
        return self.n + 1

    @property
    def is_whole_hull(self) -> bool:
        """False: points have length 1."""
        return False

    def hull(self, point: Array) -> Array:
        """The reference coordinates themselves."""
        return point

    def from_hull(self, hull: Array) -> Array:
        """The reference coordinates themselves."""
        return hull

    @property
    def frame_is_identity(self) -> bool:
        """False."""
        return False

    def frame(self, point: Array) -> Array:
        """An orthonormal basis of each tangent space, (..., n + 1, n).

        These are the columns, but the first, of the reflection that takes the point to the first axis. The
        basis jumps where the first coordinate changes its sign, and is smooth elsewhere.
        """
        # Reflecting away from the point's own side of the axis never divides by anything below one.
        side = np.where(point[..., :1] < 0.0, -1.0, 1.0)
        normal = np.concatenate([point[..., :1] + side, point[..., 1:]], -1)
        height = 1.0 + np.abs(point[..., :1])
        return numpy.eye(self.n + 1)[:, 1:] - normal[..., :, None] * (normal[..., 1:] / height)[..., None, :]

    def coframe(self, point: Array) -> Array:
        """The transposed frame."""
        return np.matrix_transpose(self.frame(point))

    def _ambient(self, point: Array, tangent: Array) -> Array:
        return np.matvec(self.frame(point), tangent)

    def retract(self, point: Array, tangent: Array) -> Array:
        """The point plus the tangent vector, normalised."""
        return _normalise(point + self._ambient(point, tangent))

    def tangent_to(self, point: Array, other: Array) -> Array:
        """The inverse of `retract`, for points less than a right angle apart."""
        return np.matvec(self.coframe(point), other) / np.vecdot(point, other)[..., None]

    def riemannian(self, point: Array) -> Array:
        """The round metric in the orthonormal frame: the identity."""
        return numpy.broadcast_to(numpy.eye(self.n), (*leading_axes(point, 1), self.n, self.n))

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Uniform over the sphere, (count, n + 1)."""
        return _normalise(rng.standard_normal((count, self.n + 1)))

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


def _normalise(vector: Array) -> Array:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _from_north(x: Array) -> Array:
    return x[..., :-1] / (1.0 - x[..., -1:])


def _to_sphere_from_north(u: Array) -> Array:
    square = np.sum(u * u, -1, keepdims=True)
    return np.concatenate([2.0 * u, square - 1.0], -1) / (square + 1.0)


def _from_south(x: Array) -> Array:
    return x[..., :-1] / (1.0 + x[..., -1:])


def _to_sphere_from_south(u: Array) -> Array:
    square = np.sum(u * u, -1, keepdims=True)
    return np.concatenate([2.0 * u, 1.0 - square], -1) / (square + 1.0)
