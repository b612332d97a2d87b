"""What rounding alone does: the same computation from parameters that differ in their last digits."""

from collections.abc import Callable

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.laws.changes import Pair
from manifoldnet.laws.situation import Situation

# The last digits of float64.
ULP = 2.0**-52
TWINS = 2


def rounding(pair: Pair, end: Callable[[Situation], NDArray]) -> float:
    """The largest change of what `end` finds on either side of a change of charts when parameters change by an ulp.

    It is what two computations in different charts cannot be asked to agree to.
    """
    return max(_apart(side, end) for side in (pair.before, pair.after))


def _apart(situation: Situation, end: Callable[[Situation], NDArray]) -> float:
    expected, found = end(situation), 0.0
    size = ULP * numpy.abs(situation.theta.flat).max(initial=1.0)
    for drawn in situation.rng(12).standard_normal((TWINS, situation.program.tangent_layout.size)):
        twin = attrs.evolve(situation, theta=situation.program.step(situation.theta, size * drawn))
        found = max(found, float(numpy.abs(end(twin) - expected).max()))
    return found
