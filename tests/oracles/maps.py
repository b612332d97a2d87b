"""Maps of the random networks: each a formula that is written once, for whichever NumPy it is handed.

The networks declare it with the differentiable NumPy of the package, the reference evaluates it with plain
NumPy on complex numbers.
"""

import functools
from collections.abc import Callable
from typing import Any

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.geometry.manifold import Manifold

Formula = Callable[[Any, Any, Any], Any]


@attrs.frozen(eq=False)
class Kind:
    """A map from a parameter and a signal (..., 3), which sums up the parents, to a point of `activity`."""

    parameters: Manifold | None
    activity: Manifold
    formula: Formula
    charts: tuple[str, ...] = ()


def _unit(np: Any, v: Any) -> Any:
    return v / np.sqrt(np.sum(v * v, axis=-1, keepdims=True))


def _turned(np: Any, theta: Any, s: Any) -> Any:
    return _unit(np, theta + s + numpy.array([0.0, 0.3, 1.5]))


def _weighed(np: Any, theta: Any, s: Any) -> Any:
    return np.stack([np.sum(theta * np.tanh(s), axis=-1), theta[..., 0] * s[..., 1] - s[..., 2]], axis=-1)


def _stretched(np: Any, theta: Any, s: Any) -> Any:
    q = s[..., :2]
    return 0.3 + np.sum(np.sum(theta * q[..., None, :], axis=-1) * q, axis=-1, keepdims=True)


def _seen(np: Any, theta: Any, s: Any) -> Any:
    size = np.sqrt(1.0 + np.sum(s * s, axis=-1, keepdims=True))
    return np.sum(theta * s, axis=-1, keepdims=True) / size


def _shares(np: Any, theta: Any, s: Any) -> Any:
    raised = np.exp(s)
    return raised / np.sum(raised, axis=-1, keepdims=True)


def _spread(np: Any, theta: Any, s: Any) -> Any:
    u = theta + s[..., :2]
    return u[..., :, None] * u[..., None, :] + numpy.eye(2)


def _pair(np: Any, theta: Any, s: Any) -> Any:
    direction = np.stack([theta[..., 1] + s[..., 1], 1.0 + s[..., 2] ** 2], axis=-1)
    return np.concatenate([theta[..., :1] * s[..., :1], _unit(np, direction)], axis=-1)


KINDS = {
    "turned": Kind(mn.Real(3), mn.Sphere(2), _turned, ("doubled", "arcsinh", "cubic", "mixed", "sheared")),
    "weighed": Kind(mn.Simplex(3), mn.Real(2), _weighed, ("identity", "log-ratio", "mixed")),
    "stretched": Kind(mn.SPD(2), mn.Positive(1), _stretched, ("identity", "log-cholesky", "log", "mixed")),
    "scaled": Kind(
        mn.Positive(1),
        mn.Real(1),
        lambda np, theta, s: np.sin(theta * s[..., :1]) + s[..., 1:2],
        ("identity", "log", "sqrt", "reciprocal"),
    ),
    "seen": Kind(mn.Sphere(2), mn.Interval(-1, 1), _seen, ("stereographic-north", "stereographic-south")),
    "shares": Kind(None, mn.Simplex(3), _shares),
    "direction": Kind(
        None, mn.Sphere(1), lambda np, theta, s: _unit(np, np.stack([s[..., 0] + 1.2, s[..., 1]], axis=-1))
    ),
    "spread": Kind(mn.Real(2), mn.SPD(2), _spread, ("arcsinh",)),
    "pair": Kind(mn.Real(2), mn.Product(mn.Real(1), mn.Sphere(1)), _pair, ("cubic",)),
    "moved": Kind(
        mn.Product(mn.Real(1), mn.Sphere(1)),
        mn.Real(1),
        lambda np, theta, s: theta[..., :1] + theta[..., 1:2] * s[..., :1] + theta[..., 2:3] * s[..., 1:2],
    ),
    "odds": Kind(
        mn.Interval(0, 1, 2),
        mn.Real(1),
        lambda np, theta, s: np.log(theta[..., :1] / (1.0 - theta[..., :1])) + theta[..., 1:] ** 2 * s[..., 2:],
        ("signed", "log-odds", "angle"),
    ),
    "bare": Kind(None, mn.Real(1), lambda np, theta, s: s[..., :1] * s[..., 1:2] - s[..., 2:]),
}


def mixture(edge: int, size: int) -> NDArray:
    """The fixed weights (size, 3) with which the parents on one edge enter the signal."""
    i, j = numpy.indices((size, 3))
    return numpy.cos(1.0 + edge + (i + 1.0) * (j + 1.3)) / numpy.sqrt(size)


def signal(np: Any, parents: tuple[Any, ...], point_ndims: tuple[int, ...]) -> Any:
    """The sum over edges of the sines of all their coordinates, mixed into three numbers, (..., 3)."""
    total: Any = 0.0
    for edge, (points, ndim) in enumerate(zip(parents, point_ndims, strict=True)):
        lead = np.shape(points)[: np.ndim(points) - 1 - ndim]
        flat = np.reshape(points, (*lead, -1))
        total = total + np.sin(flat) @ mixture(edge, np.shape(flat)[-1])
    return total


@functools.cache
def declared(kind: str, point_ndims: tuple[int, ...]) -> mn.Map:
    """The map as a network declares it; layers that read alike share one."""
    chosen = KINDS[kind]
    if chosen.parameters is None:

        def function(*parents: Any) -> Any:
            return chosen.formula(np, None, signal(np, parents, point_ndims))
    else:

        def function(theta: Any, *parents: Any) -> Any:
            return chosen.formula(np, theta, signal(np, parents, point_ndims))

    function.__name__ = kind
    return mn.Map(function, parameters=chosen.parameters, activity=chosen.activity)


def evaluated(kind: str, theta: NDArray, parents: list[NDArray], point_ndims: tuple[int, ...]) -> NDArray:
    """The same value from plain NumPy: theta (..., *shape) and one array (..., m, *shape) for each edge."""
    return KINDS[kind].formula(numpy, theta, signal(numpy, tuple(parents), point_ndims))
