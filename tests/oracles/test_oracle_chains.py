"""Stages that follow one another, and many rows of one entry each, against the same by automatic differentiation."""

import numpy
import pytest

import manifoldnet as mn
from tests.oracles.compare import tensor_deviation


def layer(net, name, parents, size=4, link=mn.logistic, **given):
    return net.layer(name, size=size, map=mn.Affine(link), parents=parents, **given)


def straight(net, x):
    return [layer(net, "y", [layer(net, "h2", [layer(net, "h1", [x])])])]


def skipping(net, x):
    h1 = layer(net, "h1", [x])
    return [layer(net, "y", [layer(net, "h2", [h1]), h1])]


def read_on_the_way(net, x):
    h1 = layer(net, "h1", [x])
    return [h1, layer(net, "y", [layer(net, "h2", [h1])])]


def in_charts(net, x):
    h1 = layer(net, "h1", [x], link=mn.tanh)
    return [layer(net, "y", [layer(net, "h2", [h1], manifold=mn.Interval(0, 1), chart="signed")])]


CHAINS = {
    straight: ((0, 1, 2),),
    skipping: ((0,), (1,), (2,)),
    read_on_the_way: ((0,), (1, 2)),
    in_charts: ((0, 1, 2),),
}


def made(shape, inputs=5):
    net = mn.Network("chains", seed=1)
    x = net.input("x", size=inputs, manifold=mn.Interval(0, 1))
    for number, read in enumerate(shape(net, x)):
        net.interpret(mn.Bernoulli(), parents=[read], name=f"out{number}")
    return net


@pytest.mark.parametrize("shape", CHAINS, ids=lambda shape: shape.__name__)
def test_stages_that_nothing_else_reads_are_chained(shape):
    net = made(shape)
    assert mn.compile(net).lowered.chains == CHAINS[shape]
    check(net, [mn.Backpropagated(), mn.UnitwiseNatural()])


def check(net, metrics, samples=6):
    one, other = mn.compile(net), mn.compile(net, lowering="general")
    rng = numpy.random.default_rng(3)
    theta = one.initialize(rng)
    inputs = rng.random((samples, 5))
    targets = {
        output.name: rng.integers(2, size=(samples, len(output.sources[0].units))).astype(float)
        for output in one.declaration.outputs
    }
    targets = targets if len(targets) > 1 else next(iter(targets.values()))
    here, there = (program.differential(theta, inputs, targets).flat for program in (one, other))
    numpy.testing.assert_allclose(here, there, atol=1e-12 * numpy.abs(there).max())
    for metric in metrics:
        assert (
            tensor_deviation(*(program.metric(metric, theta, inputs).as_matrix() for program in (one, other))) < 1e-11
        )


@pytest.mark.parametrize("wiring", [None, mn.fan_in(3)], ids=["dense", "gathered"])
def test_many_outputs_of_one_entry_a_row(wiring):
    """40 rows and 8 more, of two interpretations: each stands among zeros of the other's."""
    net, given = mn.Network("many", seed=2), {} if wiring is None else {"wiring": wiring}
    h = layer(net, "h", [layer(net, "g", [net.input("x", size=5, manifold=mn.Interval(0, 1))], **given)], 6, **given)
    for name, size in (("y", 40), ("z", 8)):
        net.interpret(mn.Bernoulli(), parents=[layer(net, name, [h], size, **given)], name=f"of {name}")
    check(net, [mn.UnitwiseNatural(), mn.QuasiDiagonal(mn.UnitwiseNatural())])
