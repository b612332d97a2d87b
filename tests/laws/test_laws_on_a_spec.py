"""The laws on a network with skips and an output that feeds another: what is promised holds, and controls are seen to deviate."""

from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import load_spec
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.suite import verify
from tests.backends import chosen

SPEC = Path(__file__).parents[2] / "specs" / "skip.py"


def checks(metric: MetricRule) -> list:
    spec = load_spec(SPEC)
    net, data = spec.network(0), spec.data(0)
    theta = mn.compile(net).initialize(numpy.random.default_rng(0))
    return list(verify(Situation.of(net, theta, data.inputs, data.targets, backend=chosen()), [metric]))


@pytest.mark.parametrize("metric", [mn.Backpropagated(), mn.UnitwiseNatural(), mn.QuasiDiagonal(mn.Backpropagated())])
def test_what_is_promised_holds(metric: MetricRule) -> None:
    found = checks(metric)
    assert [check for check in found if check.outcome == "fail"] == []
    assert sum(check.outcome == "pass" for check in found) > 10
    # Tikhonov damping is in the same table and must be seen to break the promise
    assert any("tikhonov" in check.name and check.outcome == "deviates" for check in found)


@pytest.mark.parametrize("metric", [mn.Euclidean(), mn.AdaGrad(), mn.Diagonal(mn.Backpropagated())])
def test_controls_are_seen_to_deviate(metric: MetricRule) -> None:
    found = checks(metric)
    assert [check for check in found if check.outcome == "fail"] == []
    assert sum(check.outcome == "deviates" for check in found) > 2
