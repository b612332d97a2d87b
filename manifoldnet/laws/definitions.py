"""The definitions of the metrics, looked at through central differences of what the network computes."""

from collections.abc import Callable

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.differences import loss_changes, output_changes
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.unitwise_rules import UnitwiseNatural, UnitwiseOuterProduct

DIRECTIONS = 3
TOLERANCE = 1e-6

SquaredChange = Callable[[Situation, NDArray], float]


def definition(situation: Situation, rule: MetricRule) -> Check:
    """Definitions 13, 14 and 21: the squared norm of a tangent is the mean square of the change that it causes.

    Of the change of omega, measured by Omega, for the natural metric; of the change of the loss for the outer product
    metric. Unitwise ones are looked at along the parameters of one unit at a time. Not testable for other metrics,
    which have definitions of their own (remark 18, definition 8).
    """
    changes: dict[type, SquaredChange] = {
        Natural: natural_norm2,
        UnitwiseNatural: natural_norm2,
        OuterProduct: loss_norm2,
        UnitwiseOuterProduct: loss_norm2,
    }
    number = "14, mean square change of losses" if "outer" in rule.name else "21, change of outputs"
    statement = Statement(f"definition {number}", rule.name)
    if type(rule) not in changes:
        return statement.untestable("the metric is no mean square of changes of the outputs or of the loss", TOLERANCE)
    tensor, squared = situation.tensor(rule), changes[type(rule)]
    unitwise = isinstance(rule, UnitwiseNatural | UnitwiseOuterProduct)
    worst, where = 0.0, ""
    for tangent, place in _directions(situation, unitwise):
        expected = squared(situation, tangent)
        found = tensor.norm2(tangent)
        deviation = abs(found - expected) / max(expected, found, 1e-300)
        if max(expected, found) > 1e-20 * float(tangent @ tangent) and not deviation <= worst:
            worst, where = deviation, place
    return statement.measured(worst, TOLERANCE, where and f"largest along {where}")


def _directions(situation: Situation, unitwise: bool) -> list[tuple[NDArray, str]]:
    drawn = situation.rng(5).standard_normal((DIRECTIONS, situation.program.tangent_layout.size))
    if not unitwise:
        return [(tangent, "all parameters") for tangent in drawn]
    starts = numpy.unique(situation.owners)
    chosen = starts[numpy.linspace(0, len(starts) - 1, min(len(starts), 6)).astype(int)]
    return [(numpy.where(situation.owners == s, drawn[0], 0.0), f"unit {situation.unit(int(s))}") for s in chosen]


def natural_norm2(situation: Situation, tangent: NDArray) -> float:
    """E_x |domega|^2_Omega, with domega by central differences (eq. 64)."""
    total, changes = 0.0, output_changes(situation, tangent)
    for name, reading in situation.here.whole.readings.items():
        point = numpy.asarray(reading.point())
        manifold = reading.interpretation.output_manifold(reading.z.shape[1])
        moved = (manifold.coframe(point) @ changes[name][..., None])[..., 0]
        total += float(numpy.einsum("si,sij,sj", moved, reading.interpretation.output_metric(point), moved))
    return total / situation.samples


def loss_norm2(situation: Situation, tangent: NDArray) -> float:
    """E_x (dl)^2 by central differences (eq. 60)."""
    return float((loss_changes(situation, tangent) ** 2).mean())
