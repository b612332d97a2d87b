"""Units whose pre-activations are as large as a thousand: everything that must stay finite, and what it must be."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from tests.backends import compiled
from tests.oracles.compare import EXACT

OUTPUTS = 3
# targets of two samples that agree with large positive pre-activations of unit 0, and of the other units
CLASSES = [numpy.array([0, 0]), numpy.array([1, 2])]
BITS = [numpy.array([[1.0, 0.0, 0.0]] * 2), numpy.array([[0.0, 1.0, 1.0]] * 2), numpy.full((2, 3), 0.5)]
REALS = [numpy.zeros((2, 3)), numpy.array([[5.0, -2.0, 0.3]] * 2)]
ROWS: list[tuple[Any, str, list[NDArray]]] = [
    (mn.Bernoulli(), "logistic", BITS),
    (mn.Bernoulli(), "tanh", BITS),
    (mn.Bernoulli(), "scaled_tanh", BITS),
    (mn.Softmax(), "identity", CLASSES),
    (mn.Softmax(), "logistic", CLASSES),
    (mn.Softmax(coefficients=True), "identity", CLASSES),
    (mn.Spherical(), "identity", CLASSES),
    (mn.Spherical(), "logistic", CLASSES),
    (mn.Spherical(), "softplus", CLASSES),
    (mn.SquareLoss(), "identity", REALS),
    (mn.SquareLoss(), "logistic", REALS),
    (mn.SquareLoss(), "tanh", REALS),
    (mn.Gaussian(), "tanh", REALS),
]
METRICS = (
    mn.Natural(),
    mn.UnitwiseNatural(),
    mn.Backpropagated(),
    mn.OuterProduct(),
    mn.UnitwiseOuterProduct(),
    mn.MonteCarloNatural(samples=2),
    mn.QuasiDiagonal(mn.Backpropagated()),
    mn.QuasiDiagonal(mn.UnitwiseNatural()),
    mn.Diagonal(mn.Backpropagated()),
)
SIZES = (1e3, 300.0, 40.0)


def saturated(interpretation: Any, link: str, hidden: str, size: float, signs: tuple[float, ...]) -> tuple:
    """A network whose outputs have pre-activations near +-size; so have its hidden units."""
    net = mn.Network("saturated")
    x = net.input("x", size=2)
    h = net.layer("h", size=2, map=mn.Affine(hidden), parents=[x])
    y = net.layer("y", size=OUTPUTS, map=mn.Affine(link), parents=[h])
    net.interpret(interpretation, parents=[y])
    program = compiled(net)
    theta = program.initialize(numpy.random.default_rng(0))
    flat = numpy.array(theta.flat)
    place = program.layout["y"].positions(program.layout.size)
    flat[place[:, 0]] = size * numpy.array(signs)
    flat[place[:, 1:]] *= 0.1
    flat[program.layout["h"].positions(program.layout.size)[:, 0]] = size * numpy.array([1.0, -1.0])
    return program, theta.replace(flat), numpy.array([[0.3, -1.0], [1.2, 0.4]])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("signs", [(1.0, -1.0, 1.0), (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize(("interpretation", "link", "targets"), ROWS, ids=lambda row: str(row)[:40])
def test_everything_is_finite(
    interpretation: Any, link: str, targets: list[NDArray], signs: tuple[float, ...], size: float
) -> None:
    """Losses, differentials, metrics, and steps under Tikhonov damping; without a single warning."""
    program, theta, inputs = saturated(interpretation, link, "tanh", size, signs)
    for y in targets:
        assert numpy.isfinite(program.losses(theta, inputs, y)).all()
        differential = program.differential(theta, inputs, y)
        assert numpy.isfinite(differential.flat).all()
        for metric in METRICS:
            tensor = program.metric(metric, theta, inputs, y, rng=numpy.random.default_rng(0))
            assert numpy.isfinite(tensor.as_matrix()).all(), metric
            step = tensor.solve(differential, mn.Tikhonov(1e-4))
            assert numpy.isfinite(step).all(), metric
            assert numpy.isfinite(program.step(theta, -0.01 * step).flat).all(), metric


@pytest.mark.parametrize(("link", "slope"), [("logistic", 1.0), ("tanh", 2.0), ("scaled_tanh", 4.0 / 3.0)])
def test_bernoulli_far_out(link: str, slope: float) -> None:
    """At log-odds z = +-1000 slope: the loss is |z| where the bit is wrong, 0 where it is right; dl/dy = +-slope."""
    program, theta, inputs = saturated(mn.Bernoulli(), link, "tanh", 1e3, (1.0, -1.0, 1.0))
    wrong, right = BITS[1][:, :2], BITS[0][:, :2]
    y = numpy.concatenate([wrong, numpy.ones((2, 1))], axis=1)
    losses = program.losses(theta, inputs, y)
    assert numpy.abs(losses / (2.0 * slope * 1e3) - 1.0).max() < 1e-3
    assert program.loss(theta, inputs, numpy.concatenate([right, numpy.ones((2, 1))], axis=1)) == 0.0
    bias = program.differential(theta, inputs, y)["y"][:, 0]
    assert numpy.abs(bias - slope * numpy.array([1.0, -1.0, 0.0])).max() < EXACT


@pytest.mark.parametrize(
    ("link", "log"),
    [("logistic", lambda y: -numpy.logaddexp(0.0, -y)), ("softplus", lambda y: numpy.log(numpy.logaddexp(0.0, y)))],
)
def test_spherical_of_vanishing_activities(link: str, log: Callable[[NDArray], NDArray]) -> None:
    """The shares of a^2 depend on ratios only: there log a = y to rounding, while a itself underflows."""
    net = mn.Network("vanishing")
    y = net.layer("y", size=2, map=mn.Affine(link), parents=[net.input("x", size=1)])
    net.interpret(mn.Spherical(), parents=[y])
    program = compiled(net)
    near = program.output(numpy.array([-30.0, 0.0, -32.0, 0.0]), [[0.0]])
    far = program.output(numpy.array([-1000.0, 0.0, -1002.0, 0.0]), [[0.0]])
    assert numpy.abs(far[0, 0] / far[0, 1] / numpy.exp(4.0) - 1.0) < EXACT
    assert numpy.abs(near[0, 0] / near[0, 1] / numpy.exp(2.0 * (log(-30.0) - log(-32.0))) - 1.0) < 1e-6


def test_softmax_far_out() -> None:
    """The loss of the wrong class is the difference of the logits; the differential is one and minus one."""
    net = mn.Network("far")
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=2, map=mn.Affine(), parents=[net.input("x", size=1)])])
    program = compiled(net)
    theta = numpy.array([1000.0, 0.0, -1000.0, 0.0])
    assert program.loss(theta, [[0.0]], [1]) == 2000.0
    assert program.differential(theta, [[0.0]], [1]).flat.tolist() == [1.0, 0.0, -1.0, 0.0]
    assert program.loss(theta, [[0.0]], [0]) == 0.0


@pytest.mark.parametrize("link", ["logistic", "tanh", "scaled_tanh", "softplus"])
def test_hidden_units_far_out(link: str) -> None:
    """Their rates vanish without becoming NaN, in closed form and by automatic differentiation alike."""
    for lowering in ("auto", "general"):
        net = mn.Network("hidden")
        h = net.layer("h", size=2, map=mn.Affine(link), parents=[net.input("x", size=1)])
        net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h])])
        program = compiled(net, lowering=lowering)
        theta = numpy.array([1e3, 1.0, -1e3, 1.0, 0.2, 0.5, -0.4])
        assert numpy.isfinite(program.differential(theta, [[0.5]], [1.0]).flat).all()
        matrix = program.metric(mn.Backpropagated(), theta, [[0.5]]).as_matrix()
        assert numpy.isfinite(matrix).all()
        assert matrix[2, 2] == 0.0
