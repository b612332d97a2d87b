"""Deliberately broken metrics are caught: each breaks one line of the mathematics, and some law must fail by it."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.compiler import affine, backward, general, lines
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.record import Check
from manifoldnet.laws.suite import verify
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.metrics import reductions, unitwise
from manifoldnet.testing import drawn_situation


def turned(theta: Any, s: Any) -> Any:
    """A point of the sphere, moved by a parameter and back onto it."""
    moved = s[..., 0, :] + 0.4 * np.tanh(theta) + 0.3 * np.cross(theta, s[..., 0, :])
    return moved / np.sqrt(np.sum(moved**2, axis=-1, keepdims=True))


def spheres() -> mn.Network:
    """Units of two dimensions whose Jacobians are not symmetric, one behind the other."""
    net = mn.Network("spheres")
    map = mn.Map(turned, parameters=mn.Real(3), activity=mn.Sphere(2))
    s = net.layer("s", size=2, map=map, parents=[(net.input("x", size=2, manifold=mn.Sphere(2)), mn.fan_in(1))])
    t = net.layer("t", size=2, map=map, parents=[(s, numpy.eye(2, dtype=bool))])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[t])])
    return net


def square() -> mn.Network:
    """As many units in one layer as in the next, so that a transposed matrix of weights fits."""
    net = mn.Network("square")
    x = net.input("x", size=3, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=3, map=mn.Affine(mn.tanh), parents=[x])
    g = net.layer("g", size=3, map=mn.Affine(mn.tanh), parents=[h])
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=3, map=mn.Affine(mn.logistic), parents=[g])])
    return net


def failures(net: mn.Network, metric: MetricRule, charts: list[str] | None = None) -> list[Check]:
    return [check for check in verify(drawn_situation(net), [metric], charts) if check.failed]


@pytest.mark.parametrize("net", [spheres(), square()], ids=lambda net: net.name)
@pytest.mark.parametrize("metric", [mn.Backpropagated(), mn.UnitwiseNatural(), mn.QuasiDiagonal(mn.Backpropagated())])
def test_the_metrics_as_they_are_pass(net: mn.Network, metric: MetricRule) -> None:
    assert failures(net, metric) == []


def added_before_squaring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Fisher modulus in the place of the backpropagated one: definition 8 adds after squaring."""
    fisher = unitwise.SquaredRows(unitwise.FisherRows())
    monkeypatch.setattr(unitwise.PropagatedModulus, "moduli", lambda self, *at: fisher.moduli(*at))


def sums_for_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = mn.Backpropagated.evaluate
    monkeypatch.setattr(mn.Backpropagated, "evaluate", lambda self, run: evaluate(self, run).scaled(run.samples))


def transposed_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """da_j/da_k for da_k/da_j where moduli are pulled back."""
    pull = affine.AffineLinearisation.pull_moduli

    def wrong(self: Any, inner: Any) -> Any:
        stage_weights = numpy.asarray(self.weights)
        is_square = stage_weights.shape[0] == stage_weights.shape[1]
        return pull(attrs.evolve(self, weights=stage_weights.T) if is_square else self, inner)

    monkeypatch.setattr(affine.AffineLinearisation, "pull_moduli", wrong)


def transposed_along_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where stages that follow one another are taken together."""
    carried = backward.carried_back

    def wrong(last: Any, weights: Any, rates: Any, squared: bool) -> Any:
        return carried(last, [matrix.T for matrix in weights], rates, squared)

    for module in (backward, lines):
        monkeypatch.setattr(module, "carried_back", wrong)


@pytest.mark.parametrize(
    "mutate", [added_before_squaring, sums_for_averages, transposed_weights, transposed_along_chains]
)
def test_a_broken_backpropagated_metric_is_caught(
    monkeypatch: pytest.MonkeyPatch, mutate: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutate(monkeypatch)
    assert failures(square(), mn.Backpropagated())


def test_a_missing_cross_term_of_the_reduction_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A_0i dropped: that is diagonal Gauss-Newton, which claims to be quasi-diagonal."""
    make = reductions.quasi_diagonal_tensor

    def without_cross(*at: Any) -> Any:
        tensor = make(*at)
        entries = [attrs.evolve(e, cross=[0.0 * part for part in e.cross]) for e in tensor.entries]
        return QuasiDiagonal(tensor.partition, tuple(entries), name=tensor.name)

    monkeypatch.setattr(reductions, "quasi_diagonal_tensor", without_cross)
    broken = failures(square(), mn.QuasiDiagonal(mn.Backpropagated()), ["form", "affine"])
    assert any("proposition 24" in check.name for check in broken)
    assert any("proposition 30" in check.name for check in broken)


def test_missing_terms_between_units_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A natural metric without its cross terms is the unitwise one."""
    evaluate = mn.Natural.evaluate

    def blocks_only(self: Any, run: Any) -> Any:
        tensor = evaluate(self, run)
        partition = run.program.partition
        return Blocks(partition, tensor.unit_blocks(partition), name=tensor.name, reference=tensor._reference)

    monkeypatch.setattr(mn.Natural, "evaluate", blocks_only)
    names = {check.name for check in failures(square(), mn.Natural())}
    assert any("definition 21" in name for name in names) and any("mixed" in name for name in names)


def test_a_transposed_jacobian_of_a_map_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the sphere, da_j/da_k is a matrix that is not symmetric."""
    pull = general.GeneralLinearisation.pull_moduli

    def wrong(self: Any, inner: Any) -> Any:
        found = pull(self, inner)
        turn = numpy.array([[0.0, 1.0], [1.0, 0.0]])
        is_plane = [part.values.shape[-2:] == (2, 2) for part in found]
        return [
            part._replace(values=turn @ part.values @ turn) if plane else part
            for part, plane in zip(found, is_plane, strict=True)
        ]

    monkeypatch.setattr(general.GeneralLinearisation, "pull_moduli", wrong)
    names = {check.name for check in failures(spheres(), mn.Backpropagated())}
    assert any("definition 8" in name for name in names)


def test_a_wrong_slope_of_a_link_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """r_k forgotten in the moduli of hidden units."""
    monkeypatch.setattr(
        affine.AffineLinearisation, "to_inner", property(lambda self: self._value_rate().after(self._value_rate()))
    )
    assert failures(square(), mn.UnitwiseNatural())
