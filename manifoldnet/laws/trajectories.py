"""Proposition 30: steps, one and many, end in the same network whatever the affine charts."""

from functools import partial

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DeclarationError, SingularMetricError
from manifoldnet.laws.changes import Pair
from manifoldnet.laws.promises import is_intrinsic, keeps_affine_promise
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.twins import rounding
from manifoldnet.linalg.damping import Damping

# Steps are at most so long in the natural metric: about sqrt(2 KL), in nats.
RADIUS = 0.01
ROUNDING = 1e-7
SEEN = 1e-3
# How much more rounding may do from one chart to the other than in any of some trials in either.
MARGIN = 30.0


def trajectory(pair: Pair, rule: MetricRule, steps: int = 1, damping: Damping | None = None) -> Check:
    """Proposition 30: after so many steps the outputs are the same before and after an affine change of charts.

    Steps are whole ones (rate 1), shortened to a natural length. Damping must keep the promise: Tikhonov does not
    (remark 12). The deviation is that of the outputs, relative to how far they have moved. Where it is larger than
    rounding should be, it is held against what rounding does in one and the same chart. Not testable where that is as
    much as a control must show.
    """
    promised = is_intrinsic(rule) and keeps_affine_promise(damping) and not pair.change.bends
    name = "proposition 30, " + ("one step" if steps == 1 else f"{steps} steps")
    name += f", {damping.text}" if damping is not None else ""
    statement = Statement(name, rule.name, pair.change.name, promised)
    tolerance = ROUNDING if promised else SEEN
    try:
        rate = _rate(pair.before.here, pair.before.direction(rule, damping)) if steps == 1 else None
        end = partial(_end, rule=rule, damping=damping, steps=steps, rate=rate)
        before, after = end(pair.before), end(pair.after)
        deviation = pair.moved(before, after)
        if promised and deviation > tolerance:
            distance = numpy.abs(before - pair.before.outputs()).max()
            tolerance = max(tolerance, float(MARGIN * rounding(pair, end) / distance))
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)
    if numpy.isnan(deviation):
        return statement.untestable("no step is taken, because the differential of the loss vanishes", tolerance)
    if promised and tolerance > SEEN:
        return statement.untestable(f"rounding alone grows to {tolerance / MARGIN:.1e} in these steps", tolerance)
    return statement.measured(deviation, tolerance)


def _end(situation: Situation, rule: MetricRule, damping: Damping | None, steps: int, rate: float | None) -> NDArray:
    """The outputs after so many steps; a single one has the same rate everywhere, so that scalings are seen too."""
    if rate is None:
        return situation.outputs(descent(situation, rule, damping, steps))
    direction = situation.direction(rule, damping)
    return situation.outputs(situation.program.step(situation.theta, -rate * direction))


def descent(situation: Situation, rule: MetricRule, damping: Damping | None, steps: int) -> Parameters:
    """Where steps against A^{-1} dL lead, each at most `RADIUS` long in the natural metric."""
    theta = situation.theta
    for step in range(steps):
        run = situation.at(theta, step)
        direction = run.metric(rule).solve(run.differential(), damping)
        theta = situation.program.step(theta, -_rate(run, direction) * direction)
    return theta


def _rate(run: Run, direction: NDArray) -> float:
    """1, or less where the direction is longer than `RADIUS` in the natural metric."""
    length = numpy.sqrt(run.natural_norm2(direction))
    return min(1.0, RADIUS / length) if length > 0.0 else 0.0
