"""Monte Carlo natural metrics: the draws they make, and what these average to."""

import hypothesis
import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from tests.oracles import expected
from tests.oracles.compare import EXACT, tensor_deviation
from tests.oracles.networks import Case, cases
from tests.oracles.outputs import MEANINGS
from tests.oracles.small import small_case

SAMPLED = tuple(name for name, meaning in MEANINGS.items() if meaning.outcomes is not None)


def drawn(case: Case, draws: int, seed: int) -> NDArray:
    """Targets of the only interpretation, (draws, samples, ...), as the package's sampler gives them."""
    (output,) = case.recipe.outputs
    z = numpy.concatenate([sample.reference.numbers(output, sample.activities) for sample in case.references])
    scale = "value"
    if output.meaning == "bernoulli":
        z, scale = numpy.log(z / (1.0 - z)), "log-odds"
    vartheta = case.reference.vartheta(output, case.theta.flat[None])[0]
    interpretation = case.network.graph.nodes[output.name]["interpretation"]
    return interpretation.sample(numpy.random.default_rng(seed), z, vartheta, scale, draws)


@hypothesis.settings(max_examples=20)
@hypothesis.given(cases(SAMPLED).filter(lambda case: len(case.recipe.outputs) == 1))
def test_metric_of_the_targets_drawn(case: Case) -> None:
    """With an equal stream of random numbers it is the average outer product of differentials on the draws."""
    targets = drawn(case, draws=3, seed=11)
    name = case.recipe.outputs[0].name
    rows = [case.references[s].gradient({name: y[s]}) for y in targets for s in range(case.samples)]
    outer = expected.outer_products(numpy.array(rows))
    amplified = expected.conditioning(case, outer)
    for metric, matrix, tolerance in (
        (mn.MonteCarloNatural(samples=3), outer, EXACT),
        (mn.UnitwiseMonteCarloNatural(samples=3), expected.unitwise(case, outer), EXACT),
        (mn.QuasiDiagonal(mn.MonteCarloNatural(samples=3)), expected.quasi_diagonal(case, outer), EXACT * amplified),
    ):
        found = case.program.metric(metric, case.theta, case.inputs, rng=numpy.random.default_rng(11))
        assert tensor_deviation(found.as_matrix(), matrix) < tolerance, metric


@pytest.mark.parametrize(
    "meanings", [(name,) for name in SAMPLED] + [("bernoulli", "gaussian"), ("softmax", "density")]
)
def test_expectation_is_the_natural_metric(meanings: tuple[str, ...]) -> None:
    """Averages over more draws come nearer, by the square root of their number (fixed seed)."""
    case = small_case(*meanings)
    natural, rng = expected.natural(case), numpy.random.default_rng(2)
    for draws in (50, 800):
        metric = case.program.metric(mn.MonteCarloNatural(draws), case.theta, case.inputs, rng=rng)
        assert tensor_deviation(metric.as_matrix(), natural) < 8.0 / numpy.sqrt(draws)


def test_each_evaluation_draws_afresh() -> None:
    case, rng = small_case("bernoulli"), numpy.random.default_rng(0)
    first, second = (
        case.program.metric(mn.MonteCarloNatural(), case.theta, case.inputs, rng=rng).as_matrix() for _ in range(2)
    )
    assert not numpy.allclose(first, second)
