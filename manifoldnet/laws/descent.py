"""Proposition 28: small steps make the loss smaller."""

from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DeclarationError, SingularMetricError
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import Damping

# Natural lengths of the steps that are tried, one after another until the loss falls as its differential says.
LENGTHS = 4e-3 * 0.25 ** numpy.arange(20)
# A fall of less than this part of the loss is lost in rounding.
LOST = 1e-11
TOLERANCE = 0.1


def improvement(situation: Situation, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Proposition 28: against A^{-1} dL the loss falls, and for small steps by what its differential says.

    The deviation is that of (L(theta) - L(theta - eta w)) / (eta dL.w) from 1, at the first step that is small enough
    for the tolerance. Every metric promises it, damped or not, if it is positive. Not testable where the loss bends so
    strongly along w that no fall is above rounding at steps small enough: an ill-conditioned metric.
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
    if not slope > 0.0:
        return statement.measured(1.0 - slope, TOLERANCE, "the differential does not fall along the step")
    found = list(_deviations(situation, direction, slope, LENGTHS / length))
    if not found or (found[-1] > TOLERANCE and len(found) < len(LENGTHS)):
        return statement.untestable("the loss bends too strongly along the step for rounding", TOLERANCE)
    return statement.measured(found[-1], TOLERANCE)


def _deviations(situation: Situation, direction: NDArray, slope: float, rates: NDArray) -> Iterator[float]:
    """How far the fall of the loss is from what its slope says, up to the first rate at which it is near."""
    here = situation.here.loss
    for rate in rates:
        if rate * slope < LOST * max(1.0, abs(here)):
            return
        fall = here - situation.at(situation.program.step(situation.theta, -rate * direction)).loss
        deviation = abs(fall / (rate * slope) - 1.0)
        yield deviation
        if deviation <= TOLERANCE:
            return
