"""A step on a batch: so far along a direction as the batch's own loss confirms."""

from typing import final

import attrs
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.run import Run
from manifoldnet.errors import NumericalError
from manifoldnet.learning.diagnosis import loss_or_why
from manifoldnet.learning.momentum import Towards, towards
from manifoldnet.learning.past import Past
from manifoldnet.learning.schedule import Minibatches
from manifoldnet.learning.standstill import STANDSTILL, freed

# How often a step is halved at its tries: farther and farther, down to where nothing is left of it.
HALVINGS = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023)
# So many times what the slope foretells must a step improve the loss of its batch, and may: less is a step too far (the
# rule of Armijo), more is too good to be true. Measured steps of healthy training fall by 0.3 to 1.3 times that.
LEAST_FALL, MOST_FALL = 0.1, 2.0
# What rounding may add to a loss.
SLACK = 1e-10

# After a step that helped the rate may grow again, and what units that stand in the way take of theirs.
GROWTH = 1.1


@final
@attrs.frozen(eq=False)
class Reached:
    """Where a step led, at which rate in the end, and what was not finite farther along."""

    theta: Parameters
    rate: float
    trouble: str | None = None


def descended(run: Run, slope: NDArray, direction: NDArray, rate: float) -> Reached:
    """The point at -rate along `direction`, or nearer by, where the batch's own loss falls by what its slope foretells.

    Between `LEAST_FALL` and `MOST_FALL` times that. A step that does not, or leads where something is not finite, goes
    farther than the metric can be trusted (units that saturate, weights near 0): it is cut, by halves, eighths, and so
    on. Rate 0 if no part of it will do. Raises NumericalError if all parts lead where something is not finite.
    """
    trouble, slack = None, SLACK * (1.0 + abs(run.loss))
    foretold = float(slope @ direction)
    for halvings in HALVINGS:
        part = float(rate) * 0.5**halvings
        ahead = attrs.evolve(run, theta=run.program.step(run.theta, -part * direction))
        loss, why = loss_or_why(ahead)
        if LEAST_FALL * part * foretold - slack <= run.loss - loss <= MOST_FALL * part * foretold + slack:
            return Reached(ahead.theta, part, trouble)
        trouble = trouble or why
    if trouble is not None:
        raise NumericalError(f"no part of the step leads where all is finite: {trouble}")
    return Reached(run.theta, 0.0)


@final
@attrs.frozen(eq=False)
class Taken:
    """Where a step led, and what the next one remembers."""

    reached: Reached
    past: Past


def taken_step(
    run: Run, slope: NDArray, direction: NDArray, past: Past, left: float, schedule: Minibatches, step: int
) -> Taken:
    """A step along the metric's direction, and the last one with momentum; `left` is what cuts have left of the rate.

    Where next to nothing of it helps, units that saturate stand in the way: their parts, by themselves too far, are cut
    to what their own slope foretells, and the others go on (as in full batches).
    """
    own = direction if past.shares is None else past.shares * direction
    found = towards(run, slope, own, past.last)
    rate = left * _rate(found, schedule, step)
    reached = descended(run, slope, found.direction, rate)
    if reached.rate < STANDSTILL * rate:
        alone = towards(run, slope, direction, None)
        taken = freed(run, direction, left * _rate(alone, schedule, step), past.shares)
        if taken is not None:
            past = Past(None, taken)
            found = towards(run, slope, taken * direction, None)
            reached = descended(run, slope, found.direction, left * _rate(found, schedule, step))
    last = reached.rate * found.direction if schedule.momentum and reached.rate > 0.0 else None
    kept = attrs.evolve(past, last=last)
    return Taken(reached, kept.grown(GROWTH) if reached.rate > 0.0 else kept)


def _rate(found: Towards, schedule: Minibatches, step: int) -> float:
    """How far to go: a fraction of the quadratic model's best, within the trust radius."""
    fall = schedule.fall(step)
    fraction = schedule.rate(step) if callable(schedule.rate) else schedule.rate * fall
    return found.rate(fraction, schedule.radius * fall)
