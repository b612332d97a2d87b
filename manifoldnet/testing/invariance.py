"""Every law that changes charts, as one assertion."""

from collections.abc import Sequence
from typing import Any

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.network import Network
from manifoldnet.laws.changes import Change, Pair
from manifoldnet.laws.norms import norms
from manifoldnet.laws.record import Check
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.suite import CHARTS, verify
from manifoldnet.laws.trajectories import trajectory
from manifoldnet.learning.defaults import default_damping
from manifoldnet.linalg.damping import Damping
from manifoldnet.testing.situations import drawn_situation


def assert_invariant(
    net: Network,
    metric: MetricRule,
    theta: Any = None,
    inputs: Any = None,
    targets: Any = None,
    *,
    charts: Sequence[str] | None = None,
    other: Network | None = None,
    damping: Damping | None = None,
    seed: int = 0,
    backend: str = "autograd",
) -> list[Check]:
    """Raise AssertionError unless a metric does on this network what its theory promises, in other charts.

    `charts` names drawn changes (all of `manifoldnet verify --charts` by default); or `other` is the same network in
    charts of your own (`net.with_charts(...)`), in which norms and, where the charts are affine, steps are compared. What
    is not given of parameters, inputs and targets is drawn. The message says which statement, metric and charts, how far
    off, and at which unit. Returns what was measured.
    """
    situation = drawn_situation(net, theta, inputs, targets, seed=seed, backend=backend)
    if other is not None:
        checks = _between(situation, other, metric, damping)
    else:
        checks = list(verify(situation, [metric], CHARTS if charts is None else charts, damping))
    broken = [_told(check, net) for check in checks if check.failed]
    if broken:
        raise AssertionError("\n".join(broken))
    return checks


def _between(situation: Situation, other: Network, metric: MetricRule, damping: Damping | None) -> list[Check]:
    bends = not all(
        layer.parameter_chart is None or layer.parameter_chart.is_affine for layer in other.snapshot().layers
    )
    pair = Pair(situation, Change("charts of your own", other, bends))
    found = [norms(pair, metric)]
    if not bends:
        found.append(trajectory(pair, metric, 1, default_damping(metric) if damping is None else damping))
    return found


def _told(check: Check, net: Network) -> str:
    charts = "" if check.charts == "-" else f" in the charts {check.charts!r}"
    expected = "at most" if check.promised else "it is a control, so more than"
    detail = f", {check.detail}" if check.detail else ""
    return (
        f"network {net.name!r}, metric {check.metric!r}{charts}: {check.name} deviates by {check.deviation:.2e}{detail} "
        f"({expected} {check.tolerance:.0e} expected)"
    )
