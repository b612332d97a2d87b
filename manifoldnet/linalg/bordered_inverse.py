"""Bordered matrices solved by blocks: the units apart are eliminated, each by itself, then the border."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.linalg.border import Border
from manifoldnet.linalg.entries import TINY
from manifoldnet.linalg.inverse import Inverse
from manifoldnet.linalg.triangular import solve_lower


@final
@attrs.frozen(eq=False)
class BorderedInverse(Inverse):
    """Cholesky's factors by blocks: `roots` L^{-1} of each unit apart, `cross` L^{-1} C, and `inner` of the border's rest.

    `dead` are positions that are left alone: their covectors count for nothing, and they do not move.
    """

    border: Border
    roots: tuple[NDArray, ...]
    cross: tuple[NDArray, ...]
    inner: NDArray
    dead: NDArray[numpy.int_]

    def solve(self, values: NDArray) -> NDArray:
        columns = values.reshape(len(values), -1)
        padded = numpy.concatenate([columns, numpy.zeros((1, columns.shape[1]))])
        padded[self.dead] = 0.0
        shared = padded[self.border.positions]
        halves = []
        for places, root, cross in zip(self.border.places, self.roots, self.cross, strict=True):
            halves.append(root @ padded[places])
            shared -= _flat(cross).T @ _flat(halves[-1])
        # the transpose of a triangle is the other one, in the order that LAPACK takes without a copy
        shared = scipy.linalg.cho_solve((self.inner.T, False), shared, check_finite=False)
        found = numpy.empty(padded.shape)
        for places, root, cross, half in zip(self.border.places, self.roots, self.cross, halves, strict=True):
            found[places] = root.swapaxes(1, 2) @ (half - cross @ shared)
        found[self.border.positions] = shared
        return found[:-1].reshape(values.shape)


def bordered_inverse(
    border: Border,
    blocks: Sequence[NDArray],
    cross: Sequence[NDArray],
    inner: NDArray,
    live: NDArray[numpy.bool_] | None,
    tolerance: float,
) -> BorderedInverse | None:
    """The inverse of a bordered matrix that has been damped; None if a row adds no more than rounding to those before it.

    Positions that are not `live` are left alone.
    """
    alive = numpy.append(numpy.ones(border.partition.size, dtype=bool) if live is None else live, False)
    roots, halves, rest = [], [], inner.copy()
    shared = alive[border.positions]
    for places, block, part in zip(border.places, blocks, cross, strict=True):
        lower = _factor(_only(block, alive[places]), tolerance)
        if lower is None:
            return None
        roots.append(_inverted(lower))
        if not alive[places].all():
            part = numpy.where(alive[places][..., None], part, 0.0)
        halves.append(roots[-1] @ part)
        flat = _flat(halves[-1])
        # a product of an array with its own transpose takes half of the operations
        rest -= flat.T @ flat
    factor = _factor(_only(rest[None], shared[None]), tolerance, inner.diagonal())
    if factor is None:
        return None
    if not shared.all():
        halves = [numpy.where(shared, half, 0.0) for half in halves]
    return BorderedInverse(border, tuple(roots), tuple(halves), factor[0], numpy.flatnonzero(~alive))


def _only(blocks: NDArray, alive: NDArray[numpy.bool_]) -> NDArray:
    """Blocks (units, n, n) with the rows and columns of what is left alone or padding replaced by the identity's."""
    if alive.all():
        return blocks
    found = numpy.where(alive[:, :, None] & alive[:, None, :], blocks, 0.0)
    units, places = numpy.nonzero(~alive)
    found[units, places, places] = 1.0
    return found


def _factor(blocks: NDArray, tolerance: float, own: NDArray | None = None) -> NDArray | None:
    """Cholesky's factors (units, n, n); None where a pivot is no more than `tolerance` of what it began as, `own`."""
    try:
        lower = numpy.linalg.cholesky(blocks)
    except numpy.linalg.LinAlgError:
        return None
    pivots = numpy.diagonal(lower, axis1=1, axis2=2) ** 2
    began = numpy.diagonal(blocks, axis1=1, axis2=2) if own is None else own
    return lower if (pivots > tolerance * began + TINY).all() else None


def _inverted(lower: NDArray) -> NDArray:
    """L^{-1} of small triangular matrices (units, n, n), in the order of products."""
    units, n = lower.shape[:2]
    return numpy.ascontiguousarray(solve_lower(lower, numpy.broadcast_to(numpy.eye(n), (units, n, n))))


def _flat(cross: NDArray) -> NDArray:
    return cross.reshape(cross.shape[0] * cross.shape[1], cross.shape[2])


__all__ = ["BorderedInverse", "bordered_inverse"]
