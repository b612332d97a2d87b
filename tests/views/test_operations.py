"""Costs of metrics: the orders that the paper claims, counted by hand on networks where that is easy."""

import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.metrics.names import METRICS
from manifoldnet.views.description import describe
from manifoldnet.views.operations import operations_per_sample, sizes_of


def layered(inputs: int, units: int, outputs: int) -> mn.Program:
    net = mn.Network("layered")
    h = net.layer("h", size=units, map=mn.Affine(mn.tanh), parents=[net.input("x", size=inputs)])
    y = net.layer("y", size=outputs, map=mn.Affine(), parents=[h])
    net.interpret(mn.Softmax(), parents=[y])
    return mn.compile(net)


def test_sizes() -> None:
    sizes = sizes_of(layered(7, 5, 3))
    assert sizes.parameters == sizes.links == 5 * 8 + 3 * 6
    assert (sizes.squares, sizes.rows) == (5 * 8**2 + 3 * 6**2, 3)


@pytest.mark.parametrize(
    ("name", "pulled", "entries"),
    [
        ("euclidean", 0, 0),
        ("adagrad", 0, 58),
        ("diagonal-gauss-newton", 1, 58),
        ("quasi-diagonal-backpropagated", 1, 2 * 58),
        ("quasi-diagonal-outer-product", 0, 2 * 58),
        ("quasi-diagonal-monte-carlo-natural", 1, 2 * 58),
        ("quasi-diagonal-natural", 3, 2 * 58),
        ("backpropagated", 1, 428),
        ("unitwise-outer-product", 0, 428),
        ("unitwise-monte-carlo-natural", 1, 428),
        ("unitwise-natural", 3, 428),
        # few samples: products of rows; many: the matrix
        ("outer-product", 0, 58 * 10),
        ("natural", 3, 3 * 58 * 30),
    ],
)
def test_operations_counted_by_hand(name: str, pulled: int, entries: int) -> None:
    """7 inputs, 5 units, 3 classes: 58 links, squares 5 * 64 + 3 * 36 = 428; on 10 samples."""
    count = operations_per_sample(layered(7, 5, 3), METRICS[name](), 10)
    assert count == 3 * 58 + pulled * 58 + entries


def growth(name: str, sizes: tuple[tuple[int, int, int], tuple[int, int, int]]) -> float:
    small, large = (operations_per_sample(layered(*size), METRICS[name](), 10**9) for size in sizes)
    return large / small


@pytest.mark.parametrize(
    ("name", "with_inputs", "with_outputs"),
    [
        ("euclidean", 2.0, 1.0),
        ("quasi-diagonal-backpropagated", 2.0, 1.0),
        ("backpropagated", 4.0, 1.0),
        ("quasi-diagonal-natural", 2.0, 2.0),
        ("natural", 4.0, 2.0),
    ],
)
def test_operations_grow_as_the_paper_says(name: str, with_inputs: float, with_outputs: float) -> None:
    """Factors when d, or n_out, is doubled, all else large: O(nd), O(nd), O(n d^2), O(n d n_out)."""
    assert growth(name, ((2000, 50, 2), (4000, 50, 2))) == pytest.approx(with_inputs, rel=0.1)
    outputs = ((2000, 50, 100), (2000, 50, 200)) if with_outputs > 1.5 else ((2000, 50, 1 + 1), (2000, 50, 4))
    assert growth(name, outputs) == pytest.approx(with_outputs, rel=0.25)


def test_general_units_count_their_jacobians() -> None:
    net = mn.Network("general")
    x = net.input("x", size=2, manifold=mn.Real(3))
    m = mn.Map(lambda theta, a: a.sum(axis=-2) + theta, parameters=mn.Real(3), activity=mn.Real(3))
    y = net.layer("y", size=4, map=m, parents=[x])
    net.interpret(mn.SquareLoss(), parents=[y])
    # four units of three dimensions, each with three parameters and six numbers read
    assert sizes_of(mn.compile(net)).links == 4 * 3 * (3 + 6)


def test_more_samples_take_no_less_memory() -> None:
    program = layered(7, 5, 3)
    few, many = (describe(program, samples)["metrics"] for samples in (1, 1000))
    assert all(a["memory_bytes"] <= b["memory_bytes"] for a, b in zip(few, many, strict=True))
    assert any(a["memory_bytes"] < b["memory_bytes"] for a, b in zip(few, many, strict=True))


def test_every_metric_has_a_cost() -> None:
    names = [metric["name"] for metric in describe(layered(3, 2, 2), 4)["metrics"]]
    assert names == list(METRICS)
    with pytest.raises(TypeError, match="no cost is known"):
        operations_per_sample(layered(3, 2, 2), object(), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", ["first", "last"])
def test_describe_says_where_affine_units_would_serve(bias: str) -> None:
    def unit(theta: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
        weights, offset = (theta[..., 1:], theta[..., 0]) if bias == "first" else (theta[..., :-1], theta[..., -1])
        return np.tanh(offset + np.sum(weights * x[..., 0], -1))[..., None]

    def other(theta: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
        return np.sin(theta[..., 0] + np.sum(theta[..., 1:] * x[..., 0], -1))[..., None]

    net = mn.Network("maps")
    x = net.input("x", size=3)
    h = net.layer("h", size=2, map=mn.Map(unit, parameters=mn.Real(4), activity=mn.Real(1)), parents=[x])
    y = net.layer("y", size=2, map=mn.Map(other, parameters=mn.Real(3), activity=mn.Real(1)), parents=[h])
    net.interpret(mn.SquareLoss(), parents=[y])
    plans = [stage["plan"] for stage in describe(mn.compile(net), samples=8)["stages"]]
    assert "it is tanh(affine): mn.Affine(mn.tanh)" in plans[0]
    assert "Affine" not in plans[1]
