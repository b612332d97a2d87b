"""Interpretations of the random networks, and what they mean, written again for complex numbers.

`n` numbers z are the reference coordinates of the output activities, `v` the output parameters. Losses of the
distributions are -ln p(y) up to a constant, so that the brute-force Fisher metric is the expectation of their
squared derivatives over `outcomes`.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet import numpy as np

Outcomes = tuple[NDArray, NDArray]
SUPPORT = numpy.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]])
CENTRE = numpy.array([0.5, 0.2])


@attrs.frozen(eq=False)
class Meaning:
    """`loss(z, v, y)` of z (..., n), v (..., p) and y (...); `outcomes(z, v)` gives the probabilities and values
    of all y at one real point; `target(rng, n)` draws one target."""

    declare: Callable[[], Any]
    loss: Callable[[NDArray, NDArray, NDArray], NDArray]
    outcomes: Callable[[NDArray, NDArray], Outcomes] | None
    target: Callable[[numpy.random.Generator, int], Any]
    point: Callable[[NDArray, NDArray], NDArray]
    parameters: Callable[[int], int] = lambda n: 0
    metric: Callable[[NDArray], NDArray] | None = None


@functools.cache
def _grid(n: int, nodes: int) -> Outcomes:
    """Gauss-Hermite nodes and weights of n independent standard normal variables."""
    x, w = numpy.polynomial.hermite_e.hermegauss(nodes)
    points = numpy.array(list(itertools.product(x, repeat=n)))
    weights = numpy.array([numpy.prod(row) for row in itertools.product(w / w.sum(), repeat=n)])
    return weights, points


def _bits(p: NDArray, v: NDArray) -> Outcomes:
    y = numpy.array(list(itertools.product([0.0, 1.0], repeat=len(p))))
    return numpy.prod(numpy.where(y == 1.0, p, 1.0 - p), axis=1), y


def _bernoulli() -> Meaning:
    """Its numbers are probabilities: the reference turns values of an interval into these."""
    return Meaning(
        mn.Bernoulli,
        lambda p, v, y: -(y * numpy.log(p) + (1.0 - y) * numpy.log(1.0 - p)).sum(axis=-1),
        _bits,
        lambda rng, n: rng.integers(0, 2, n).astype(float),
        lambda p, v: p,
    )


def _chosen(values: NDArray, y: NDArray) -> NDArray:
    """values (..., n) at the classes y (...), with broadcasting."""
    hot = numpy.asarray(y)[..., None] == numpy.arange(values.shape[-1])
    return (values * hot).sum(axis=-1)


def _softmax(logits: Callable[[NDArray, NDArray], NDArray], declare: Callable[[], Any], count: int) -> Meaning:
    """Classes with probabilities proportional to the exponentials of `logits(z, v)`; `count` parameters each."""

    def shares(z: NDArray, v: NDArray) -> NDArray:
        raised = numpy.exp(logits(z, v))
        return raised / raised.sum(axis=-1, keepdims=True)

    return Meaning(
        declare,
        lambda z, v, y: numpy.log(numpy.exp(logits(z, v)).sum(axis=-1)) - _chosen(logits(z, v), y),
        lambda z, v: (shares(z, v), numpy.arange(len(z))),
        lambda rng, n: int(rng.integers(n)),
        shares,
        lambda n: count * n,
    )


def _gaussian_loss(means: NDArray, log_scales: NDArray, y: NDArray) -> NDArray:
    error = (y - means) * numpy.exp(-log_scales)
    return (0.5 * error * error + log_scales + 0.5 * numpy.log(2.0 * numpy.pi)).sum(axis=-1)


def _gaussian(shared: bool) -> Meaning:
    def outcomes(z: NDArray, v: NDArray) -> Outcomes:
        weights, nodes = _grid(len(z), 3)
        return weights, z + numpy.exp(v) * nodes

    return Meaning(
        lambda: mn.Gaussian(shared=shared, log_scale=0.2),
        lambda z, v, y: _gaussian_loss(z, v + 0.0 * z, y),
        outcomes,
        lambda rng, n: rng.standard_normal(n),
        lambda z, v: numpy.concatenate([z, numpy.exp(v) + 0.0 * z], axis=-1),
        lambda n: 1 if shared else n,
    )


def _heteroscedastic() -> Meaning:
    def outcomes(z: NDArray, v: NDArray) -> Outcomes:
        n = len(z) // 2
        weights, nodes = _grid(n, 3)
        return weights, z[:n] + numpy.exp(z[n:]) * nodes

    def halves(z: NDArray) -> tuple[NDArray, NDArray]:
        n = z.shape[-1] // 2
        return z[..., :n], z[..., n:]

    return Meaning(
        mn.HeteroscedasticGaussian,
        lambda z, v, y: _gaussian_loss(*halves(z), y),
        outcomes,
        lambda rng, n: rng.standard_normal(n // 2),
        lambda z, v: numpy.concatenate([halves(z)[0], numpy.exp(halves(z)[1])], axis=-1),
    )


def _square() -> Meaning:
    def outcomes(z: NDArray, v: NDArray) -> Outcomes:
        weights, nodes = _grid(len(z), 2)
        return weights, z + nodes

    return Meaning(
        mn.SquareLoss,
        lambda z, v, y: 0.5 * ((y - z) ** 2).sum(axis=-1),
        outcomes,
        lambda rng, n: rng.standard_normal(n),
        lambda z, v: z,
    )


def _energies(np: Any, z: Any, y: Any) -> Any:
    """-energy of the value y (..., 2) at outputs z (..., n)."""
    return np.sin(np.sum(z, axis=-1)) * y[..., 0] + z[..., 0] * y[..., 1] - 0.3 * z[..., -1] ** 2 * y[..., 0]


def _energy_density(np: Any, z: Any, y: Any, v: Any) -> Any:
    total = 0.0
    for value in SUPPORT:
        total = total + np.exp(_energies(np, z, value) + _bias(v, value))
    return _energies(np, z, y) + _bias(v, y) - np.log(total)


def _bias(v: Any, y: Any) -> Any:
    return 0.0 if v is None else v[..., 0] * y[..., 0] + v[..., 1] * y[..., 0] * y[..., 1]


def _density(learned: bool) -> Meaning:
    declared = (
        (lambda: mn.Density(lambda z, y, v: _energy_density(np, z, y, v), SUPPORT, parameters=[0.3, -0.2]))
        if learned
        else (lambda: mn.Density(lambda z, y: _energy_density(np, z, y, None), SUPPORT))
    )

    def log_density(z: NDArray, v: NDArray, y: NDArray) -> NDArray:
        return _energy_density(numpy, z, y, v if learned else None)

    return Meaning(
        declared,
        lambda z, v, y: -log_density(z, v, y),
        lambda z, v: (numpy.exp(log_density(z[None], v[None], SUPPORT)), SUPPORT),
        lambda rng, n: SUPPORT[rng.integers(3)],
        lambda z, v: numpy.exp(log_density(z[..., None, :], v[..., None, :], SUPPORT)),
        lambda n: 2 if learned else 0,
    )


def _aim(np: Any, z: Any, v: Any) -> Any:
    """A point of the circle."""
    x = np.stack([np.sum(z, axis=-1) + v[..., 0], 1.0 + z[..., 0] ** 2 + v[..., 1]], axis=-1)
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))


def _miss(np: Any, point: Any, target: Any) -> Any:
    return 1.0 - np.sum(point * target, axis=-1)


def _aimed() -> Meaning:
    """Points of the circle with the round metric, which need no distribution."""

    def target(rng: numpy.random.Generator, n: int) -> NDArray:
        angle = rng.uniform(0.0, 2.0 * numpy.pi)
        return numpy.array([numpy.cos(angle), numpy.sin(angle)])

    return Meaning(
        lambda: mn.OutputMap(
            lambda z, v: _aim(np, z, v), mn.Sphere(1), loss=lambda p, y: _miss(np, p, y), parameters=[0.4, 0.1]
        ),
        lambda z, v, y: _miss(numpy, _aim(numpy, z, v), y),
        None,
        target,
        lambda z, v: _aim(numpy, z, v),
        lambda n: 2,
        # the round metric is the Euclidean one of the plane, on tangent vectors
        metric=lambda point: numpy.eye(2),
    )


def _stretch(np: Any, point: Any) -> Any:
    return np.stack([np.stack([1.0 + point[..., 0] ** 2, 0.2 + 0.0 * point[..., 0]], axis=-1),
                     np.stack([0.2 + 0.0 * point[..., 0], 2.0 + 0.0 * point[..., 0]], axis=-1)], axis=-2)  # fmt: skip


def _plane(np: Any, z: Any) -> Any:
    return np.stack([np.sum(z, axis=-1), np.sin(z[..., 0]) - z[..., -1]], axis=-1)


def _stretched() -> Meaning:
    """The plane with a metric of the user's own that varies from point to point."""

    def loss(np: Any, point: Any, target: Any) -> Any:
        return np.sum(np.sqrt(1.0 + (point - target) ** 2), axis=-1)

    return Meaning(
        lambda: mn.OutputMap(
            lambda z: _plane(np, z), mn.Real(2), loss=lambda p, y: loss(np, p, y), metric=lambda p: _stretch(np, p)
        ),
        lambda z, v, y: loss(numpy, _plane(numpy, z), y),
        None,
        lambda rng, n: rng.standard_normal(2),
        lambda z, v: _plane(numpy, z),
        metric=lambda point: _stretch(numpy, point),
    )


MEANINGS = {
    "square-loss": _square(),
    "bernoulli": _bernoulli(),
    "softmax": _softmax(lambda z, v: z, mn.Softmax, 0),
    "softmax-coefficients": _softmax(lambda z, v: v * z, lambda: mn.Softmax(coefficients=True), 1),
    "spherical": _softmax(lambda z, v: numpy.log(z * z), mn.Spherical, 0),
    "gaussian": _gaussian(False),
    "gaussian-shared": _gaussian(True),
    "heteroscedastic": _heteroscedastic(),
    "density": _density(False),
    "density-parameters": _density(True),
    "aimed": _aimed(),
    "stretched": _stretched(),
}
