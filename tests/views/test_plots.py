"""Plots: what is drawn is what was measured, and every function returns its axes."""

import math
from pathlib import Path

import numpy
import pytest
from matplotlib.figure import Figure

import manifoldnet as mn
from manifoldnet.declare.rewritings import in_tanh_form
from manifoldnet.learning.history import History, Record
from manifoldnet.linalg.dense import Dense
from manifoldnet.views.matplotlib import plot_condition, plot_history, plot_spectrum, plot_trajectory
from manifoldnet.views.spectra import unit_spectra

HISTORY = History(
    (
        Record(1, 2.0, 0.1, 0.5),
        Record(2, 1.0, 0.1, 1.0, validation_loss=1.5),
        Record(3, 0.5, 0.1, 2.0, validation_loss=1.4),
    )
)


def network() -> mn.Network:
    net = mn.Network("small", seed=0)
    x = net.input("x", size=3, manifold=mn.Interval(0, 1))
    h = net.layer(
        "h", size=4, map=mn.Affine(mn.logistic), parents=[x], wiring=[[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0, 0]]
    )
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=2, map=mn.Affine(mn.logistic), parents=[h])])
    return net


def measured(net: mn.Network, samples: int = 40) -> tuple:
    program, rng = mn.compile(net), numpy.random.default_rng(0)
    inputs = rng.random((samples, 3))
    theta = program.initialize(rng)
    return program, theta, program.metric(mn.UnitwiseNatural(), theta, inputs), inputs


def test_history(tmp_path: Path) -> None:
    axes = plot_history({"first": HISTORY, "second": HISTORY}, against="seconds")
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["first", "first, held out", "second", "second, held out"]
    assert axes.lines[0].get_xdata().tolist() == [0.5, 1.0, 2.0]
    assert numpy.allclose(axes.lines[1].get_ydata(), [1.5 / math.log(2), 1.4 / math.log(2)])
    axes.figure.savefig(tmp_path / "history.png")
    own = Figure().subplots()
    negative = History((Record(1, -1.0, 0.1, 0.0), Record(2, -2.0, 0.1, 0.0)))
    assert plot_history(negative, axes=own) is own and own.get_yscale() == "linear"


def test_spectra_are_those_of_the_blocks_of_the_whole_matrix() -> None:
    program, _, tensor, _ = measured(network())
    found, matrix = unit_spectra(tensor, program.tangent_layout), tensor.as_matrix()
    assert [(one.name, one.unit, one.size) for one in found] == [
        ("h", 0, 3), ("h", 1, 3), ("h", 2, 4), ("h", 3, 2), ("y", 0, 5), ("y", 1, 5),
    ]  # fmt: skip
    start = 0
    for one in found:
        block = matrix[start : start + one.size, start : start + one.size]
        assert numpy.allclose(one.eigenvalues, numpy.linalg.eigvalsh(block)[::-1], rtol=1e-9, atol=1e-14)
        start += one.size


@pytest.mark.parametrize("samples", [3, 40])
def test_ranks_and_conditions_are_the_same_in_all_affine_charts(samples: int) -> None:
    """Eigenvalues of the block as it stands are not. With fewer samples than parameters blocks are singular."""
    net = network()
    charts = {"x": mn.Chart.affine("far", mn.Interval(0, 1), 100.0, -7.0), "h": "signed", "h/pre-activation": "doubled"}
    other = net.with_charts(charts)
    _, theta, tensor, inputs = measured(net, samples)
    again = mn.compile(other).metric(mn.UnitwiseNatural(), mn.transport(theta, net, other), inputs)
    for one, two in zip(unit_spectra(tensor), unit_spectra(again), strict=True):
        assert numpy.allclose(one.standard, two.standard, atol=1e-9)
        assert one.rank == two.rank == min(samples, one.size)
        assert not numpy.allclose(one.eigenvalues, two.eigenvalues, rtol=0.1)
        if one.rank == one.size:
            assert one.condition == pytest.approx(two.condition, rel=1e-6)
        else:
            assert one.condition == two.condition == math.inf


def test_a_parent_that_does_not_vary_is_a_direction_lost() -> None:
    program, theta, _, inputs = measured(network())
    inputs[:, 1] = 0.3
    found = unit_spectra(program.metric(mn.Backpropagated(), theta, inputs), program.tangent_layout)
    assert [one.size - one.rank for one in found] == [1, 1, 1, 0, 0, 0]


def test_spectrum_and_condition_axes(tmp_path: Path) -> None:
    program, theta, tensor, inputs = measured(network())
    axes = plot_spectrum(tensor, layout=program.tangent_layout)
    drawn = axes.collections[0].get_offsets()
    assert drawn[:3, 1].tolist() == unit_spectra(tensor)[0].eigenvalues.tolist() and drawn[:3, 0].tolist() == [0, 0, 0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["h", "y"]
    inputs[:, 1] = 0.3
    singular = program.metric(mn.UnitwiseNatural(), theta, inputs)
    axes = plot_condition(singular, layout=program.tangent_layout)
    crosses = next(part for part in axes.collections if part.get_label() == "h, singular")
    assert crosses.get_offsets()[:, 0].tolist() == [0, 1, 2] and axes.get_yscale() == "log"
    plot_spectrum(Dense(numpy.eye(2)), axes=axes, standard=True).figure.savefig(tmp_path / "spectrum.png")


def descent(net: mn.Network, home: mn.Network, rule: object) -> list:
    program = mn.compile(net)
    theta, inputs = (
        mn.compile(home).initialize(numpy.random.default_rng(0)),
        numpy.random.default_rng(1).random((30, 3)),
    )
    theta, targets = mn.transport(theta, home, net), numpy.random.default_rng(2).integers(0, 2, (30, 2))
    path = [theta]
    for _ in range(5):
        here = program.at(theta, inputs, targets)
        theta = program.step(theta, -0.05 * here.metric(rule).solve(here.differential()))  # type: ignore[arg-type]
        path.append(theta)
    return path


@pytest.mark.parametrize(("rule", "is_one_line"), [(mn.Backpropagated(), True), (mn.Euclidean(), False)])
def test_a_trajectory_in_two_charts_is_one_line_of_an_intrinsic_method(
    rule: object, is_one_line: bool, tmp_path: Path
) -> None:
    net = network()
    other = in_tanh_form(net)
    axes = plot_trajectory(net, descent(net, net, rule), other, descent(other, net, rule), coordinates=(0, 4))
    assert axes.shape == (2,)
    for panel in axes:
        solid, dashed = (numpy.array(line.get_data()) for line in panel.lines[::2])
        assert numpy.allclose(solid, dashed, rtol=1e-7) == is_one_line
    left, right = (numpy.array(panel.lines[0].get_data()) for panel in axes)
    assert not numpy.allclose(left, right)
    assert axes[0].get_ylabel() == "h[1], parameter 1"
    axes[0].figure.savefig(tmp_path / "trajectory.png")
