"""Proposition 15: the outer product direction spreads its gain most evenly over the samples."""

import numpy
from numpy.typing import NDArray

from manifoldnet.laws.differences import loss_changes
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import LeastNorm
from manifoldnet.metrics.outer_product import OuterProduct

DRAWN = 12
TOLERANCE = 1e-5


def least_variance(situation: Situation) -> Check:
    """Proposition 15: with w = M^+ dL, s = dL.w, the gains dl_x.w have the variance s^2 (1/s - 1), and no direction
    of the same mean gain has less.

    Gains come from central differences of each sample's loss. Directions are drawn at random, far from w and near it;
    the deviation is relative to the squared mean gain.
    """
    statement = Statement("proposition 15, least variance of gain", "outer-product")
    slope = situation.differential
    if not numpy.abs(slope).max(initial=0.0) > 0.0:
        return statement.untestable("the differential of the loss vanishes", TOLERANCE)
    best = situation.tensor(OuterProduct()).solve(slope, LeastNorm())
    s = float(slope @ best)
    worst, where = abs(_spread(situation, best) - (1.0 / s - 1.0)), "largest against the closed form"
    rng = situation.rng(7)
    for number, drawn in enumerate(rng.standard_normal((DRAWN, len(best)))):
        # half of the directions near the best one, where a wrong one would be beaten
        near = best / numpy.linalg.norm(best) + 0.03 * drawn / numpy.linalg.norm(drawn)
        excess = (1.0 / s - 1.0) - _spread(situation, near if number % 2 else drawn)
        if not excess <= worst:
            worst, where = excess, f"beaten by drawn direction {number}"
    return statement.measured(worst, TOLERANCE, where)


def _spread(situation: Situation, tangent: NDArray) -> float:
    """The variance over samples of the gain along a tangent, over its squared mean."""
    gains = loss_changes(situation, tangent)
    return float(gains.var() / gains.mean() ** 2)
