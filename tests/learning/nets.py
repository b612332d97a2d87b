"""Small networks with data, of every kind that training meets."""

from collections.abc import Callable

import numpy

import manifoldnet as mn
from manifoldnet import numpy as np


def swing(theta: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
    """A circle-valued unit with a parameter on the sphere."""
    angle = np.sum(x[..., 0] * theta[..., :2], axis=-1) + theta[..., 2]
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def ragged(seed: int = 0) -> mn.Network:
    """Ragged fan-in, two layers with one stage, a skip."""
    net = mn.Network("ragged", seed=seed)
    x = net.input("x", size=3)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[(x, [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 1, 1]])])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h, x])])
    return net


def several(seed: int = 0) -> mn.Network:
    """Two interpretations, one with an output parameter."""
    net = mn.Network("several", seed=seed)
    x = net.input("x", size=3)
    h = net.layer("h", size=3, map=mn.Affine(mn.logistic), parents=[x])
    net.interpret(
        mn.Bernoulli(), parents=[net.layer("prob", size=1, map=mn.Affine(mn.logistic), parents=[h])], name="p"
    )
    net.interpret(mn.Gaussian(), parents=[net.layer("mean", size=1, map=mn.Affine(), parents=[h])], name="g")
    return net


def curved(seed: int = 0) -> mn.Network:
    """Units that are no affine ones, with curved activities and parameters."""
    net = mn.Network("curved", seed=seed)
    x = net.input("x", size=2)
    circle = mn.Map(swing, parameters=mn.Sphere(2), activity=mn.Sphere(1))
    h = net.layer("h", size=3, map=circle, parents=[x])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=2, map=mn.Affine(), parents=[h])])
    return net


def dataset(name: str, samples: int = 48, held_out: int = 12) -> mn.Dataset:
    """Data for one of the networks."""
    rng = numpy.random.default_rng(7)
    x = rng.standard_normal((samples + held_out, 2 if name == "curved" else 3))
    score = x[:, 0] + 0.3 * rng.standard_normal(len(x))
    if name == "several":
        first = {"p": (score > 0).astype(float)[:, None], "g": (x[:, 1] - score)[:, None]}
        parts = [{key: values[part] for key, values in first.items()} for part in _cut(samples)]
        return mn.Dataset(x[:samples], parts[0], (x[samples:], parts[1]))
    y = numpy.digitize(score, [-0.5, 0.5])
    if name == "curved":
        y = numpy.stack([numpy.cos(score), x[:, 1]], axis=1)
    return mn.Dataset(x[:samples], y[:samples], (x[samples:], y[samples:]))


def _cut(samples: int) -> tuple[slice, slice]:
    return slice(0, samples), slice(samples, None)


NETWORKS: dict[str, Callable[..., mn.Network]] = {"ragged": ragged, "several": several, "curved": curved}
