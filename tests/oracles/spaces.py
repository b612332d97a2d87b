"""Manifolds, charts and links written again for the oracles, in plain NumPy and for complex numbers.

Derivatives of the reference are complex steps: a function that is analytic, evaluated at x + i h v with a tiny
h, has its directional derivative as imaginary part / h, to rounding. So nothing here may take an absolute
value, a conjugate or a maximum of what depends on the parameters.
"""

from collections.abc import Callable

import numpy
import scipy.linalg
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.geometry.manifold import Manifold

STEP = 1e-30

LINKS: dict[str, Callable[[NDArray], NDArray]] = {
    "logistic": lambda y: 1.0 / (1.0 + numpy.exp(-y)),
    "tanh": numpy.tanh,
    "scaled_tanh": lambda y: 1.7159 * numpy.tanh(2.0 * y / 3.0),
    "identity": lambda y: y,
    "softplus": lambda y: numpy.log(1.0 + numpy.exp(y)),
    "relu": lambda y: numpy.where(y.real > 0.0, y, 0.0),
    "bent": lambda y: y / numpy.sqrt(1.0 + y * y),
}


def derivative(function: Callable[[NDArray], NDArray], at: NDArray, direction: NDArray) -> NDArray:
    """The directional derivative of an analytic function, exact to rounding."""
    return numpy.imag(function(at + 1j * STEP * direction)) / STEP


def mixing(dim: int) -> tuple[NDArray, NDArray]:
    """The scale and shift of the affine chart that recipes call "mixed": it mixes, stretches and shifts."""
    i, j = numpy.indices((dim, dim))
    return numpy.eye(dim) * 1.3 + 0.3 * numpy.cos(1.0 + i + 2.0 * j), 0.2 + 0.1 * numpy.arange(dim)


def affine_chart(manifold: Manifold, name: str) -> tuple[NDArray, NDArray] | None:
    """Scale and shift with respect to the hull of the affine charts, None for the others."""
    dim = manifold.dim
    if name == "mixed":
        return mixing(dim)
    if name == "doubled":
        return 2.0 * numpy.eye(dim), numpy.zeros(dim)
    if name == "signed":
        width = manifold.high - manifold.low
        middle = 0.5 * (manifold.high + manifold.low)
        return 2.0 / width * numpy.eye(dim), numpy.full(dim, -2.0 * middle / width)
    if name == "identity" and hull_dim(manifold) == dim:
        return numpy.eye(dim), numpy.zeros(dim)
    return None


def hull(manifold: Manifold, point: NDArray) -> NDArray:
    """Coordinates of the affine hull of the points, (..., e): the numbers that affine units read."""
    if isinstance(manifold, mn.Simplex):
        return point[..., :-1]
    if isinstance(manifold, mn.SPD):
        return numpy.stack([point[..., i, j] for i in range(manifold.n) for j in range(i, manifold.n)], axis=-1)
    if isinstance(manifold, mn.Product):
        return numpy.concatenate([hull(f, p) for f, p in factors(manifold, point)], axis=-1)
    return point


def hull_dim(manifold: Manifold) -> int:
    return hull(manifold, numpy.zeros(manifold.shape)).shape[-1]


def factors(manifold: mn.Product, point: NDArray) -> list[tuple[Manifold, NDArray]]:
    found, start = [], 0
    for factor in manifold.factors:
        part = point[..., start : start + factor.size]
        found.append((factor, part.reshape(*part.shape[:-1], *factor.shape)))
        start += factor.size
    return found


def from_hull(manifold: Manifold, values: NDArray) -> NDArray:
    if isinstance(manifold, mn.Simplex):
        return numpy.concatenate([values, 1.0 - values.sum(axis=-1, keepdims=True)], axis=-1)
    if isinstance(manifold, mn.SPD):
        n = manifold.n
        matrix = numpy.zeros((*values.shape[:-1], n, n), dtype=values.dtype)
        for position, (i, j) in enumerate(zip(*numpy.triu_indices(n), strict=True)):
            matrix[..., i, j] = matrix[..., j, i] = values[..., position]
        return matrix
    return values


def to_point(manifold: Manifold, chart: str, u: NDArray) -> NDArray:
    """The point that a chart's coordinates (..., dim) name."""
    affine = affine_chart(manifold, chart)
    if affine is not None:
        scale, shift = affine
        return from_hull(manifold, (u - shift) @ numpy.linalg.inv(scale).T)
    return POINTS[type(manifold), chart](manifold, u)


