"""A metric rule gives tensors that are metrics, averages over samples, and invariant where it claims so."""

import numpy

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.links import tanh
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.geometry.interval import Interval
from manifoldnet.laws.averages import average
from manifoldnet.laws.record import Check
from manifoldnet.linalg.damping import Tikhonov
from manifoldnet.testing.invariance import assert_invariant
from manifoldnet.testing.situations import drawn_situation

TOLERANCE = 1e-9


def check_metric(metric: MetricRule, net: Network | None = None, seed: int = 0) -> list[Check]:
    """Raise AssertionError unless a metric of your own is one, on a network (a small classifier by default).

    Its matrix is symmetric and positive, what the tensor says of lengths, products and solutions agrees with that matrix,
    samples are averaged, and all laws of `manifoldnet verify` that change charts hold. Returns what they measured.
    """
    net = _small() if net is None else net
    situation = drawn_situation(net, seed=seed)
    tensor, rng = situation.tensor(metric), situation.rng(13)
    matrix = tensor.as_matrix()
    size = max(float(numpy.abs(matrix).max()), 1e-300)
    u, v = rng.standard_normal((2, tensor.size))
    solution = tensor.solve(v, Tikhonov(0.1 * size))
    found = {
        "asymmetry of its matrix": numpy.abs(matrix - matrix.T).max() / size,
        "negative eigenvalue": max(0.0, -float(numpy.linalg.eigvalsh(matrix)[0])) / size,
        "norm2 against its matrix": abs(tensor.norm2(u) - u @ matrix @ u) / (size * (u @ u)),
        "inner against its matrix": abs(tensor.inner(u, v) - u @ matrix @ v) / (size * numpy.sqrt((u @ u) * (v @ v))),
        "multiply against its matrix": numpy.abs(tensor.multiply(u) - matrix @ u).max() / (size * numpy.abs(u).max()),
        "diagonal against its matrix": numpy.abs(tensor.diagonal() - numpy.diagonal(matrix)).max() / size,
    }
    wrong = [f"{what}: {gap:.1e}" for what, gap in found.items() if not gap <= TOLERANCE]
    if not numpy.isfinite(solution).all() or not solution @ v > 0.0:
        wrong.append("a solution with Tikhonov damping is not finite, or goes uphill")
    averaged = average(situation, metric)
    if averaged.failed:
        wrong.append(f"samples are not averaged: the same data twice deviate by {averaged.deviation:.1e}")
    if wrong:
        raise AssertionError(f"metric {metric.name!r}: {'; '.join(wrong)} (at most {TOLERANCE:.0e} expected)")
    return assert_invariant(net, metric, seed=seed)


def _small() -> Network:
    net = Network("small classifier")
    x = net.input("x", size=3, manifold=Interval(0, 1))
    h = net.layer("h", size=4, map=Affine(tanh), parents=[x])
    net.interpret(Softmax(), parents=[net.layer("y", size=3, map=Affine(), parents=[h, x])])
    return net
