"""Proposition 28: small steps make the loss smaller."""

import numpy

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DeclarationError, SingularMetricError
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import Damping

# Natural lengths of the steps that are tried.
LENGTHS = (4e-3, 2e-3, 1e-3)
TOLERANCE = 0.1


def improvement(situation: Situation, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Proposition 28: against A^{-1} dL the loss falls, and for small steps by what its differential says.

    The deviation is that of (L(theta) - L(theta - eta w)) / (eta dL.w) from 1, at the smallest step; a step at which the
    loss does not fall counts as a deviation of at least 1. Every metric promises it, damped or not, if it is positive.
    """
    name = "proposition 28, improvement" + (f", {damping.text}" if damping is not None else "")
    statement = Statement(name, rule.name)
    try:
        direction = situation.direction(rule, damping)
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], TOLERANCE)
    slope = float(situation.differential @ direction)
    length = numpy.sqrt(situation.here.natural_norm2(direction))
    if not numpy.abs(situation.differential).max(initial=0.0) > 0.0 or not length > 0.0:
        return statement.untestable("the differential of the loss vanishes, or the metric leaves it out", TOLERANCE)
    here, ratios = situation.here.loss, []
    for part in LENGTHS:
        rate = part / length
        fall = here - situation.at(situation.program.step(situation.theta, -rate * direction)).loss
        ratios.append(fall / (rate * slope) if slope > 0.0 else -numpy.inf)
    if min(ratios) <= 0.0:
        return statement.measured(max(1.0, abs(min(ratios) - 1.0)), TOLERANCE, "the loss does not fall")
    return statement.measured(abs(ratios[-1] - 1.0), TOLERANCE)
