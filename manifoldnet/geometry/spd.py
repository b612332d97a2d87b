"""Symmetric positive definite matrices."""

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
    return check_count("SPD", n)


def _definite(point: Array) -> float:
    """The least eigenvalue over the largest one that tells a positive definite matrix from rounding."""
    kind = numpy.float32 if getattr(point, "dtype", None) == numpy.float32 else numpy.float64
    return 16 * float(numpy.finfo(kind).eps)


@final
@attrs.frozen
class SPD(Manifold):
    """Symmetric positive definite n by n matrices, with the affine-invariant metric; points are (..., n, n).

    Charts: identity (upper triangle, row by row), log-cholesky (lower triangle of the Cholesky factor, its
    diagonal in logarithms), log (upper triangle of the matrix logarithm).

    >>> SPD(2).chart("log").to_point(numpy.zeros(3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    n: int = attrs.field(converter=_dimension)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point: (n, n)."""
        return (self.n, self.n)

    @property
    def dim(self) -> int:
        """The dimension, n (n + 1) / 2."""
        return self.n * (self.n + 1) // 2

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "symmetric entries and positive eigenvalues"

    def _holds(self, point: Array) -> Array:
        size = np.abs(point).max(axis=(-2, -1))
        gap = np.abs(point - np.swapaxes(point, -1, -2)).max(axis=(-2, -1))
        values = np.linalg.eigvalsh(point)
        # below that, rounding decides whether the matrix has a Cholesky factor
        return (gap <= tolerance(point) * size) & (values[..., 0] > _definite(point) * values[..., -1])

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        charts = [
            Chart.affine("identity", self, 1.0),
            Chart("log-cholesky", self._log_cholesky, self._from_log_cholesky, point_ndim=2),
            Chart("log", self._logarithm, self._from_logarithm, point_ndim=2),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    @property
    def default_chart(self) -> str | None:
        """The upper triangle."""
        return "identity"

    @property
    def hull_dim(self) -> int:
        """The dimension of the affine hull, n (n + 1) / 2."""
        return self.dim

    @property
    def is_whole_hull(self) -> bool:
        """False: eigenvalues are positive."""
        return False

    def hull(self, point: Array) -> Array:
        """The upper triangle, row by row."""
        rows, columns = numpy.triu_indices(self.n)
        return point[..., rows, columns]

    def from_hull(self, hull: Array) -> Array:
        """The symmetric matrix with that upper triangle."""
        return hull[..., self._places()]

    def _places(self) -> Array:
        """For each entry of a matrix, where the upper triangle holds it."""
        places = numpy.zeros((self.n, self.n), dtype=int)
        places[numpy.triu_indices(self.n)] = numpy.arange(self.dim)
        return numpy.maximum(places, places.T)

    @property
    def frame_is_identity(self) -> bool:
        """False."""
        return False

    def _basis(self) -> Array:
        return (self._places().ravel()[:, None] == numpy.arange(self.dim)).astype(numpy.float64)

    def frame(self, point: Array) -> Array:
        """The symmetric matrices with one entry of the upper triangle equal to one, at each point."""
        basis = self._basis()
        return numpy.broadcast_to(basis, leading_axes(point, 2) + basis.shape)

    def coframe(self, point: Array) -> Array:
        """The upper triangle of a tangent vector."""
        rows, columns = numpy.triu_indices(self.n)
        dual = numpy.eye(self.size)[rows * self.n + columns]
        return numpy.broadcast_to(dual, leading_axes(point, 2) + dual.shape)

    def retract(self, point: Array, tangent: Array) -> Array:
        """The geodesic X^(1/2) exp(X^(-1/2) V X^(-1/2)) X^(1/2); the Cholesky factor serves as the root."""
        root = np.linalg.cholesky(point)
        return _conjugate(root, np.linalg.symmetric_expm(_whiten(root, self.from_hull(tangent))))

    def tangent_to(self, point: Array, other: Array) -> Array:
        """The inverse of `retract`, for all pairs of points."""
        root = np.linalg.cholesky(point)
        return self.hull(_conjugate(root, np.linalg.symmetric_logm(_whiten(root, other))))

    def riemannian(self, point: Array) -> Array:
        """The affine-invariant metric tr(X^-1 V X^-1 W) in the frame, (..., dim, dim)."""
        basis = self._basis().T.reshape(self.dim, self.n, self.n)
        turned = np.linalg.inv(point)[..., None, :, :] @ basis
        return np.einsum("...aij,...bji->...ab", turned, turned)

    def _log_cholesky(self, point: Array) -> Array:
        factor = np.linalg.cholesky(point)
        rows, columns = numpy.tril_indices(self.n, -1)
        return np.concatenate([np.log(np.linalg.diagonal(factor)), factor[..., rows, columns]], -1)

    def _from_log_cholesky(self, u: Array) -> Array:
        diagonal, below = numpy.eye(self.n), numpy.zeros((self.dim - self.n, self.n, self.n))
        rows, columns = numpy.tril_indices(self.n, -1)
        below[numpy.arange(len(rows)), rows, columns] = 1.0
        lower = np.reshape(u[..., self.n :] @ below.reshape(len(rows), self.size), (*np.shape(u)[:-1], self.n, self.n))
        factor = np.exp(u[..., : self.n])[..., None] * diagonal + lower
        return factor @ np.matrix_transpose(factor)

    def _logarithm(self, point: Array) -> Array:
        return self.hull(np.linalg.symmetric_logm(point))

    def _from_logarithm(self, u: Array) -> Array:
        return np.linalg.symmetric_expm(self.from_hull(u))

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Exponentials of symmetric matrices of normal entries, standard deviation 0.3, (count, n, n)."""
        return self._from_logarithm(0.3 * rng.standard_normal((count, self.dim)))

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


def _conjugate(root: Array, matrix: Array) -> Array:
    return root @ matrix @ np.matrix_transpose(root)


def _whiten(root: Array, matrix: Array) -> Array:
    """root^-1 matrix root^-T."""
    half = np.linalg.solve(root, matrix)
    return np.linalg.solve(root, np.matrix_transpose(half))
