"""Hidden units on a sphere: each turns the first of two directions by a rotation that the second one steers.

How far apart two points of a sphere are is told from sphere-valued hidden units and the points themselves.
"""

import numpy

import manifoldnet as mn
from manifoldnet import numpy as np

title = "sphere-valued hidden units"
schedule = mn.FullBatch(steps=150, rate=0.1, patience=4)


def turn(theta, x):
    """Turn x[0] by the rotation with Rodrigues vector w = theta[:3] + theta[3:] x[1]; x is (..., 2, 3)."""
    first, second = x[..., 0, :], x[..., 1, :]
    w = theta[..., :3] + theta[..., 3:] * second
    squared = np.sum(w**2, axis=-1, keepdims=True)
    along = np.sum(w * first, axis=-1, keepdims=True)
    # the Cayley transform: smooth everywhere, and exactly a rotation
    return ((1 - squared) * first + 2 * along * w + 2 * np.cross(w, first)) / (1 + squared)


def network(seed=0, hidden=8):
    net = mn.Network("spheres", seed=seed)
    x = net.input("x", size=2, manifold=mn.Sphere(2))
    turned = mn.Map(turn, parameters=mn.Real(6), activity=mn.Sphere(2))
    s = net.layer("s", size=hidden, map=turned, parents=[x])
    y = net.layer("y", size=3, map=mn.Affine(mn.identity), parents=[s, x])
    net.interpret(mn.Softmax(), parents=[y])
    return net


def data(seed=0, samples=1000):
    rng = numpy.random.default_rng([seed, 1])
    points = rng.standard_normal((samples, 2, 3))
    points /= numpy.linalg.norm(points, axis=2, keepdims=True)
    cosine = (points[:, 0] * points[:, 1]).sum(axis=1)
    labels = numpy.digitize(cosine, [-1 / 3, 1 / 3])
    return mn.split(points, labels, seed=seed)