def _log_ratio(manifold: Manifold, u: NDArray) -> NDArray:
    raised = numpy.exp(numpy.concatenate([u, numpy.zeros_like(u[..., :1])], axis=-1))
    return raised / raised.sum(axis=-1, keepdims=True)


def _log_cholesky(manifold: Manifold, u: NDArray) -> NDArray:
    n = manifold.n
    lower = numpy.zeros((*u.shape[:-1], n, n), dtype=u.dtype)
    lower[..., range(n), range(n)] = numpy.exp(u[..., :n])
    below = ((i, j) for i in range(n) for j in range(i))
    for position, (i, j) in enumerate(below, start=n):
        lower[..., i, j] = u[..., position]
    return lower @ numpy.swapaxes(lower, -1, -2)


def _stereographic(pole: float) -> Callable[[Manifold, NDArray], NDArray]:
    def point(manifold: Manifold, u: NDArray) -> NDArray:
        square = (u * u).sum(axis=-1, keepdims=True)
        return numpy.concatenate([2.0 * u, pole * (square - 1.0)], axis=-1) / (square + 1.0)

    return point


POINTS: dict[tuple[type, str], Callable[[Manifold, NDArray], NDArray]] = {
    (mn.Real, "arcsinh"): lambda m, u: numpy.sinh(u),
    (mn.Real, "sinh"): lambda m, u: numpy.arcsinh(u),
    (mn.Real, "cubic"): lambda m, u: _root_of_cubic(u),
    (mn.Real, "sheared"): lambda m, u: numpy.concatenate([u[..., :1], u[..., 1:] + 0.3 * numpy.sin(u[..., :1])], -1),
    (mn.Interval, "log-odds"): lambda m, u: m.low + (m.high - m.low) / (1.0 + numpy.exp(-u)),
    (mn.Interval, "angle"): lambda m, u: m.low + (m.high - m.low) * numpy.sin(u / 2.0) ** 2,
    (mn.Positive, "log"): lambda m, u: numpy.exp(u),
    (mn.Positive, "sqrt"): lambda m, u: u * u,
    (mn.Positive, "reciprocal"): lambda m, u: 1.0 / u,
    (mn.Simplex, "log-ratio"): _log_ratio,
    (mn.Simplex, "square-root"): lambda m, u: from_hull(m, 0.25 * u * u),
    (mn.SPD, "log-cholesky"): _log_cholesky,
    (mn.SPD, "log"): lambda m, u: scipy.linalg.expm(from_hull(m, u)),
    (mn.Sphere, "stereographic-north"): _stereographic(1.0),
    (mn.Sphere, "stereographic-south"): _stereographic(-1.0),
}


def _root_of_cubic(u: NDArray) -> NDArray:
    """The real root of x + x^3 = u by Newton's method, which complex steps pass through."""
    x = 0.0 * u
    for _ in range(60):
        x = x - (x + x**3 - u) / (1.0 + 3.0 * x**2)
    return x


def tangents(manifold: Manifold, point: NDArray) -> NDArray:
    """A basis of the tangent space at one point, (size, dim), of the oracles' own choosing: orthonormal."""
    if isinstance(manifold, mn.Sphere):
        return scipy.linalg.null_space(point.reshape(1, -1))
    if isinstance(manifold, mn.Simplex):
        return scipy.linalg.null_space(numpy.ones((1, manifold.n)))
    if isinstance(manifold, mn.SPD):
        return scipy.linalg.orth(stored_frame(manifold, point))
    if isinstance(manifold, mn.Product):
        return scipy.linalg.block_diag(*(tangents(f, p) for f, p in factors(manifold, point)))
    return numpy.eye(manifold.dim)


def stored_frame(manifold: Manifold, point: NDArray) -> NDArray:
    """The frame (size, dim) in which the documentation writes tangents of parameters that are stored as points."""
    if isinstance(manifold, mn.Sphere):
        # the reflection that takes the point to the first axis, without its first column
        normal = point + numpy.eye(len(point))[0] * numpy.where(point[0] < 0.0, -1.0, 1.0)
        return (numpy.eye(len(point)) - 2.0 * numpy.outer(normal, normal) / (normal @ normal))[:, 1:]
    if isinstance(manifold, mn.Simplex | mn.SPD):
        origin = from_hull(manifold, numpy.zeros(manifold.dim))
        columns = [from_hull(manifold, unit) - origin for unit in numpy.eye(manifold.dim)]
        return numpy.stack([column.reshape(-1) for column in columns], axis=1)
    if isinstance(manifold, mn.Product):
        return scipy.linalg.block_diag(*(stored_frame(f, p) for f, p in factors(manifold, point)))
    return numpy.eye(manifold.dim)
