"""The laws on the JAX backend: compiled, and step by step."""

from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import load_spec
from manifoldnet.laws.record import Check
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.suite import verify

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(900)]

SPEC = Path(__file__).parents[2] / "specs" / "skip.py"


def checks(metric: MetricRule, charts: list[str] | None = None) -> list[Check]:
    spec = load_spec(SPEC)
    net, data = spec.network(0), spec.data(0)
    theta = mn.compile(net).initialize(numpy.random.default_rng(0))
    return list(verify(Situation.of(net, theta, data.inputs, data.targets, backend="jax"), [metric], charts))


@pytest.mark.parametrize("metric", [mn.Backpropagated(), mn.UnitwiseNatural(), mn.QuasiDiagonal(mn.Backpropagated())])
def test_what_is_promised_holds_compiled(metric: MetricRule) -> None:
    found = checks(metric)
    assert [check for check in found if check.outcome == "fail"] == []
    assert sum(check.outcome == "pass" for check in found) > 10
    assert any("tikhonov" in check.name and check.outcome == "deviates" for check in found)


def test_controls_are_seen_to_deviate() -> None:
    found = checks(mn.Diagonal(mn.Backpropagated()))
    assert [check for check in found if check.outcome == "fail"] == []
    assert sum(check.outcome == "deviates" for check in found) > 2


@pytest.mark.parametrize("metric", [mn.Natural(), mn.QuasiDiagonal(mn.Backpropagated())])
def test_without_compilation(metric: MetricRule) -> None:
    with jax.disable_jit():
        found = checks(metric, ["affine", "parameters"])
    assert [check for check in found if check.outcome == "fail"] == []
    assert sum(check.outcome == "pass" for check in found) >= 2
