"""Damped blocks of affine units solved as they are: elimination takes the bias first, so nothing need be standardised.

The first step of elimination is the centring by the bias, and pivots relative to what they began as do not depend on the
scale of a coordinate: the same numbers decide about rank as in `standard`, without the work of changing coordinates.
"""

import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.linalg.entries import TINY, Entries
from manifoldnet.linalg.inverse import Rule
from manifoldnet.linalg.links import LinkEntries

# What a step of elimination costs for all units together, what each of its products does, and what a call for one
# unit does, in microseconds.
_STEP, _PRODUCT, _CALL = 3.0, 0.5e-3, 1.25


def can_eliminate(rule: Rule) -> bool:
    """Whether blocks are solved as they are: something has been added to every diagonal entry, and nothing is cut."""
    return rule.absolute and not rule.relative and rule.cut == "nothing"


def eliminated(blocks: NDArray, values: NDArray, tolerance: float) -> NDArray | None:
    """The solutions for covectors (U, width) of blocks (U, width, width), bias first.

    None if a unit weighs nothing, a parent is constant, or rows depend on one another, to the tolerance: then `standard`
    says which, or leaves them out.
    """
    units, width = values.shape
    if _STEP * width + _PRODUCT * units * width**3 < _CALL * units:
        return _all_at_once(blocks, values, tolerance)
    return _one_by_one(blocks, values, tolerance)


def eliminate(entries: Entries | LinkEntries, level: NDArray, weights: NDArray, tolerance: float) -> bool:
    """The same for quasi-diagonal blocks of numbers, by eqs. 89 and 90, in place of the covectors of biases and of links.

    False, and no more promised of their values, where `eliminated` gives None.
    """
    bias, cross, own = entries.scalars
    if not _all_exceed(bias):
        return False
    means = cross * entries.spread(1.0 / bias)
    rests = cross * means
    numpy.subtract(own, rests, out=rests)
    # one array for all that is used up at once: of large units each costs as much as an operation
    part = tolerance * own
    numpy.subtract(rests, part, out=part)
    if not _all_exceed(part):
        return False
    numpy.multiply(means, entries.spread(level), out=part)
    weights -= part
    weights /= rests
    means *= weights
    level /= bias
    level -= entries.summed(means)
    return True


def _all_exceed(values: NDArray) -> bool:
    """Whether all numbers are above `TINY`, as none is that is not a number."""
    # where the least is, or the first that is not a number, is found in half the time that the least itself takes
    return values.size == 0 or values.item(values.argmin()) > TINY


def _all_at_once(blocks: NDArray, values: NDArray, tolerance: float) -> NDArray | None:
    units, width = values.shape
    # units last, so that every operation runs over all of them in order
    table = numpy.empty((width, width + 1, units))
    table[:, :width], table[:, width] = blocks.transpose(1, 2, 0), values.T
    diagonal = table.reshape(-1, units)[:: width + 2]
    own = diagonal.copy()
    rests = own
    for step in range(width - 1):
        row = table[step, step + 1 :]
        scaled = row / table[step, step]
        # the matrix stays symmetric: its column is its row
        table[step + 1 :, step + 1 :] -= row[:-1, None] * scaled[None]
        table[step, step + 1 :] = scaled
        if step == 0:
            rests = diagonal.copy()
    if not _is_informed(own, rests, diagonal, tolerance):
        return None
    solved = table[:, width]
    solved[-1] /= diagonal[-1]
    for step in range(width - 1, 0, -1):
        solved[:step] -= table[:step, step] * solved[step]
    return solved.T


def _one_by_one(blocks: NDArray, values: NDArray, tolerance: float) -> NDArray | None:
    own = numpy.diagonal(blocks, axis1=1, axis2=2).T
    solved, roots = values.copy(), numpy.empty(values.shape)
    # one factor at a time, which stays in the innermost cache; the transpose of a symmetric matrix is itself, in the
    # order that LAPACK takes without a copy
    factor = numpy.empty(blocks.shape[1:])
    transposed, diagonal = factor.T, factor.reshape(-1)[:: len(factor) + 1]
    for block, row, root in zip(blocks, solved, roots, strict=True):
        factor[:] = block
        if scipy.linalg.lapack.dposv(transposed, row, 1, 1, 1)[2]:
            return None
        root[:] = diagonal
    rests = own.copy()
    rests[1:] -= (blocks[:, 0, 1:] ** 2 / blocks[:, 0, :1]).T
    pivots = (roots * roots).T
    return solved if _is_informed(own, rests, pivots, tolerance) else None


def _is_informed(own: NDArray, rests: NDArray, pivots: NDArray, tolerance: float) -> bool:
    """Whether each row adds something to those before it, from diagonals (width, U): as they were, centred, eliminated."""
    return bool((own[0] > TINY).all() and (rests > tolerance * own + TINY).all() and (pivots > tolerance * rests).all())


__all__ = ["can_eliminate", "eliminate", "eliminated"]
