"""How the deviation of additive steps vanishes with their size in charts that are not affine (sections 2.4 and 3.2)."""

from collections.abc import Callable

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DeclarationError, SingularMetricError
from manifoldnet.laws.changes import Pair
from manifoldnet.laws.flows import horizon
from manifoldnet.laws.promises import is_intrinsic, keeps_affine_promise
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import Damping

# Natural lengths of single steps; the natural length of a horizon, and the numbers of steps that lead there.
LENGTHS = 2.0 ** -numpy.arange(6, 11)
HORIZON = 0.01
NUMBERS = (4, 8, 16)
TOLERANCE = 0.15
SEEN = 0.5


# Rates, and how far apart steps of these rates lead.
Deviations = Callable[[Pair, MetricRule, Damping | None], tuple[NDArray, NDArray]]


def order_of_a_step(pair: Pair, rule: MetricRule, damping: Damping | None = None) -> Check:
    """One additive step of rate eta deviates as eta^2 in a chart of Theta_k that is not affine: the fitted slope less 2.

    For a metric that is not intrinsic the slope is 1.
    """
    return _order(pair, rule, damping, "additive step, order 2", 2.0, _step_deviations)


def order_of_a_horizon(pair: Pair, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Additive steps of rate eta to a fixed time deviate as eta: the fitted slope less 1.

    For a metric that is not intrinsic they do not come together at all: the slope is 0.
    """
    return _order(pair, rule, damping, "steps to a fixed time, order 1", 1.0, _horizon_deviations)


def _order(
    pair: Pair, rule: MetricRule, damping: Damping | None, name: str, order: float, deviations: Deviations
) -> Check:
    promised = is_intrinsic(rule) and keeps_affine_promise(damping)
    name += f", {damping.text}" if damping is not None else ""
    statement = Statement(name, rule.name, pair.change.name, promised)
    tolerance = TOLERANCE if promised else SEEN
    try:
        sizes, values = deviations(pair, rule, damping)
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)
    if not (values > 0.0).all():
        return statement.untestable("steps deviate by nothing at all, so that there is no order to see", tolerance)
    slope = float(numpy.polyfit(numpy.log(sizes), numpy.log(values), 1)[0])
    return statement.measured(abs(slope - order), tolerance, f"fitted slope {slope:.3f}")


def _step_deviations(pair: Pair, rule: MetricRule, damping: Damping | None) -> tuple[NDArray, NDArray]:
    rates = LENGTHS * horizon(pair.before, rule, damping, length=1.0)
    before, after = pair.before.direction(rule, damping), pair.after.direction(rule, damping)
    found = [_distance(pair, _moved(pair.before, -rate * before), _moved(pair.after, -rate * after)) for rate in rates]
    return rates, numpy.array(found)


def _moved(situation: Situation, tangent: NDArray) -> Parameters:
    return situation.program.step(situation.theta, tangent)


def _horizon_deviations(pair: Pair, rule: MetricRule, damping: Damping | None) -> tuple[NDArray, NDArray]:
    time = horizon(pair.before, rule, damping, length=HORIZON)
    found = [
        _distance(pair, *(_walked(side, rule, damping, time, number) for side in (pair.before, pair.after)))
        for number in NUMBERS
    ]
    return time / numpy.array(NUMBERS), numpy.array(found)


def _walked(situation: Situation, rule: MetricRule, damping: Damping | None, time: float, number: int) -> Parameters:
    theta = situation.theta
    for _ in range(number):
        run = situation.at(theta)
        direction = run.metric(rule).solve(run.differential(), damping)
        theta = situation.program.step(theta, -time / number * direction)
    return theta


def _distance(pair: Pair, before: Parameters, after: Parameters) -> float:
    return float(numpy.linalg.norm(pair.after.outputs(after) - pair.before.outputs(before)))
