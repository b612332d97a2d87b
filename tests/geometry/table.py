"""One row for each manifold: what it must be, points on and off it, and a closed form of its metric."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy
import scipy.linalg

from manifoldnet.geometry import SPD, Interval, Manifold, Positive, Product, Real, Simplex, Sphere


@attrs.frozen(eq=False)
class Row:
    """A manifold and what is expected of it. `conditions` are the functions that vanish on it."""

    manifold: Manifold
    shape: tuple[int, ...]
    dim: int
    hull_dim: int
    charts: tuple[str, ...]
    good: list[Any]
    bad: list[Any]
    distance2: Callable[[numpy.ndarray, numpy.ndarray], Any]
    conditions: Callable[[numpy.ndarray], Any] = lambda x: numpy.zeros((*x.shape[:-1], 1))
    flat: bool = False
    default: str | None = "identity"


def _bernoulli_kl(p: numpy.ndarray, q: numpy.ndarray) -> Any:
    """Twice the Kullback-Leibler divergence: to second order the squared Fisher length."""
    return 2.0 * (p * numpy.log(p / q) + (1.0 - p) * numpy.log((1.0 - p) / (1.0 - q))).sum(-1)


def _interval_distance2(low: float, high: float) -> Callable[[numpy.ndarray, numpy.ndarray], Any]:
    return lambda x, y: _bernoulli_kl((x - low) / (high - low), (y - low) / (high - low))


def _spd_distance2(x: numpy.ndarray, y: numpy.ndarray) -> Any:
    """The squared affine-invariant distance, by generalised eigenvalues."""
    return (numpy.log(scipy.linalg.eigh(y, x, eigvals_only=True)) ** 2).sum()


def _sphere_distance2(x: numpy.ndarray, y: numpy.ndarray) -> Any:
    return (2.0 * numpy.arcsin(numpy.linalg.norm(x - y, axis=-1) / 2.0)) ** 2


def _positive_distance2(x: numpy.ndarray, y: numpy.ndarray) -> Any:
    return (numpy.log(x / y) ** 2).sum(-1)


def _real_distance2(x: numpy.ndarray, y: numpy.ndarray) -> Any:
    return ((x - y) ** 2).sum(-1)


def _simplex_distance2(p: numpy.ndarray, q: numpy.ndarray) -> Any:
    """The squared length of the great arc between the square roots, on the sphere of radius 2."""
    return 4.0 * _sphere_distance2(numpy.sqrt(p), numpy.sqrt(q))


def _mixed_distance2(x: numpy.ndarray, y: numpy.ndarray) -> Any:
    return (
        _positive_distance2(x[..., :2], y[..., :2])
        + _sphere_distance2(x[..., 2:5], y[..., 2:5])
        + _spd_distance2(x[..., 5:9].reshape(2, 2), y[..., 5:9].reshape(2, 2))
        + _simplex_distance2(x[..., 9:], y[..., 9:])
    )


def _mixed_conditions(x: numpy.ndarray) -> Any:
    return numpy.stack([(x[..., 2:5] ** 2).sum(-1) - 1.0, x[..., 6] - x[..., 7], x[..., 9:].sum(-1) - 1.0], -1)


def _of_length_one(x: numpy.ndarray) -> Any:
    return (x**2).sum(-1, keepdims=True) - 1.0


def _asymmetry(x: numpy.ndarray) -> Any:
    return (x - numpy.swapaxes(x, -1, -2)).reshape(*x.shape[:-2], -1)


def _sum_to_one(x: numpy.ndarray) -> Any:
    return x.sum(-1, keepdims=True) - 1.0


_REAL = ("identity", "doubled", "arcsinh", "sinh", "cubic")
_INTERVAL = ("identity", "signed", "log-odds", "angle", "probit")
_POSITIVE = ("identity", "log", "sqrt", "reciprocal")
_SIMPLEX = ("identity", "log-ratio", "square-root")
_SPHERE = ("stereographic-north", "stereographic-south")
_SPD = ("identity", "log-cholesky", "log")

ROWS = [
    Row(Real(), (1,), 1, 1, _REAL, [[0.0], [-1e9]], [], _real_distance2, flat=True),
    Row(Real(3), (3,), 3, 3, _REAL, [[0.0, 1.0, -2.0]], [], _real_distance2, flat=True),
    Row(
        Interval(0, 1), (1,), 1, 1, _INTERVAL, [[0.0], [1.0], [0.3], [1.0 + 1e-12]], [[-0.1], [1.0001]],
        _interval_distance2(0.0, 1.0), flat=True,
    ),
    Row(
        Interval(-1.5, 0.5, 2), (2,), 2, 2, _INTERVAL, [[-1.5, 0.5], [0.0, -1.0]], [[0.0, 0.6], [-1.6, 0.0]],
        _interval_distance2(-1.5, 0.5), flat=True,
    ),
    Row(Positive(), (1,), 1, 1, _POSITIVE, [[1e-300], [5.0]], [[0.0], [-1.0]], _positive_distance2, flat=True),
    Row(Positive(2), (2,), 2, 2, _POSITIVE, [[1.0, 2.0]], [[1.0, 0.0], [-1.0, 1.0]], _positive_distance2, flat=True),
    Row(
        Simplex(2), (2,), 1, 1, _SIMPLEX, [[1.0, 0.0], [0.4, 0.6]], [[0.5, 0.6], [1.1, -0.1]], _simplex_distance2,
        _sum_to_one,
    ),
    Row(
        Simplex(4), (4,), 3, 3, _SIMPLEX, [[0.25] * 4, [0.0, 0.0, 0.5, 0.5]], [[0.25, 0.25, 0.25, 0.2]],
        _simplex_distance2, _sum_to_one,
    ),
    Row(
        Sphere(1), (2,), 1, 2, _SPHERE, [[1.0, 0.0], [0.6, -0.8]], [[0.0, 0.0], [1.0, 0.1]], _sphere_distance2,
        _of_length_one, default=None,
    ),
    Row(
        Sphere(3), (4,), 3, 4, _SPHERE, [[0.0, 0.0, 0.0, 1.0], [0.5, -0.5, 0.5, -0.5]], [[1.0, 1.0, 0.0, 0.0]],
        _sphere_distance2, _of_length_one, default=None,
    ),
    Row(SPD(1), (1, 1), 1, 1, _SPD, [[[2.0]]], [[[0.0]], [[-1.0]]], _spd_distance2, _asymmetry),
    Row(
        SPD(3), (3, 3), 6, 6, _SPD, [numpy.eye(3), numpy.diag([1e-6, 1.0, 1e6])],
        [numpy.diag([1.0, 0.0, 1.0]), numpy.diag([1.0, -1.0, 1.0]), numpy.eye(3) + 1e-6 * numpy.tri(3, k=-1)],
        _spd_distance2, _asymmetry,
    ),
    Row(
        Product(Real(2), Interval(0, 1)), (3,), 3, 3, ("identity", "cubic|angle", "doubled|signed"), [[5.0, -5.0, 1.0]],
        [[0.0, 0.0, 1.1]], lambda x, y: _real_distance2(x[:2], y[:2]) + _bernoulli_kl(x[2:], y[2:]), flat=True,
    ),
    Row(
        Product(Positive(2), Sphere(2), SPD(2), Simplex(3)), (12,), 9, 10,
        ("log|stereographic-south|log-cholesky|log-ratio", "identity|stereographic-north|identity|identity"),
        [[1.0, 2.0, 0.0, 0.6, 0.8, 2.0, 1.0, 1.0, 3.0, 0.2, 0.3, 0.5]],
        [[1.0, 2.0, 0.0, 0.6, 0.7, 2.0, 1.0, 1.0, 3.0, 0.2, 0.3, 0.5]],
        _mixed_distance2, _mixed_conditions, default=None,
    ),
]  # fmt: skip

IDS = [str(row.manifold) for row in ROWS]
