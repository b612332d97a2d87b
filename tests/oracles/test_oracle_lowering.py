"""Affine stages in closed form against the same units by automatic differentiation."""

import hypothesis
import numpy
import pytest

import manifoldnet as mn
from tests.oracles.compare import EXACT, tensor_deviation, unit_deviation
from tests.oracles.expected import conditioning
from tests.oracles.networks import Case, cases

METRICS = (
    mn.Natural(),
    mn.UnitwiseNatural(),
    mn.Backpropagated(),
    mn.OuterProduct(),
    mn.UnitwiseOuterProduct(),
    mn.QuasiDiagonal(mn.UnitwiseNatural()),
    mn.QuasiDiagonal(mn.Backpropagated()),
    mn.QuasiDiagonal(mn.UnitwiseOuterProduct()),
    mn.Diagonal(mn.Backpropagated()),
    mn.AdaGrad(),
    mn.Euclidean(),
)
SAMPLED = (
    mn.MonteCarloNatural(samples=3),
    mn.UnitwiseMonteCarloNatural(samples=3),
    mn.QuasiDiagonal(mn.UnitwiseMonteCarloNatural(samples=2)),
)
NO_DISTRIBUTIONS = frozenset({"aimed", "stretched"})


def is_distribution(case: Case) -> bool:
    """Whether targets can be drawn from all its outputs."""
    return not NO_DISTRIBUTIONS & {output.meaning for output in case.recipe.outputs}


def check_agreement(case: Case, one: mn.Program, other: mn.Program, tolerance: float) -> None:
    """Loss, differential and every metric of two programs of one network."""
    data = (case.theta, case.inputs, case.targets)
    losses = one.losses(*data)
    assert numpy.abs(losses - other.losses(*data)).max() <= tolerance * numpy.abs(losses).max()
    assert unit_deviation(case, one.differential(*data).flat, other.differential(*data).flat) < tolerance
    for metric in METRICS + (SAMPLED if is_distribution(case) else ()):
        found, expected = (
            program.metric(metric, *data, rng=numpy.random.default_rng(8)).as_matrix() for program in (one, other)
        )
        amplified = conditioning(case, expected) if isinstance(metric, mn.QuasiDiagonal) else 1.0
        assert tensor_deviation(found, expected) < tolerance * amplified, metric


@hypothesis.settings(max_examples=20)
@hypothesis.given(cases())
def test_affine_stages_agree_with_general_ones(case: Case) -> None:
    check_agreement(case, case.program, case.general, EXACT)


@pytest.mark.slow
@pytest.mark.timeout(900)
@hypothesis.settings(max_examples=300)
@hypothesis.given(cases())
def test_affine_stages_agree_with_general_ones_on_many_networks(case: Case) -> None:
    check_agreement(case, case.program, case.general, EXACT)
