"""What to do where no part of a step helps: find the units that stand in the way, and let the others go on.

A unit that saturates on all samples has next to no weight in the metric, so that the undamped or relatively damped step
of its parameters grows without bound; one rate for all then falls until that unit's step is small, and nobody moves.
"""

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.run import Run
from manifoldnet.learning.diagnosis import loss_or_why

# Part of the schedule's rate at which descent counts as standing still: some thirty cuts in a row.
STANDSTILL = 1e-9
# A loss falls as its slope foretells if it misses that by no more than this part of it, and by what rounding may add.
MISSED, SLACK = 0.75, 1e-12
# How often the step of one unit is halved at its tries: farther and farther, down to where nothing is left of it.
HALVINGS = (0, 1, 3, 7, 15, 31, 63, 127, 255)


def shares(run: Run, direction: NDArray, rate: float) -> NDArray:
    """For every parameter, the part of -rate * `direction` that its unit can take by itself as the slope foretells.

    The same for all parameters of a unit, and judged by losses and slopes alone, which no chart of activities or of
    a unit's parameters changes. 0 where no part will do. Takes at least one pass forward a unit.
    """
    found, slope = numpy.ones(direction.shape), run.differential().flat
    for group in run.program.partition.groups:
        for index in group.index:
            own = index[(index >= 0) & (index < direction.size)]
            found[own] = _share(run, slope, direction, own, rate)
    return found


def freed(run: Run, direction: NDArray, rate: float, taken: NDArray | None) -> NDArray | None:
    """The shares that free the others, no larger than those `taken` before (None: all of every step).

    None where no unit by itself stands in the way: then there is nothing to gain here, or steps of units clash.
    """
    found = shares(run, direction, rate)
    before = numpy.ones(direction.shape) if taken is None else taken
    return None if bool((found >= before).all()) else numpy.minimum(found, before)


def grown(taken: NDArray | None, growth: float) -> NDArray | None:
    """What parameters may take after a step that helped; None where that is all of every step again."""
    if taken is None:
        return None
    larger = numpy.minimum(1.0, growth * taken)
    return None if bool((larger == 1.0).all()) else larger


def _share(run: Run, slope: NDArray, direction: NDArray, own: NDArray, rate: float) -> float:
    alone = numpy.zeros(direction.shape)
    alone[own] = direction[own]
    if not alone.any():
        return 1.0
    foretold, slack = rate * float(slope @ alone), SLACK * (1.0 + abs(run.loss))
    for halvings in HALVINGS:
        part = 0.5**halvings
        ahead = attrs.evolve(run, theta=run.program.step(run.theta, -rate * part * alone))
        loss, _ = loss_or_why(ahead)
        if abs(run.loss - loss - part * foretold) <= MISSED * part * foretold + slack:
            return part
    return 0.0
