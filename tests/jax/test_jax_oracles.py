"""The oracles on networks drawn at random, compiled; `pytest tests/oracles --backend jax` puts all of them to JAX."""

from collections.abc import Callable

import hypothesis
import pytest

from tests.oracles import test_oracle_dampings as dampings
from tests.oracles import test_oracle_differentials as differentials
from tests.oracles import test_oracle_lowering as lowering
from tests.oracles import test_oracle_metrics as metrics
from tests.oracles import test_oracle_quantities as quantities
from tests.oracles.networks import Case, cases

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(1200)]

CHECKS: list[Callable] = [
    differentials.test_outputs_and_losses,
    differentials.test_differentials_by_complex_steps,
    metrics.test_natural_is_the_expectation_over_all_outcomes,
    metrics.test_outer_product_is_the_average_over_samples,
    metrics.test_backpropagated_is_the_recursion_on_perturbations,
    metrics.test_reductions_of_the_dense_blocks,
    metrics.test_solves_are_inverses_of_the_dense_matrices,
    quantities.test_activities_and_backpropagated_values,
    quantities.test_moduli,
    quantities.test_length_in_the_natural_metric_by_one_forward_pass,
]
LONG = [lowering.test_affine_stages_agree_with_general_ones]
DAMPINGS = [dampings.test_floor, dampings.test_intrinsic]


def _checked(check: Callable, case: Case) -> None:
    check.hypothesis.inner_test(case)
    # what is compiled stays mapped, no two cases share it, and Linux ends a process that asks for more than 65,530 maps
    jax.clear_caches()


def _put_to_jax(check: Callable, examples: int) -> None:
    drawn = dampings.plain_cases if check in DAMPINGS else cases

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(drawn(backend="jax"))
    def on_cases(case: Case) -> None:
        _checked(check, case)

    on_cases()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("test_"))
def test_oracles(check: Callable) -> None:
    _put_to_jax(check, 3)


@pytest.mark.slow
@pytest.mark.parametrize("check", [*CHECKS, *LONG, *DAMPINGS], ids=lambda c: c.__name__)
def test_oracles_on_more_networks(check: Callable) -> None:
    _put_to_jax(check, 25)
