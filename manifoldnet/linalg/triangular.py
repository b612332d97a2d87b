"""Cholesky factors of many small or a few large matrices at once, and their triangular solves."""

from typing import final

import attrs
import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.errors import NumericalError, SingularMetricError

# Up to this size a triangular solve goes column by column for all units together, beyond it by halves.
_LEAF = 16

# So few large units are solved one by one.
_FEW = 8

REMEDIES = (
    "damp it with Tikhonov(eps) or Intrinsic(eps), or take one of its solutions by LeastNorm(rcond) "
    "or PseudoInverse(rcond)"
)


@final
@attrs.frozen
class Site:
    """Which matrices are being factorised, for messages: a tensor, a group of its units, and the first one."""

    tensor: str
    number: int | None = None
    group: str = ""
    first: int = 0
    what: str = ""
    labels: tuple[str, ...] | None = None

    def from_unit(self, first: int) -> "Site":
        """The same with units counted from `first`."""
        return attrs.evolve(self, first=first)

    def named(self, what: str) -> "Site":
        """The same for one part of each unit's block."""
        return attrs.evolve(self, what=what)

    def place(self, unit: int) -> str:
        """In words, where a unit's block stands."""
        where = "all parameters together"
        if self.number is not None:
            name = f" ({self.group!r})" if self.group else ""
            where = f"unit {self.first + unit} of group {self.number}{name}"
            if self.labels is not None:
                where = f"unit {self.labels[self.first + unit]}"
        return f"{self.tensor}, {where}" + (f", {self.what}" if self.what else "")

    def singular(self, unit: int, reason: str) -> SingularMetricError:
        """The error for a block without inverse."""
        return SingularMetricError(f"{self.place(unit)}: singular, {reason}; {REMEDIES}")

    def require_finite(self, values: NDArray) -> None:
        """Raise NumericalError for the first unit of (U, ...) values that are not finite."""
        good = numpy.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if not good.all():
            unit = int(numpy.argmin(good))
            raise NumericalError(
                f"{self.place(unit)}: the metric is not finite; look at what the inputs hold and at "
                "whether activities overflow"
            )


def cholesky(matrices: NDArray, tolerance: float, site: Site, padded: NDArray | None = None) -> NDArray:
    """Lower factors (U, n, n) of matrices (U, n, n) whose diagonals have been scaled to about one.

    Raises SingularMetricError, naming the unit and its rank, where the square that a row adds to those
    before it is `tolerance` or less. `padded` (U, n) marks rows that are there only to fill.
    """
    try:
        lower = numpy.linalg.cholesky(matrices)
    except numpy.linalg.LinAlgError:
        raise _deficient(matrices, tolerance, site, padded) from None
    pivots = numpy.diagonal(lower, axis1=1, axis2=2)
    if pivots.size and not (pivots.min() ** 2 > tolerance):
        raise _deficient(matrices, tolerance, site, padded)
    return lower


def _deficient(matrices: NDArray, tolerance: float, site: Site, padded: NDArray | None) -> SingularMetricError:
    """The error that names the worst unit and its rank: rows that pivoted elimination could use."""
    site.require_finite(matrices)
    n = matrices.shape[1]
    values = numpy.linalg.eigvalsh(matrices)
    unit = int(numpy.argmin(values[:, 0] / values[:, -1]))
    missing = max(1, int((values[unit] <= max(tolerance, n * 1e-15) * values[unit, -1]).sum()))
    fill = 0 if padded is None else int(padded[unit].sum())
    return site.singular(unit, f"of rank {n - fill - missing} of {n - fill} to working precision")


def solve_lower(lower: NDArray, values: NDArray) -> NDArray:
    """L^{-1} of values (U, n, m) for lower triangular L (U, n, n)."""
    units, n = lower.shape[:2]
    if n <= _LEAF:
        return _forward(lower, values)
    if units <= _FEW:
        return _each(lower, values, "N")
    half = n // 2
    first = solve_lower(lower[:, :half, :half], values[:, :half])
    rest = values[:, half:] - lower[:, half:, :half] @ first
    return numpy.concatenate([first, solve_lower(lower[:, half:, half:], rest)], axis=1)


def solve_upper(lower: NDArray, values: NDArray) -> NDArray:
    """L^{-T} of values (U, n, m) for lower triangular L (U, n, n)."""
    units, n = lower.shape[:2]
    if n <= _LEAF:
        return _backward(lower, values)
    if units <= _FEW:
        return _each(lower, values, "T")
    half = n // 2
    last = solve_upper(lower[:, half:, half:], values[:, half:])
    rest = values[:, :half] - lower[:, half:, :half].swapaxes(1, 2) @ last
    return numpy.concatenate([solve_upper(lower[:, :half, :half], rest), last], axis=1)


def _each(lower: NDArray, values: NDArray, trans: str) -> NDArray:
    """One at a time: LAPACK solves no batches of these, and so few large ones outweigh the calls."""
    solved = [
        scipy.linalg.solve_triangular(factor, value, trans=trans, lower=True, check_finite=False)
        for factor, value in zip(lower, values, strict=True)
    ]
    return numpy.stack(solved)


def _forward(lower: NDArray, values: NDArray) -> NDArray:
    """Column by column, with units along the last axis: each operation is one long run over them."""
    rows, solved = lower.transpose(1, 2, 0).copy(), values.transpose(1, 2, 0).copy()
    for column in range(len(rows)):
        solved[column] /= rows[column, column]
        solved[column + 1 :] -= rows[column + 1 :, column, None] * solved[column]
    return solved.transpose(2, 0, 1)


def _backward(lower: NDArray, values: NDArray) -> NDArray:
    rows, solved = lower.transpose(1, 2, 0).copy(), values.transpose(1, 2, 0).copy()
    for row in range(len(rows) - 1, -1, -1):
        solved[row] /= rows[row, row]
        solved[:row] -= rows[row, :row, None] * solved[row]
    return solved.transpose(2, 0, 1)


__all__ = ["REMEDIES", "Site", "cholesky", "solve_lower", "solve_upper"]
