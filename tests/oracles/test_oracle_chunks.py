"""Batches that are cut to fit the workspace give the same numbers, random draws included."""

import attrs
import hypothesis
import numpy

import manifoldnet as mn
from tests.backends import compiled
from tests.oracles.networks import Case, cases
from tests.oracles.test_oracle_lowering import check_agreement

ROUNDING = 1e-12


@hypothesis.settings(max_examples=12)
@hypothesis.given(cases())
def test_one_sample_at_a_time(case: Case) -> None:
    small = attrs.evolve(case.program, workspace=1)
    assert small.chunk_size() == 1
    check_agreement(case, small, case.program, ROUNDING)


def test_chunks_of_several_samples() -> None:
    """With a remainder: seven samples in chunks of three."""
    net = mn.Network("chunks", seed=1)
    x = net.input("x", size=3)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[x])
    net.interpret(mn.Softmax(coefficients=True), parents=[h], name="classes")
    net.interpret(mn.Gaussian(), parents=[h[:2]], name="values")
    whole = compiled(net)
    per_sample = whole.workspace // whole.chunk_size()
    small = attrs.evolve(whole, workspace=3 * per_sample + per_sample // 2)
    assert small.chunk_size() == 3
    rng = numpy.random.default_rng(0)
    theta, inputs = whole.initialize(rng), rng.standard_normal((7, 3))
    for metric in (mn.MonteCarloNatural(samples=2), mn.UnitwiseMonteCarloNatural(samples=2)):
        found, expected = (
            program.metric(metric, theta, inputs, rng=numpy.random.default_rng(3)).as_matrix()
            for program in (small, whole)
        )
        assert numpy.abs(found - expected).max() <= ROUNDING * numpy.abs(expected).max()
    assert numpy.array_equal(small.output(theta, inputs)["classes"], whole.output(theta, inputs)["classes"])
