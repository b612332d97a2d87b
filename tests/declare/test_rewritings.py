"""The paper's rewritings by name, against its own formulas; and steps on curved parameter spaces."""

from pathlib import Path
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import load_spec
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.learning.train import train

AUTOENCODER = Path(__file__).parents[2] / "specs" / "autoencoder.py"


def sigmoids() -> mn.Network:
    net = mn.Network("sigmoids", seed=3)
    x = net.input("x", size=4, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=3, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_in(2))
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=2, map=mn.Affine(mn.logistic), parents=[h, x])])
    return net


def unit_weights(theta: mn.Parameters, layer: str) -> list[tuple[float, NDArray]]:
    """The bias and the weights of every unit."""
    place = theta.layout[layer]
    return [(row[0], row[1:][place.mask[unit][1:]]) for unit, row in enumerate(theta[layer])]


def test_sigmoid_to_tanh_is_equations_46_and_47_and_back() -> None:
    net = sigmoids()
    theta = mn.compile(net).initialize(numpy.random.default_rng(0))
    other = mn.in_tanh_form(net)
    moved = mn.transport(theta, net, other)
    for layer in ("h", "y"):
        for (bias, weights), (new_bias, new) in zip(
            unit_weights(theta, layer), unit_weights(moved, layer), strict=True
        ):
            numpy.testing.assert_allclose(new, weights / 4.0, rtol=1e-14)
            numpy.testing.assert_allclose(new_bias, bias / 2.0 + weights.sum() / 4.0, rtol=1e-13, atol=1e-15)
            numpy.testing.assert_allclose(4.0 * new, weights, rtol=1e-14)
            numpy.testing.assert_allclose(2.0 * new_bias - 2.0 * new.sum(), bias, rtol=1e-12, atol=1e-14)
    back = mn.transport(moved, other, mn.in_sigmoid_form(other))
    numpy.testing.assert_allclose(back.flat, theta.flat, rtol=1e-12, atol=1e-14)


def test_definition_29() -> None:
    """a' = alpha f_(gamma theta') + beta; w'_kj = w_kj / alpha_k, w'_0j = w_0j - w_kj beta_k / alpha_k, w'_ik = w_ik / gamma."""
    net = sigmoids()
    program = mn.compile(net)
    theta = program.initialize(numpy.random.default_rng(1))
    alpha, beta, gamma = 1.7, -0.4, 0.6
    other = mn.reparametrised(net, {"h": (alpha, beta, gamma)})
    moved = mn.transport(theta, net, other)
    numpy.testing.assert_allclose(moved["h"], theta["h"] / gamma, rtol=1e-14)
    hidden = slice(1, 4)
    numpy.testing.assert_allclose(moved["y"][:, hidden], theta["y"][:, hidden] / alpha, rtol=1e-14)
    shift = theta["y"][:, hidden].sum(axis=1) * beta / alpha
    numpy.testing.assert_allclose(moved["y"][:, 0], theta["y"][:, 0] - shift, rtol=1e-13)
    numpy.testing.assert_allclose(moved["y"][:, 4:], theta["y"][:, 4:], rtol=1e-15)
    inputs = numpy.random.default_rng(2).uniform(size=(5, 4))
    numpy.testing.assert_allclose(mn.compile(other).output(moved, inputs), program.output(theta, inputs), rtol=1e-13)


