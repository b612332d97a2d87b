"""Inverse square roots of many small positive matrices: H with H A H^T = 1 on what is kept, 0 elsewhere."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.entries import TINY, Entries
from manifoldnet.linalg.inverse import SINGULAR, Rule
from manifoldnet.linalg.triangular import Site, solve_lower


@final
@attrs.frozen(eq=False)
class Parents:
    """One array of parent blocks: covariances `rest` (U, P, k, k), what they are left of, which are there."""

    rest: NDArray
    level: NDArray
    present: NDArray | None = None


def quasi_means(entries: Entries, bias_root: NDArray) -> tuple[tuple[NDArray, ...], tuple[NDArray, ...]]:
    """mean_i = A_00^- A_0i and C_i = A_ii - A_i0 mean_i, with the generalised inverse that `bias_root` gives."""
    inverse = (bias_root.swapaxes(-1, -2) @ bias_root)[:, None]
    means = tuple(inverse @ cross for cross in entries.cross)
    rests = tuple(
        own - cross.swapaxes(-1, -2) @ mean for own, cross, mean in zip(entries.own, entries.cross, means, strict=True)
    )
    return means, rests


def inverse_roots(parents: Parents, rule: Rule, site: Site, floor: Parents | None = None) -> NDArray:
    """H (U, P, k, k), zero for parents that are absent.

    A direction of which no more than the rule's tolerance is left (with coordinates scaled by the diagonal of
    `level`), or no more than rcond times what the floor's covariance has of it, is dropped, or an error.
    """
    if floor is not None:
        return _relative_roots(parents, rule, site, floor)
    scale = _scale(parents.level)
    standard = parents.rest * scale[..., None] * scale[..., None, :]
    if parents.present is not None:
        standard = standard + ~parents.present[..., None, None] * numpy.eye(standard.shape[-1])
    lower = _lower(standard, rule.tolerance)
    if lower is not None:
        return _inverted(lower) * scale[..., None, :]
    units = standard.shape[0]
    site.require_finite(numpy.concatenate([parents.rest, parents.level], axis=-1).reshape(units, -1))
    values, vectors = numpy.linalg.eigh(standard)
    kept = values > rule.tolerance
    if not rule.drops:
        _require(kept, site)
    return _kept_roots(values, vectors, kept) * scale[..., None, :]


def _relative_roots(parents: Parents, rule: Rule, site: Site, floor: Parents) -> NDArray:
    # nothing was added to the floor's own entries, sums over all samples
    reference = inverse_roots(floor, attrs.evolve(rule, tolerance=SINGULAR), site)
    standard = reference @ parents.rest @ reference.swapaxes(-1, -2)
    site.require_finite(standard.reshape(len(standard), -1))
    values, vectors = numpy.linalg.eigh(standard)
    return _kept_roots(values, vectors, values > rule.rcond) @ reference


def _scale(level: NDArray) -> NDArray:
    diagonal = numpy.diagonal(level, axis1=-2, axis2=-1)
    seen = diagonal > TINY
    return numpy.where(seen, 1.0 / numpy.sqrt(numpy.where(seen, diagonal, 1.0)), 0.0)


def _lower(matrices: NDArray, tolerance: float) -> NDArray | None:
    """Cholesky factors, or None if one of the matrices has none to the tolerance."""
    try:
        lower = numpy.linalg.cholesky(matrices)
    except numpy.linalg.LinAlgError:
        return None
    pivots = numpy.diagonal(lower, axis1=-2, axis2=-1)
    return lower if not pivots.size or pivots.min() ** 2 > tolerance else None


def _inverted(lower: NDArray) -> NDArray:
    k = lower.shape[-1]
    flat = lower.reshape(-1, k, k)
    return solve_lower(flat, numpy.broadcast_to(numpy.eye(k), flat.shape)).reshape(lower.shape)


def _kept_roots(values: NDArray, vectors: NDArray, kept: NDArray) -> NDArray:
    scales = numpy.where(kept, 1.0 / numpy.sqrt(numpy.where(kept, values, 1.0)), 0.0)
    return scales[..., None] * vectors.swapaxes(-1, -2)


def _require(kept: NDArray, site: Site) -> None:
    bad = ~kept.all(axis=-1)
    if not bad.any():
        return
    unit, parent = (int(i) for i in numpy.argwhere(bad)[0])
    of = f"the block of parent {parent} is " if not site.what else ""
    k = kept.shape[-1]
    raise site.singular(unit, f"{of}of rank {int(kept[unit, parent].sum())} of {k} over the samples that count")


__all__ = ["Parents", "inverse_roots", "quasi_means"]
