"""What is carried back over the stages, covectors or moduli, and what is kept of it."""

import abc
from typing import Any, ClassVar, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine_linearisation import AffineLinearisation
from manifoldnet.compiler.rates import IDENTITY, Rate
from manifoldnet.compiler.stage import Contribution, DiagonalRows, Linearisation, OuterRows, rows_are_last
from manifoldnet.compiler.trace import inner_rows

Carried = NDArray | DiagonalRows | OuterRows

# With so many rows or more that have one entry each, whatever is done runs along the rows.
_MANY = 32


class Kind(abc.ABC):
    """What is carried back, and what is kept of it at each stage.

    At units of one number, `number_axes` is the index of that number in what stands there, and `added_axes` that of what
    stands there in the number, (samples, units).
    """

    number_axes: ClassVar[Any]
    added_axes: ClassVar[Any]

    @abc.abstractmethod
    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        """The shape of what stands at so many units."""

    @property
    @abc.abstractmethod
    def unit_axis(self) -> int:
        """Where the units are, counted from the end."""

    @abc.abstractmethod
    def pull(self, line: Linearisation, outer: NDArray, reuse: bool, is_sent: bool) -> Carried:
        """From outer to inner coordinates of a stage, in the same memory where it may be reused.

        `is_sent` says whether it goes on to the stage's parents, or is only kept.
        """

    @abc.abstractmethod
    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        """What a stage sends to its parents."""

    @property
    @abc.abstractmethod
    def squares_weights(self) -> bool | None:
        """Whether it goes along chains by the squares of weights and rates; None if not by one array of numbers at all."""

    @abc.abstractmethod
    def kept(self, inner: Carried) -> NDArray:
        """What is kept of what stands at a stage."""


class _Rows(Kind):
    """`count` covectors at once: contributions are added before anything is squared."""

    number_axes = (0, ..., 0)
    added_axes = (None, ..., None)
    count: int

    @final
    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        return (self.count, samples, units, dim)

    @property
    @final
    def unit_axis(self) -> int:
        return -2

    @final
    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        if isinstance(inner, OuterRows):
            assert isinstance(line, AffineLinearisation)
            return line.pull_outer(inner)
        if not isinstance(inner, DiagonalRows):
            return line.pull_covectors(inner)
        if not isinstance(line, AffineLinearisation):
            return line.pull_covectors(inner_rows(inner))
        return line.pull_diagonal(inner, rows_last=self.rows_last)

    @property
    @abc.abstractmethod
    def rows_last(self) -> bool:
        """Whether rows are best side by side in memory."""


def _pulled(rate: Rate, outer: NDArray, reuse: bool) -> NDArray:
    if not reuse or not rate.elementwise or rate is IDENTITY:
        return rate.pull(outer)
    outer *= rate.values
    return outer


@final
@attrs.frozen
class Covectors(_Rows):
    """All of them are kept, (count, samples, units, inner)."""

    count: int

    @property
    def rows_last(self) -> bool:
        return False

    @property
    def squares_weights(self) -> bool | None:
        return False if self.count == 1 else None

    def pull(self, line: Linearisation, outer: NDArray, reuse: bool, is_sent: bool) -> NDArray:
        return _pulled(line.to_inner, outer, reuse)

    def kept(self, inner: Carried) -> NDArray:
        return inner_rows(inner)


@final
@attrs.frozen
class Squares(_Rows):
    """The sum of their squares is kept, sum_k b_k b_k^T, (samples, units, inner, inner)."""

    count: int

    @property
    def rows_last(self) -> bool:
        return self.count >= _MANY

    @property
    def squares_weights(self) -> bool | None:
        return None

    def pull(self, line: Linearisation, outer: NDArray, reuse: bool, is_sent: bool) -> Carried:
        rate = line.to_inner
        # squares are fewer than rows, so that rows which are only kept are squared before they are pulled
        if not is_sent or (rate.elementwise and rows_are_last(outer) and _has_fewer_weights(line, outer)):
            return OuterRows(outer, rate)
        return _pulled(rate, outer, reuse)

    def kept(self, inner: Carried) -> NDArray:
        return inner.rate.pull_modulus(_squared(inner.rows)) if isinstance(inner, OuterRows) else _squared(inner)


def _has_fewer_weights(line: Linearisation, outer: NDArray) -> bool:
    """Whether a stage of units with one coordinate has fewer weights, in an array, than there are numbers in its rows."""
    return (
        isinstance(line, AffineLinearisation)
        and outer.shape[-1] == 1
        and line.stage.columns < len(outer)
        and isinstance(line.weights, numpy.ndarray)
    )


def _squared(rows: NDArray | DiagonalRows) -> NDArray:
    if isinstance(rows, DiagonalRows):
        return (rows.values * rows.values)[..., None, None]
    if rows.shape[-1] == 1:
        # along rows that are side by side each sum is one product of vectors
        if rows_are_last(rows):
            runs = rows.transpose(1, 2, 3, 0)
            return numpy.vecdot(runs, runs)[..., None]
        return numpy.einsum("ksui,ksui->sui", rows, rows)[..., None]
    return numpy.einsum("ksui,ksuj->suij", rows, rows, optimize=True)


@final
@attrs.frozen
class Moduli(Kind):
    """One modulus: contributions are added after squaring."""

    number_axes = (..., 0, 0)
    added_axes = (..., None, None)

    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        return (samples, units, dim, dim)

    @property
    def unit_axis(self) -> int:
        return -3

    def pull(self, line: Linearisation, outer: NDArray, reuse: bool, is_sent: bool) -> NDArray:
        return line.to_inner.pull_modulus(outer)

    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        assert isinstance(inner, numpy.ndarray)
        return line.pull_moduli(inner)

    @property
    def squares_weights(self) -> bool | None:
        return True

    def kept(self, inner: Carried) -> NDArray:
        assert isinstance(inner, numpy.ndarray)
        return inner


__all__ = ["Carried", "Covectors", "Kind", "Moduli", "Squares"]