def test_inverted_and_scaled_inputs() -> None:
    net = sigmoids()
    theta = mn.compile(net).initialize(numpy.random.default_rng(0))
    turned = mn.transport(theta, net, mn.inverted(net))
    for (bias, weights), (new_bias, new) in zip(unit_weights(theta, "h"), unit_weights(turned, "h"), strict=True):
        # w (a) = w - w (1 - a)
        numpy.testing.assert_allclose(new, -weights, rtol=1e-14)
        numpy.testing.assert_allclose(new_bias, bias + weights.sum(), rtol=1e-13)
    wide = mn.transport(theta, net, mn.scaled(net, {"x": 255.0}))
    numpy.testing.assert_allclose(wide["h"][:, 1:], theta["h"][:, 1:] / 255.0, rtol=1e-14)
    numpy.testing.assert_allclose(wide["h"][:, 0], theta["h"][:, 0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "metric",
    [mn.Backpropagated(), mn.QuasiDiagonal(mn.UnitwiseNatural()), mn.Euclidean(), mn.Diagonal(mn.Backpropagated())],
    ids=lambda metric: metric.name,
)
def test_a_declared_tanh_network_has_the_numbers_of_the_recharted_sigmoid_network(metric: MetricRule) -> None:
    """Two networks, one on (0, 1) and one on (-1, 1): the same parameters and losses for the first ten steps."""
    sigmoid, tanh = load_spec(AUTOENCODER, {}), load_spec(AUTOENCODER, {"link": "tanh"})
    recharted, declared = mn.compile(mn.in_tanh_form(sigmoid.network(0))), mn.compile(tanh.network(0))
    start, data = recharted.initialize(numpy.random.default_rng(0)), sigmoid.data(0)
    damping = None if isinstance(metric, mn.Euclidean) else mn.Tikhonov(1e-4)
    schedule, ends = mn.FullBatch(steps=10, damping=damping), []
    for program in (recharted, declared):
        theta = program.parameters(start.flat)
        ends.append(train(program, theta, data, metric, schedule, numpy.random.default_rng(0)))
    losses = [end.history.column("loss") for end in ends]
    numpy.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)
    numpy.testing.assert_allclose(ends[0].theta.flat, ends[1].theta.flat, rtol=1e-10, atol=1e-10)


def test_units_mixed_is_the_same_function() -> None:
    net = sigmoids()
    program, whole = mn.compile(net), mn.one_unit(net)
    mixed = mn.units_mixed(whole)
    theta = program.initialize(numpy.random.default_rng(0))
    moved = mn.transport(mn.compile(whole).parameters(theta.flat), whole, mixed)
    inputs = numpy.random.default_rng(2).uniform(size=(5, 4))
    numpy.testing.assert_allclose(mn.compile(mixed).output(moved, inputs), program.output(theta, inputs), rtol=1e-12)


def reader(manifold: Manifold) -> Any:
    """tanh(<c, p> x) with fixed coefficients c of the parameter p."""
    axes = tuple(range(-len(manifold.shape), 0))
    c = numpy.arange(1.0, manifold.size + 1.0).reshape(manifold.shape) / manifold.size

    def read(p: Any, x: Any) -> Any:
        return np.tanh(np.sum(c * p, axis=axes)[..., None] * x[..., 0, :])

    return read


@pytest.mark.parametrize(
    "manifold",
    [mn.Sphere(2), mn.SPD(2), mn.Simplex(3), mn.Positive(2), mn.Interval(0, 1, 2), mn.Product(mn.Sphere(1), mn.SPD(2))],
    ids=str,
)
@pytest.mark.parametrize("metric", [mn.Backpropagated(), mn.Natural()], ids=lambda metric: metric.name)
def test_steps_stay_on_curved_parameter_spaces(manifold: Manifold, metric: MetricRule) -> None:
    net = mn.Network("curved")
    map = mn.Map(reader(manifold), parameters=manifold, activity=mn.Interval(-1, 1))
    h = net.layer("h", size=3, map=map, parents=[(net.input("x", size=1), mn.fan_in(1))])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h])])
    program, rng = mn.compile(net), numpy.random.default_rng(4)
    inputs = rng.standard_normal((30, 1))
    # a network of the same kind: the best parameters lie inside, not at an edge of their space
    data = mn.Dataset(inputs, program.output(program.initialize(numpy.random.default_rng(5)), inputs))
    start = program.initialize(rng)
    schedule = mn.FullBatch(steps=40, rate=0.01, damping=mn.Tikhonov(1e-2))
    end = train(program, start, data, metric, schedule, rng)
    points = end.theta["h"].reshape(-1, *manifold.shape)
    assert manifold.contains(points).all(), manifold.explain(points)
    assert numpy.abs(points - start["h"].reshape(points.shape)).max() > 1e-4
    assert end.history.last.loss < 0.5 * end.history.records[0].loss
