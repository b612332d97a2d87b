"""Data that do not fit the network are refused, with what was expected, what was received and where."""

from typing import Any

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DataError
from tests.backends import compiled

ROWS = numpy.array([[0.2, 0.9], [0.5, 0.0], [1.0, 0.3]])


def program(interpretation: Any, link: Any = "identity", manifold: Any = None, outputs: int = 3) -> mn.Program:
    """Two inputs "x" and outputs that the interpretation reads."""
    net = mn.Network("data")
    x = net.input("x", size=2, manifold=manifold or mn.Interval(0, 1))
    net.interpret(interpretation, parents=[net.layer("y", size=outputs, map=mn.Affine(link), parents=[x])])
    return compiled(net)


def loss(program: mn.Program, inputs: Any, targets: Any) -> float:
    return program.loss(program.initialize(numpy.random.default_rng(0)), inputs, targets)


# -------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (ROWS * 2.0, r"input 'x': row 0, column 1 holds 1.8, which is not a point of Interval\(low=0.0, high=1.0"),
        (numpy.where(ROWS == 0.5, numpy.nan, ROWS), "input 'x': row 1, column 0 holds nan, which is not a point"),
        (numpy.where(ROWS == 0.3, numpy.inf, ROWS), "input 'x': row 2, column 1 holds inf, which is not a point"),
        (ROWS[:, :1], r"input 'x' has shape \(samples, 2\), received \(3, 1\)"),
        (ROWS[0], r"input 'x' has shape \(samples, 2\), received \(2,\)"),
        (ROWS[:0], "input 'x' holds no samples"),
        ([["a", "b"]], "input 'x' takes numbers, received list"),
        ({"x": ROWS, "z": ROWS}, "inputs are a mapping with the names x; unknown: z"),
        ({}, "inputs are a mapping with the names x; missing: x"),
    ],
)
def test_inputs(inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loss(program(mn.SquareLoss()), inputs, numpy.zeros((3, 3)))


def test_points_off_a_sphere() -> None:
    points = numpy.array([[[0.6, 0.8], [1.0, 0.0]], [[0.6, 0.8], [0.9, 0.0]]])
    sphere = program(mn.SquareLoss(), manifold=mn.Sphere(1))
    with pytest.raises(DataError, match=r"row 1, column 1 holds \[0.9 0. \], which is not a point of Sphere\(n=1\)"):
        loss(sphere, points, numpy.zeros((2, 3)))
    with pytest.raises(DataError, match=r"input 'x' has shape \(samples, 2, 2\), received \(2, 2\)"):
        loss(sphere, points[:, 0], numpy.zeros((2, 3)))


def test_encoded_inputs_are_checked() -> None:
    net = mn.Network("encoded")
    x = net.input("x", size=2, manifold=mn.Interval(0, 1), encode=lambda raw: numpy.asarray(raw) / 16.0)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[x])])
    program = compiled(net)
    assert loss(program, [[16, 0]], [0.0]) >= 0.0
    with pytest.raises(DataError, match="row 0, column 0 holds 1.0625, which is not a point"):
        loss(program, [[17, 0]], [0.0])


def test_several_inputs() -> None:
    net = mn.Network("two")
    parents = [net.input("a", size=1), net.input("b", size=1)]
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=parents)])
    both = compiled(net)
    with pytest.raises(DataError, match=r"the network has several inputs \(a, b\): give a mapping by name"):
        loss(both, ROWS, numpy.zeros(3))
    with pytest.raises(DataError, match="inputs are a mapping with the names a, b; missing: b"):
        loss(both, {"a": ROWS[:, :1]}, numpy.zeros(3))
    with pytest.raises(DataError, match="inputs hold different numbers of samples: {'a': 3, 'b': 2}"):
        loss(both, {"a": ROWS[:, :1], "b": ROWS[:2, :1]}, numpy.zeros(3))


def test_an_activity_that_leaves_its_manifold() -> None:
    """A map that stays inside where it is probed, and not everywhere."""
    net = mn.Network("leaving")
    map = mn.Map(lambda x: x.sum(-2) / 6.0, activity=mn.Interval(-1, 1))
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=map, parents=[net.input("x")])])
    program = compiled(net)
    assert loss(program, [[5.0]], [[1.0]]) > 0.0
    with pytest.raises(ArithmeticError, match=r"unit y\[0\] leaves Interval\(low=-1.0.* activity is \[1.5\]\. Its map"):
        loss(program, [[9.0]], [[1.0]])


def test_inputs_of_one_number_with_axes_of_their_own() -> None:
    """(samples, units) where input units are one-dimensional, whatever the shape of their points."""
    net = mn.Network("one by one")
    x = net.input("x", size=2, manifold=mn.SPD(1))
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[x])])
    program, theta = compiled(net), numpy.array([1.0, 2.0, 3.0])
    assert program.output(theta, [[1.0, 0.5]]).tolist() == [[4.5]]
    assert program.output(theta, [[[[1.0]], [[0.5]]]]).tolist() == [[4.5]]


# -------------------------------------------------------------------- targets


SUPPORTED = mn.Density(lambda z, y: -numpy.log(2.0) + 0.0 * z[..., 0] * y, [0.0, 1.0])
CIRCLE = mn.OutputMap(
    lambda z: z[..., :2] / (z[..., :1] ** 2 + z[..., 1:2] ** 2) ** 0.5,
    mn.Sphere(1),
    loss=lambda p, y: ((p - y) ** 2).sum(-1),
)


