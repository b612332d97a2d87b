"""Probabilities of n classes."""

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
    return check_count("Simplex", n, least=2)


@final
@attrs.frozen
class Simplex(Manifold):
    """Probabilities of n classes, zeros included, with the Fisher metric; points (..., n), dimension n - 1.

    Charts: identity (all probabilities but the last), log-ratio (log p_i / p_n), square-root (2 sqrt p_i, i <
    n: the sphere's coordinates). The last two hold interior points only.

    >>> Simplex(3).chart("log-ratio").to_point(numpy.zeros(2)).round(3).tolist()
    [0.333, 0.333, 0.333]
    """

    n: int = attrs.field(converter=_dimension)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point: (n,)."""
        return (self.n,)

    @property
    def dim(self) -> int:
        """The dimension, n - 1."""
        return self.n - 1

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "entries that are not negative and have the sum 1"

    def _holds(self, point: Array) -> Array:
        return (point >= -tolerance(point)).all(axis=-1) & (np.abs(point.sum(axis=-1) - 1.0) <= tolerance(point))

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        charts = [
            Chart.affine("identity", self, 1.0),
            Chart("log-ratio", _log_ratio, _from_log_ratio),
            Chart("square-root", _square_root, _from_square_root, domain=_inside_quadrant),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    @property
    def default_chart(self) -> str | None:
        """All probabilities but the last."""
        return "identity"

    @property
    def hull_dim(self) -> int:
        """The dimension of the affine hull, n - 1."""
        return self.n - 1

    @property
    def is_whole_hull(self) -> bool:
        """False: probabilities are not negative."""
        return False

    def hull(self, point: Array) -> Array:
        """All probabilities but the last."""
        return point[..., :-1]

    def from_hull(self, hull: Array) -> Array:
        """The last probability appended."""
        return np.concatenate([hull, 1.0 - np.sum(hull, -1, keepdims=True)], -1)

    @property
    def frame_is_identity(self) -> bool:
        """False."""
        return False

    def frame(self, point: Array) -> Array:
        """e_i - e_n for i < n, at each point."""
        basis = numpy.concatenate([numpy.eye(self.dim), -numpy.ones((1, self.dim))])
        return numpy.broadcast_to(basis, leading_axes(point, 1) + basis.shape)

    def coframe(self, point: Array) -> Array:
        """The first n - 1 entries of a tangent vector."""
        dual = numpy.eye(self.dim, self.n)
        return numpy.broadcast_to(dual, leading_axes(point, 1) + dual.shape)

    def retract(self, point: Array, tangent: Array) -> Array:
        """p_i exp(v_i / p_i), divided by its sum; from interior points only."""
        direction = self.from_hull(tangent) - self.from_hull(np.zeros_like(tangent))
        return np.softmax(np.log(point) + direction / point)

    def tangent_to(self, point: Array, other: Array) -> Array:
        """The inverse of `retract`, between interior points."""
        ratio = np.log(other) - np.log(point)
        return self.hull(point * (ratio - np.sum(point * ratio, -1, keepdims=True)))

    def riemannian(self, point: Array) -> Array:
        """The Fisher metric (..., n - 1, n - 1): delta_ij / p_i + 1 / p_n."""
        return (1.0 / point[..., :-1])[..., None] * numpy.eye(self.dim) + (1.0 / point[..., -1])[..., None, None]

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Uniform over the simplex, then a fifth of the way to its middle, (count, n)."""
        return 0.8 * rng.dirichlet(numpy.ones(self.n), count) + 0.2 / self.n

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


def _log_ratio(p: Array) -> Array:
    return np.log(p[..., :-1]) - np.log(p[..., -1:])


def _from_log_ratio(u: Array) -> Array:
    return np.softmax(np.concatenate([u, 0.0 * u[..., :1]], -1))


def _square_root(p: Array) -> Array:
    return 2.0 * np.sqrt(p[..., :-1])


def _from_square_root(u: Array) -> Array:
    p = 0.25 * u * u
    return np.concatenate([p, 1.0 - np.sum(p, -1, keepdims=True)], -1)


def _inside_quadrant(u: Array) -> Array:
    return (u > 0.0).all(axis=-1) & ((u * u).sum(axis=-1) < 4.0)
