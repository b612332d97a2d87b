"""Moduli of the units that outputs alone read, which JAX takes from squares and the reference from rows."""

from collections.abc import Callable

import numpy
import pytest

import manifoldnet as mn

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]


def layers(top: Callable[..., list], activity: mn.Interval | None = None) -> mn.Network:
    """x, h, g and outputs that read what `top` says of h and g."""
    net = mn.Network("layers")
    x = net.input("x", size=6)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), manifold=activity or mn.Interval(-1, 1), parents=[x])
    g = net.layer("g", size=5, map=mn.Affine(mn.logistic), parents=[h])
    y = net.layer("y", size=3, map=mn.Affine(mn.logistic), parents=top(h, g))
    net.interpret(mn.Bernoulli(), parents=[y])
    return net


NETS: dict[str, Callable[[], mn.Network]] = {
    "in a row": lambda: layers(lambda h, g: [g]),
    "two layers": lambda: layers(lambda h, g: [h, g]),
    "in parts": lambda: layers(lambda h, g: [g[:2], g[2:]]),
    "of two numbers": lambda: layers(lambda h, g: [h, g], mn.Interval(-1, 1, 2)),
    "in a chart": lambda: layers(lambda h, g: [g]).with_charts({"h": "angle", "g": "angle", "y": "signed"}),
    "sparse": lambda: layers(lambda h, g: [(g, mn.fan_out(2))]),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "rule", [mn.UnitwiseNatural(), mn.QuasiDiagonal(mn.UnitwiseNatural())], ids=["blocks", "quasi"]
)
def test_fisher_moduli_below_the_outputs(name: str, rule: object) -> None:
    net, rng = NETS[name](), numpy.random.default_rng(0)
    theta, x = mn.compile(net).initialize(rng), rng.standard_normal((9, 6))
    found, expected = (mn.compile(net, backend=b).metric(rule, theta, x).as_matrix() for b in ("jax", "autograd"))
    # sums of the same squares, in another order
    assert numpy.abs(found - expected).max() < 1e-13 * numpy.abs(expected).max()