@pytest.mark.parametrize(
    ("interpretation", "link", "targets", "message"),
    [
        (mn.Softmax(), "identity", [0, 1, 3], r"targets of 'out' are class indices in 0..2, received 3 in row 2"),
        (mn.Softmax(), "identity", [0, -1, 2], r"class indices in 0..2, received -1 in row 1"),
        (mn.Softmax(), "identity", numpy.eye(3), r"class indices of shape .*\(3,\), received shape \(3, 3\): one-hot"),
        (mn.Softmax(), "identity", [0.5, 1.0, 2.0], "are class indices, received dtype float64"),
        (mn.Spherical(), "logistic", [0, 1, 3], "class indices in 0..2, received 3 in row 2"),
        (mn.Spherical(), "logistic", [0.0, numpy.nan, 1.0], "are class indices, received dtype float64"),
        (mn.Bernoulli(), "logistic", numpy.full((3, 3), 2.0), "0/1 arrays, received 2.0 in row 0, column 0"),
        (mn.Bernoulli(), "logistic", [0, 1, 2], r"shape \(samples, outputs\) = \(3, 3\), received \(3,\)"),
        (mn.SquareLoss(), "identity", numpy.zeros((2, 3)), r"= \(3, 3\), received \(2, 3\)"),
        (mn.SquareLoss(), "identity", numpy.full((3, 3), numpy.nan), "targets of 'out' hold nan in row 0, column 0"),
        (mn.SquareLoss(), "identity", "abc", "targets of 'out' are numbers, received str"),
        (mn.Gaussian(), "identity", numpy.full((3, 3), numpy.inf), "targets of 'out' hold inf in row 0, column 0"),
        (SUPPORTED, "identity", [0.0, 0.5, 1.0], "are values of its support; row 1 holds 0.5"),
        (SUPPORTED, "identity", numpy.zeros((3, 1)), r"targets of 'out' have shape \(3,\), received \(3, 1\)"),
        (CIRCLE, "identity", numpy.zeros((2, 2)), "targets of 'out' hold 3 samples, received shape"),
        (CIRCLE, "identity", numpy.full((3, 2), numpy.nan), "targets of 'out' hold nan"),
        (mn.SquareLoss(), "identity", {"y": 0.0}, "targets are a mapping with the names out; missing: out"),
    ],
)
def test_targets(interpretation: Any, link: str, targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loss(program(interpretation, link), ROWS, targets)


def test_targets_of_several_interpretations() -> None:
    net = mn.Network("two meanings")
    y = net.layer("y", size=2, map=mn.Affine(), parents=[net.input("x", size=2)])
    net.interpret(mn.SquareLoss(), parents=[y], name="values")
    net.interpret(mn.Softmax(), parents=[y], name="classes")
    with pytest.raises(DataError, match=r"the network has several targets \(values, classes\): give a mapping by name"):
        loss(compiled(net), ROWS, [0, 1, 1])


# -------------------------------------------------------------------- metrics and vectors


def test_what_metrics_need() -> None:
    softmax = program(mn.Softmax())
    theta = softmax.initialize(numpy.random.default_rng(0))
    with pytest.raises(DataError, match="outer-product is made of losses: give the targets too"):
        softmax.metric(mn.OuterProduct(), theta, ROWS)
    with pytest.raises(
        DataError, match=r"monte-carlo-natural draws targets: give rng=numpy.random.default_rng\(seed\)"
    ):
        softmax.metric(mn.MonteCarloNatural(), theta, ROWS)
    with pytest.raises(TypeError, match=r"metric= takes a rule such as mn.Backpropagated\(\)"):
        softmax.metric(mn.Backpropagated, theta, ROWS)
    with pytest.raises(ValueError, match="samples= is how many targets are drawn .* at least 1; received 0"):
        mn.MonteCarloNatural(samples=0)
    with pytest.raises(TypeError, match="a reduction takes a unitwise metric"):
        mn.QuasiDiagonal(mn.Euclidean())


def test_draws_where_there_is_no_distribution() -> None:
    aimed = program(CIRCLE)
    theta = aimed.initialize(numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="is not a distribution, so no targets can be drawn"):
        aimed.metric(mn.MonteCarloNatural(), theta, ROWS, rng=numpy.random.default_rng(0))


def test_vectors_of_another_length() -> None:
    softmax = program(mn.Softmax())
    theta = softmax.initialize(numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="9 numbers"):
        softmax.loss(numpy.zeros(8), ROWS, [0, 1, 2])
    with pytest.raises(ValueError, match="9 numbers"):
        softmax.step(theta, numpy.zeros(10))
    with pytest.raises(ValueError, match="9 numbers"):
        theta.replace(numpy.zeros(10))
    with pytest.raises(ValueError, match="no backend is named 'abacus'"):
        mn.compile(mn.Network("empty"), backend="abacus")


def test_a_metric_that_would_not_fit_in_memory() -> None:
    net = mn.Network("large")
    x = net.input("x", size=50)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=50, map=mn.Affine(), parents=[x])])
    small = compiled(net, memory_limit=2**20)
    theta = small.initialize(numpy.random.default_rng(0))
    with pytest.raises(MemoryError, match=r"the natural metric would take .* MiB for 100 samples and 2550 parameters"):
        small.metric(mn.Natural(), theta, numpy.zeros((100, 50)))
