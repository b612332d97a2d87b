"""Hidden units on a sphere: each turns by its own parameter the weighted sum of the directions it sees.

Points on a sphere of dimension two are classified by the octant-like region that a hidden rule gives them.
"""

import numpy

import manifoldnet as mn
from manifoldnet import numpy as np

title = "sphere-valued hidden units"
schedule = mn.FullBatch(steps=150, rate=0.1)


def turn_and_pull(theta, x):
    """Turn the sum of the inputs (..., m, 3) by about the rotation vector theta[:3], and pull it towards theta[3:]."""
    mean = np.sum(x, axis=-2)
    w = theta[..., :3]
    turned = mean + np.cross(w, mean) + 0.5 * np.cross(w, np.cross(w, mean)) + theta[..., 3:]
    return turned / np.sqrt(np.sum(turned**2, axis=-1, keepdims=True))


def network(seed=0, hidden=8):
    net = mn.Network("spheres", seed=seed)
    x = net.input("x", size=2, manifold=mn.Sphere(2))
    turned = mn.Map(turn_and_pull, parameters=mn.Real(6), activity=mn.Sphere(2))
    s = net.layer("s", size=hidden, map=turned, parents=[x])
    y = net.layer("y", size=3, map=mn.Affine(mn.identity), parents=[s, x])
    net.interpret(mn.Softmax(), parents=[y])
    return net


def data(seed=0, samples=400):
    rng = numpy.random.default_rng([seed, 1])
    points = rng.standard_normal((samples, 2, 3))
    points /= numpy.linalg.norm(points, axis=2, keepdims=True)
    cosine = (points[:, 0] * points[:, 1]).sum(axis=1)
    labels = numpy.digitize(cosine, [-1 / 3, 1 / 3])
    return mn.split(points, labels, seed=seed)
