"""Proposition 30: steps, one and many, end in the same network whatever the affine charts."""

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
from manifoldnet.linalg.damping import Damping

# Steps are at most so long in the natural metric: about sqrt(2 KL), in nats.
RADIUS = 0.01
ROUNDING = 1e-7
SEEN = 1e-3


def trajectory(pair: Pair, rule: MetricRule, steps: int = 1, damping: Damping | None = None) -> Check:
    """Proposition 30: after so many steps the outputs are the same before and after an affine change of charts.

    Steps are whole ones (rate 1), shortened to a natural length. Damping must keep the promise: Tikhonov does not
    (remark 12). The deviation is that of the outputs, relative to how far they have moved.
    """
    promised = is_intrinsic(rule) and keeps_affine_promise(damping) and not pair.change.bends
    name = "proposition 30, " + ("one step" if steps == 1 else f"{steps} steps")
    name += f", {damping.text}" if damping is not None else ""
    statement = Statement(name, rule.name, pair.change.name, promised)
    tolerance = (ROUNDING) if promised else SEEN
    try:
        before, after = _ends(pair, rule, damping, steps)
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)
    deviation = pair.moved(before, after)
    if numpy.isnan(deviation):
        return statement.untestable("no step is taken, because the differential of the loss vanishes", tolerance)
    return statement.measured(deviation, tolerance)


def _ends(pair: Pair, rule: MetricRule, damping: Damping | None, steps: int) -> tuple[NDArray, NDArray]:
    """The outputs after the same number of steps on both sides."""
    if steps > 1:
        ends = descent(pair.before, rule, damping, steps), descent(pair.after, rule, damping, steps)
        return pair.before.outputs(ends[0]), pair.after.outputs(ends[1])
    # one rate for both sides, so that a metric which only scales with the charts is seen too
    step = pair.before.direction(rule, damping)
    rate = _rate(pair.before.here, step)
    other = pair.after.direction(rule, damping)
    ends = (
        pair.before.program.step(pair.before.theta, -rate * step),
        pair.after.program.step(pair.after.theta, -rate * other),
    )
    return pair.before.outputs(ends[0]), pair.after.outputs(ends[1])


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
