"""One small network of each kind of stage, with data."""

from collections.abc import Callable

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet import numpy as np


def turned(theta: NDArray, x: NDArray, s: NDArray) -> NDArray:
    """A point of the sphere, from a vector, numbers x (..., m, 1) and points s (..., m, 3) of a sphere."""
    v = theta + np.sum(s, axis=-2) + 0.3 * np.tanh(np.sum(x, axis=-2))
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def sparse(seed: int = 0) -> mn.Network:
    """Ragged fan-in, so that short rows are padded, and a skip."""
    net = mn.Network("sparse", seed=seed)
    x = net.input("x", size=12, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=6, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_out(3, replace=True))
    g = net.layer("g", size=5, map=mn.Affine(mn.tanh), parents=[(h, mn.fan_out(3)), x[:2]])
    y = net.layer("y", size=4, map=mn.Affine(mn.logistic), parents=[(g, mn.fan_out(2)), (h, mn.fan_in(1))])
    net.interpret(mn.Bernoulli(), parents=[y])
    return net


def dense() -> mn.Network:
    net = mn.Network("dense")
    x = net.input("x", size=12, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[x])
    y = net.layer("y", size=3, map=mn.Affine(), parents=[h])
    net.interpret(mn.Softmax(coefficients=True), parents=[y])
    return net


def charted() -> mn.Network:
    """The same in affine and curved charts of activities, pre-activations and parameters."""
    cube = mn.Chart("cube", lambda p: p + p**3 / 3, lambda u: 2 * np.sinh(np.arcsinh(1.5 * u) / 3))
    net = dense().with_charts({"x": "signed", "h": "angle", "y": "doubled", "y/pre-activation": "doubled"})
    return net.with_charts({"h/parameters": attrs.evolve(cube)})


def curved() -> mn.Network:
    """Maps on curved manifolds, parameters on one, and an affine layer that reads them."""
    net = mn.Network("curved")
    x = net.input("x", size=12, manifold=mn.Interval(0, 1))
    s = net.input("s", size=3, manifold=mn.Sphere(2))
    parents = [x, (s, mn.fan_in(2))]
    t = net.layer("t", size=3, map=mn.Map(turned, parameters=mn.Sphere(2), activity=mn.Sphere(2)), parents=parents)
    y = net.layer("y", size=2, map=mn.Affine(mn.softplus), parents=[t, x[:2]])
    net.interpret(mn.Spherical(), parents=[y])
    return net


def pairs() -> mn.Network:
    """Units with two numbers, and outputs on two interpretations, one of which has parameters."""
    net = mn.Network("pairs")
    x = net.input("x", size=12, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=3, map=mn.Affine(mn.tanh), manifold=mn.Interval(-1, 1, 2), parents=[x[:4]])
    y = net.layer("y", size=2, map=mn.Affine(), parents=[h])
    net.interpret(mn.Gaussian(), parents=[y], name="mean")
    net.interpret(mn.SquareLoss(), parents=[h[:1]], name="inside")
    return net


KINDS: dict[str, Callable[[], mn.Network]] = {
    "sparse": sparse,
    "dense": dense,
    "charted": charted,
    "curved": curved,
    "pairs": pairs,
}


def data(name: str, samples: int = 7) -> tuple[object, object]:
    rng = numpy.random.default_rng(5)
    x = rng.random((samples, 12))
    if name == "sparse":
        return x, rng.integers(0, 2, (samples, 4)).astype(float)
    if name in ("dense", "charted"):
        return x, rng.integers(0, 3, samples)
    if name == "pairs":
        return x, {"mean": rng.standard_normal((samples, 2)), "inside": rng.standard_normal((samples, 2))}
    return {"x": x, "s": mn.Sphere(2).sample(rng, 3 * samples).reshape(samples, 3, 3)}, rng.integers(0, 2, samples)
