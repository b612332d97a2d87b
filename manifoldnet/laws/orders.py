"""How the deviation of additive steps vanishes with their size in charts that are not affine (sections 2.4 and 3.2)."""

from collections.abc import Callable, Iterator

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
from manifoldnet.laws.twins import rounding
from manifoldnet.linalg.damping import Damping

# Natural lengths of single steps; the natural length of a horizon, and the numbers of steps that lead there.
LENGTHS = 2.0 ** -numpy.arange(6, 11)
HORIZON = 0.01
NUMBERS = (4, 8, 16)
# An order is that of small steps: where larger ones do not show it, they are made this much smaller, and again.
SHRINKAGES = (1.0, 2.0**-5, 2.0**-10)
# An order is seen where deviations are so much larger than what rounding does.
MARGIN = 30.0
TOLERANCE = 0.15
SEEN = 0.5


# From a situation, the outputs after steps of each of some rates, all of them made smaller by a factor.
Steps = Callable[[Situation], NDArray]


def order_of_a_step(pair: Pair, rule: MetricRule, damping: Damping | None = None) -> Check:
    """One additive step of rate eta deviates as eta^2 in a chart of Theta_k that is not affine: the fitted slope less 2.

    For a metric that is not intrinsic the slope is 1.
    """

    def walks(shrinkage: float) -> tuple[NDArray, Steps]:
        rates = shrinkage * LENGTHS * horizon(pair.before, rule, damping, length=1.0)
        return rates, lambda side: _single_steps(side, rule, damping, rates)

    return _order(pair, rule, damping, "additive step, order 2", 2.0, walks)


def order_of_a_horizon(pair: Pair, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Additive steps of rate eta to a fixed time deviate as eta: the fitted slope less 1.

    For a metric that is not intrinsic they do not come together at all: the slope is 0.
    """

    def walks(shrinkage: float) -> tuple[NDArray, Steps]:
        time = horizon(pair.before, rule, damping, length=shrinkage * HORIZON)
        return time / numpy.array(NUMBERS), lambda side: _walks(side, rule, damping, time)

    return _order(pair, rule, damping, "steps to a fixed time, order 1", 1.0, walks)


def _order(
    pair: Pair,
    rule: MetricRule,
    damping: Damping | None,
    name: str,
    order: float,
    walks: Callable[[float], tuple[NDArray, Steps]],
) -> Check:
    promised = is_intrinsic(rule) and keeps_affine_promise(damping)
    name += f", {damping.text}" if damping is not None else ""
    statement = Statement(name, rule.name, pair.change.name, promised)
    tolerance = TOLERANCE if promised else SEEN
    try:
        slopes = list(_slopes(pair, walks, order if promised else None))
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)
    if not slopes:
        return statement.untestable("steps deviate by no more than rounding, so that no order is seen", tolerance)
    return statement.measured(abs(slopes[-1] - order), tolerance, f"fitted slope {slopes[-1]:.3f}")


def _slopes(pair: Pair, walks: Callable[[float], tuple[NDArray, Steps]], order: float | None) -> Iterator[float]:
    """Fitted slopes of smaller and smaller steps, as long as they are seen, up to the first of the order promised."""
    for shrinkage in SHRINKAGES if order is not None else SHRINKAGES[:1]:
        rates, steps = walks(shrinkage)
        deviations = numpy.linalg.norm(steps(pair.after) - steps(pair.before), axis=1)
        if not deviations.min() > 0.0:
            return
        slope = float(numpy.polyfit(numpy.log(rates), numpy.log(deviations), 1)[0])
        if order is None or abs(slope - order) <= TOLERANCE:
            yield slope
            return
        if not deviations.min() > MARGIN * rounding(pair, steps):
            return
        yield slope


def _single_steps(situation: Situation, rule: MetricRule, damping: Damping | None, rates: NDArray) -> NDArray:
    """The outputs after one step of each rate, (rates, outputs)."""
    direction = situation.direction(rule, damping)
    ends = [situation.program.step(situation.theta, -rate * direction) for rate in rates]
    return numpy.stack([situation.outputs(end) for end in ends])


def _walks(situation: Situation, rule: MetricRule, damping: Damping | None, time: float) -> NDArray:
    """The outputs after so many steps to this time, (numbers, outputs)."""
    ends = [_walked(situation, rule, damping, time, number) for number in NUMBERS]
    return numpy.stack([situation.outputs(end) for end in ends])


def _walked(situation: Situation, rule: MetricRule, damping: Damping | None, time: float, number: int) -> Parameters:
    theta = situation.theta
    for _ in range(number):
        run = situation.at(theta)
        direction = run.metric(rule).solve(run.differential(), damping)
        theta = situation.program.step(theta, -time / number * direction)
    return theta
