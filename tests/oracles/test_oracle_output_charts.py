"""Output metrics that are written in charts of the output manifold: the same metric of the network, computed anew."""

import pytest

import manifoldnet as mn
from tests.oracles import expected
from tests.oracles.compare import EXACT, tensor_deviation, vector_deviation
from tests.oracles.outputs import MEANINGS
from tests.oracles.small import small_case

ROWS = [
    (meaning, chart) for meaning, declared in MEANINGS.items() for chart in declared.declare().output_manifold(2).atlas
]


@pytest.mark.parametrize(("meaning", "chart"), ROWS)
def test_charts_of_the_output_manifold(meaning: str, chart: str) -> None:
    case = small_case(meaning, charts=(("out0", chart),))
    natural = expected.natural(case)
    for metric, matrix in (
        (mn.Natural(), natural),
        (mn.UnitwiseNatural(), expected.unitwise(case, natural)),
        (mn.Backpropagated(), expected.backpropagated(case)),
    ):
        found = case.program.metric(metric, case.theta, case.inputs).as_matrix()
        assert tensor_deviation(found, matrix) < EXACT, metric
    found = case.program.differential(case.theta, case.inputs, case.targets).flat
    assert vector_deviation(found, expected.gradients(case).mean(axis=0)) < EXACT
