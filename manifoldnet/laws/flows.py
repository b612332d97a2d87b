"""Equation 96: in the limit of small steps trajectories do not depend on any chart of a unit's parameters."""

import itertools

import numpy
import scipy.integrate
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.spaces import StoredPoints
from manifoldnet.errors import DeclarationError, NumericalError, SingularMetricError
from manifoldnet.laws.changes import Pair
from manifoldnet.laws.promises import is_intrinsic, keeps_affine_promise
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import Damping

# How far flows go, in the natural metric at the start, and how exactly they are followed.
LENGTH = 0.03
PRECISION = 1e-8
TOLERANCE = 1e-6
SEEN = 1e-3
# A flow that needs more evaluations than this is stiff, as where a metric is nearly singular.
EVALUATIONS = 1000


def flow(pair: Pair, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Equation 96: dtheta/dt = -A^{-1} dL leads to the same network at the same time, in whatever charts of Theta_k.

    Integrated by SciPy's Dormand-Prince method of order 8. The deviation is that of the outputs, relative to
    how far they have moved. Not testable where the metric is singular, or so nearly that the flow is stiff.
    """
    promised = is_intrinsic(rule) and keeps_affine_promise(damping)
    name = "equation 96, flow" + (f", {damping.text}" if damping is not None else "")
    statement = Statement(name, rule.name, pair.change.name, promised)
    tolerance = TOLERANCE if promised else SEEN
    try:
        time = horizon(pair.before, rule, damping)
        ends = flowed(pair.before, rule, time, damping), flowed(pair.after, rule, time, damping)
    except (SingularMetricError, DeclarationError, NumericalError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)
    deviation = pair.moved(pair.before.outputs(ends[0]), pair.after.outputs(ends[1]))
    if numpy.isnan(deviation):
        return statement.untestable("the differential of the loss vanishes, so that nothing flows", tolerance)
    return statement.measured(deviation, tolerance)


def horizon(situation: Situation, rule: MetricRule, damping: Damping | None, length: float = LENGTH) -> float:
    """The time in which the flow would go so far, in the natural metric, at the speed that it starts with."""
    speed = numpy.sqrt(situation.here.natural_norm2(situation.direction(rule, damping)))
    return length / speed if speed > 0.0 else 0.0


def flowed(situation: Situation, rule: MetricRule, time: float, damping: Damping | None) -> Parameters:
    """The parameters at this time; raises NumericalError where the flow does not get there, or is too stiff."""
    count = itertools.count(1)

    def velocity(_: float, stored: NDArray) -> NDArray:
        if next(count) > EVALUATIONS:
            raise NumericalError(f"the flow is stiff: {EVALUATIONS:,} evaluations do not lead to time {time:.3g}")
        return _velocity(situation, stored, rule, damping)

    found = scipy.integrate.solve_ivp(
        velocity,
        (0.0, time),
        situation.theta.flat,
        method="DOP853",
        rtol=PRECISION,
        atol=PRECISION * 1e-2,
    )
    if not found.success:
        raise NumericalError(f"the flow could not be followed to time {time:.3g}: {found.message}")
    return situation.program.parameters(found.y[:, -1])


def _velocity(situation: Situation, stored: NDArray, rule: MetricRule, damping: Damping | None) -> NDArray:
    """How the stored numbers move: curved parameters are stored as points, whose tangents need a frame."""
    run = situation.at(stored)
    tangent = run.metric(rule).solve(run.differential(), damping)
    program, velocity = situation.program, numpy.zeros(len(stored))
    for place in program.layout:
        there = program.tangent_layout[place.name]
        space, part = program.lowered.parameter_spaces.get(place.name), tangent[there.offset : there.stop]
        if isinstance(space, StoredPoints):
            frame = space.frame(stored[place.offset : place.stop].reshape(place.units, -1))
            if frame is not None:
                part = (frame @ part.reshape(there.units, -1, 1)).reshape(-1)
        velocity[place.offset : place.stop] = -part
    return velocity
