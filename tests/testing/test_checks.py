"""The checks that users have, run over every chart, manifold, link, interpretation and metric of ours."""

from typing import Any

import hypothesis
import numpy
import pytest
from hypothesis import strategies

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.interpretations.interpretation import Factor, Interpretation, Score
from manifoldnet.declare.links import Link
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.metrics.names import METRICS
from manifoldnet.testing import assert_invariant, check_chart, check_interpretation, check_map, check_metric
from manifoldnet.testing.strategies import chart_changes, charts, networks
from tests.geometry.table import IDS, ROWS
from tests.laws.broken import NotIntrinsic as Claimed

INTERVAL = mn.Interval(0, 1)
INTERPRETATIONS: list[tuple[Interpretation, list[Manifold]]] = [
    (mn.SquareLoss(), [mn.Real(1)] * 3),
    (mn.SquareLoss(), [mn.Interval(-1, 1)] * 2),
    (mn.Bernoulli(), [INTERVAL] * 2),
    (mn.Bernoulli(), [mn.Interval(-1, 1)] * 2),
    (mn.Softmax(), [mn.Real(1)] * 3),
    (mn.Softmax(), [mn.Real(3)]),
    (mn.Softmax(coefficients=True), [mn.Real(1)] * 3),
    (mn.Spherical(), [mn.Real(1)] * 3),
    (mn.Gaussian(), [mn.Real(1)] * 2),
    (mn.HeteroscedasticGaussian(), [mn.Real(1)] * 2),
]
LINKS = [mn.logistic, mn.tanh, mn.identity, mn.softplus, mn.relu, mn.scaled_tanh]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_chart_is_one(row: Any) -> None:
    for chart in list(row.manifold.atlas.values())[:12]:
        check_chart(chart, row.manifold)


@pytest.mark.parametrize(("interpretation", "manifolds"), INTERPRETATIONS, ids=lambda part: str(part)[:40])
def test_every_interpretation_agrees_with_itself(interpretation: Interpretation, manifolds: list[Manifold]) -> None:
    check_interpretation(interpretation, manifolds)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_one(name: str) -> None:
    checks = check_metric(METRICS[name]())
    assert sum(check.outcome in ("pass", "deviates") for check in checks) >= 4


def twisted(theta: Any, x: Any) -> Any:
    return np.tanh(theta[..., :2] * x[..., 0, :2] + theta[..., 2:])


def on_a_sphere(theta: Any, x: Any, s: Any) -> Any:
    moved = s[..., 0, :] + 0.3 * theta * np.tanh(x[..., 0, :1])
    return moved / np.sqrt(np.sum(moved**2, axis=-1, keepdims=True))


def test_maps() -> None:
    check_map(mn.Map(twisted, parameters=mn.Real(4), activity=mn.Interval(-1, 1, 2)), [mn.Real(2)])
    turned = mn.Map(on_a_sphere, parameters=mn.Real(3), activity=mn.Sphere(2))
    check_map(turned, [INTERVAL, (mn.Sphere(2), 1)])


# Input manifolds whose readings are affine, with units on every link: what `Affine` and charts must cover.
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_laws_on_inputs_of_every_manifold(row: Any) -> None:
    net = mn.Network("reads a manifold")
    x = net.input("x", size=2, manifold=row.manifold)
    h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[x])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h, x])])
    for metric in (mn.Backpropagated(), mn.QuasiDiagonal(mn.UnitwiseNatural())):
        assert_invariant(net, metric, charts=["affine", "activities", "inputs"])


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_laws_on_every_link(link: Link) -> None:
    net = mn.Network("one link")
    x = net.input("x", size=3, manifold=INTERVAL)
    h = net.layer("h", size=3, map=mn.Affine(link), parents=[x])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=2, map=mn.Affine(), parents=[h])])
    assert_invariant(net, mn.UnitwiseNatural(), charts=["form", "affine", "recombination"])


@hypothesis.settings(max_examples=12, deadline=None)
@hypothesis.given(strategies.data())
def test_drawn_networks_in_drawn_charts(data: strategies.DataObject) -> None:
    net = data.draw(networks())
    other = data.draw(chart_changes(net))
    metric = data.draw(
        strategies.sampled_from([mn.Natural(), mn.Backpropagated(), mn.QuasiDiagonal(mn.Backpropagated())])
    )
    checks = assert_invariant(net, metric, other=other)
    assert len(checks) == 2


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(strategies.data())
def test_drawn_charts(data: strategies.DataObject) -> None:
    manifold = data.draw(strategies.sampled_from([row.manifold for row in ROWS]))
    check_chart(data.draw(charts(manifold)), manifold)


def test_failures_say_what_where_and_how_far() -> None:
    with pytest.raises(AssertionError, match=r"chart 'lies' cannot hold the point \["):
        check_chart(mn.Chart("lies", lambda p: p**3, lambda u: u), mn.Positive(1))
    net = mn.Network("pair")
    h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[h])])
    with pytest.raises(AssertionError, match=r"network 'pair', metric 'claimed' in the charts .* largest at .*unit"):
        assert_invariant(net, Claimed(), charts=["affine"])

    class Wrong(MetricRule):
        name = "wrong"

        def evaluate(self, run: Any) -> Any:
            return mn.Natural().evaluate(run).scaled(run.samples)

        def memory(self, program: Any, samples: int) -> int:
            return 0

    with pytest.raises(AssertionError, match="samples are not averaged"):
        check_metric(Wrong())


def test_a_wrong_metric_or_sampler_of_an_interpretation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mn.SquareLoss, "factor", lambda self, z, *_: Factor(diagonal=2.0 * numpy.ones_like(z)))
        with pytest.raises(AssertionError, match="factor against Omega pulled back deviates by"):
            check_interpretation(mn.SquareLoss(), [mn.Real(1)] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(mn.SquareLoss, "sample", lambda self, rng, z, v, s, n: rng.normal(z, 1.2, (n, *z.shape)))
        with pytest.raises(
            AssertionError, match="mean square of scores of drawn targets, against Omega is .* errors off"
        ):
            check_interpretation(mn.SquareLoss(), [mn.Real(1)] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(mn.SquareLoss, "score", lambda self, z, v, targets, s: Score(targets - z))
        with pytest.raises(AssertionError, match="score against differences of the loss"):
            check_interpretation(mn.SquareLoss(), [mn.Real(1)] * 2)
