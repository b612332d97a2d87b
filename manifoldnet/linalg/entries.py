"""The entries that the quasi-diagonal reduction keeps of a group of affine units (definition 23)."""

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Self, final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import NumericalError, ShapeError
from manifoldnet.linalg.units import Units

# Weights below this cannot be divided by without overflow: such a unit weighs nothing.
TINY = 1e-290


_array: Callable[[ArrayLike], NDArray[numpy.float64]] = functools.partial(numpy.asarray, dtype=numpy.float64)


def _arrays(parts: Sequence[ArrayLike]) -> tuple[NDArray[numpy.float64], ...]:
    return tuple(map(_array, parts))


@final
@attrs.frozen(eq=False, slots=False)
class Entries:
    """A_00 (U, q, q), and for each array of parents A_0i (U, P, q, k) and A_ii (U, P, k, k).

    They stand for the reduced tensor: A~_ii' = A_i0 A_00^+ A_0i' for i != i' (eq. 86, in blocks). With
    mean_i = A_00^+ A_0i and rest_i = A_ii - A_i0 mean_i, which are the weighted mean and the weighted
    covariance of parent i, its square norm is |w_0 + sum mean_i w_i|^2_A00 + sum |w_i|^2_rest_i.
    """

    bias: NDArray[numpy.float64] = attrs.field(converter=_array)  # type: ignore[misc]
    cross: tuple[NDArray[numpy.float64], ...] = attrs.field(converter=_arrays)
    own: tuple[NDArray[numpy.float64], ...] = attrs.field(converter=_arrays)

    @property
    def is_scalar(self) -> bool:
        """Whether all blocks are single numbers (q = k = 1)."""
        return self.bias.shape[1] == 1 and {part.shape[3] for part in self.own} <= {1}

    def checked(self, group: Units, number: int) -> Self:
        """The same if it has the shapes of the group (else ShapeError); zero where a parent is padded."""
        received = [part.shape for part in (self.bias, *self.cross, *self.own)]
        if received != group.entry_shapes:
            raise ShapeError(
                f"group {number}: quasi-diagonal entries A_00, A_0i..., A_ii... are expected in the shapes "
                f"{group.entry_shapes}, received {received}"
            )
        if group.present is None:
            return self
        cross, own = (
            [_zeroed(part, ~there) for there, part in zip(group.present, parts, strict=True)]
            for parts in (self.cross, self.own)
        )
        return attrs.evolve(self, cross=cross, own=own)

    @cached_property
    def scalars(self) -> tuple[NDArray, NDArray, NDArray]:
        """A_00 (U,), A_0i (U, P) and A_ii (U, P), where blocks are single numbers."""
        return self.bias[:, 0, 0], _flattened(self.cross, len(self.bias)), _flattened(self.own, len(self.bias))

    def spread(self, values: NDArray) -> NDArray:
        """Values of units (U,) beside those of their parents, to be broadcast: (U, 1)."""
        return values[:, None]

    def summed(self, values: NDArray) -> NDArray:
        """Values of parents (U, P) summed by unit, (U,)."""
        return numpy.add.reduce(values, axis=1)

    @cached_property
    def scalar_means(self) -> NDArray:
        """A_0i / A_00, (U, P): the weighted means of the parents; 0 for a unit that weighs nothing."""
        bias, cross, _ = self.scalars
        if bias.size and not bias.min() > TINY:
            bias = numpy.where(bias > TINY, bias, numpy.inf)
        return cross / bias[:, None]

    @cached_property
    def scalar_rests(self) -> NDArray:
        """A_ii - A_0i^2 / A_00, (U, P): A_00 times the weighted variances of the parents."""
        _, cross, own = self.scalars
        return own - cross * self.scalar_means

    @cached_property
    def means(self) -> tuple[NDArray, ...]:
        """A_00^+ A_0i, (U, P, q, k) for each array of parents."""
        if self.is_scalar:
            return tuple(_like(self.scalar_means, self.cross))
        inverse = generalised_inverse(self.bias)[:, None]
        return tuple(inverse @ part for part in self.cross)

    @cached_property
    def rests(self) -> tuple[NDArray, ...]:
        """A_ii - A_i0 A_00^+ A_0i, (U, P, k, k) for each array of parents."""
        if self.is_scalar:
            return tuple(_like(self.scalar_rests, self.own))
        return tuple(
            own - cross.swapaxes(-1, -2) @ mean
            for cross, mean, own in zip(self.cross, self.means, self.own, strict=True)
        )

    def only(self, units: slice) -> Self:
        """The entries of some of the units."""
        return self._each(lambda part: part[units])

    def scaled(self, factor: float) -> Self:
        """All entries times a number."""
        return self._each(lambda part: factor * part)

    def plus(self, other: Self) -> Self:
        """The sum, entry by entry."""
        return attrs.evolve(
            self,
            bias=self.bias + other.bias,
            cross=[a + b for a, b in zip(self.cross, other.cross, strict=True)],
            own=[a + b for a, b in zip(self.own, other.own, strict=True)],
        )

    def plus_identity(self, factor: float) -> Self:
        """The entries of the sum with a multiple of the identity, padded parents included."""
        if self.is_scalar:
            return type(self)(self.bias + factor, self.cross, [part + factor for part in self.own])
        return type(self)(
            self.bias + factor * numpy.eye(self.bias.shape[1]),
            self.cross,
            [part + factor * numpy.eye(part.shape[3]) for part in self.own],
        )

    def plus_diagonal(self, group: Units, diagonal: NDArray) -> Self:
        """The entries of the sum with a diagonal matrix (U, width): added to A_00 and A_ii (remark 12)."""
        bias, own = group.split(diagonal)
        return attrs.evolve(
            self,
            bias=self.bias + _diagonal_matrices(bias),
            own=[part + _diagonal_matrices(added) for part, added in zip(self.own, own, strict=True)],
        )

    def diagonal(self) -> NDArray:
        """The diagonal of each unit's block, (U, width)."""
        parts = [numpy.diagonal(part, axis1=-2, axis2=-1) for part in (self.bias, *self.own)]
        return numpy.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def multiply(self, group: Units, tangent: NDArray) -> NDArray:
        """The reduced tensor times a tangent by unit, (U, width), with no more memory than the entries."""
        if self.is_scalar:
            bias, cross, _ = self.scalars
            level = tangent[:, 0] + (self.scalar_means * tangent[:, 1:]).sum(axis=1)
            rest = cross * level[:, None] + self.scalar_rests * tangent[:, 1:]
            return numpy.concatenate([(bias * level)[:, None], rest], axis=1)
        level, steps = self._levels(group, tangent)
        parts = [(self.bias @ level[..., None]).reshape(len(level), -1)]
        for cross, rest, step in zip(self.cross, self.rests, steps, strict=True):
            part = cross.swapaxes(-1, -2) @ level[:, None, :, None] + rest @ step[..., None]
            parts.append(part.reshape(len(level), -1))
        return numpy.concatenate(parts, axis=1)

    def norm2(self, group: Units, tangent: NDArray) -> float:
        """The square norm of a tangent by unit (U, width) in the reduced tensor, summed over units."""
        if self.is_scalar:
            steps = tangent[:, 1:]
            level = tangent[:, 0] + (self.scalar_means * steps).sum(axis=1)
            return float(self.scalars[0] @ (level * level) + (self.scalar_rests * (steps * steps)).sum())
        level, parts = self._levels(group, tangent)
        total = numpy.einsum("ua,uab,ub", level, self.bias, level)
        for rest, step in zip(self.rests, parts, strict=True):
            total += (step * (rest @ step[..., None])[..., 0]).sum()
        return float(total)

    def _levels(self, group: Units, tangent: NDArray) -> tuple[NDArray, list[NDArray]]:
        """w_0 + sum mean_i w_i, (U, q): by how much the unit's average pre-activation moves; and the w_i."""
        level, steps = group.split(tangent)
        for mean, step in zip(self.means, steps, strict=True):
            level = level + (mean @ step[..., None])[..., 0].sum(axis=1)
        return level, steps

    def block(self) -> NDArray:
        """The reduced blocks A~ as dense arrays, (U, width, width)."""
        q = self.bias.shape[1]
        row = numpy.concatenate([self.bias, *(_row(part) for part in self.cross)], axis=2)
        mean = numpy.concatenate([self.bias, *(_row(part) for part in self.means)], axis=2)
        blocks = row.swapaxes(1, 2) @ mean
        blocks[:, :q], blocks[:, :, :q] = row, row.swapaxes(1, 2)
        start = q
        for own in self.own:
            parents, k = own.shape[1:3]
            places = start + numpy.arange(parents * k).reshape(parents, k)
            blocks[:, places[:, :, None], places[:, None, :]] = own
            start += parents * k
        return blocks

    def _each(self, change: Callable[[NDArray], NDArray]) -> Self:
        return type(self)(change(self.bias), [change(part) for part in self.cross], [change(part) for part in self.own])


def entries_of_blocks(group: Units, blocks: NDArray) -> Entries:
    """The entries kept of full blocks (U, width, width)."""
    bias_row, cross_parts = group.split(blocks[:, : group.q].swapaxes(1, 2))
    cross = [part.transpose(0, 1, 3, 2) for part in cross_parts]
    own, start = [], group.q
    for part in group.parents:
        units, parents, k = part.shape
        stop = start + parents * k
        square = blocks[:, start:stop, start:stop].reshape(units, parents, k, parents, k)
        own.append(numpy.moveaxis(numpy.diagonal(square, axis1=1, axis2=3), -1, 1))
        start = stop
    return Entries(bias_row.swapaxes(1, 2), cross, own)


def entries_of_rows(group: Units, rows: NDArray) -> Entries:
    """The entries kept of blocks U^T U, from rows U by unit (U, width, m)."""
    bias, parents = group.split(rows)
    return Entries(
        bias @ bias.swapaxes(1, 2),
        [bias[:, None] @ part.swapaxes(-1, -2) for part in parents],
        [part @ part.swapaxes(-1, -2) for part in parents],
    )


def entries_of_diagonal(group: Units, diagonal: NDArray) -> Entries:
    """The entries of diagonal blocks (U, width)."""
    bias, own = group.split(diagonal)
    cross = [numpy.zeros((*part.shape[:2], group.q, part.shape[2])) for part in group.parents]
    return Entries(_diagonal_matrices(bias), cross, [_diagonal_matrices(part) for part in own])


def sum_of_kept(first: Entries | NDArray, second: Entries | NDArray) -> Entries | NDArray:
    """The sum of what the quasi-diagonal reductions of two tensors keep of the same units."""
    if isinstance(first, Entries):
        assert isinstance(second, Entries)
        return first.plus(second)
    return first + second


def generalised_inverse(matrices: NDArray) -> NDArray:
    """The Moore-Penrose inverses of symmetric positive semi-definite matrices (..., n, n)."""
    if not numpy.isfinite(matrices).all():
        raise NumericalError("a metric tensor has entries that are not finite: look at what the inputs hold")
    values, vectors = numpy.linalg.eigh(matrices)
    least = numpy.maximum(1e-13 * values[..., -1:], TINY)
    kept = values > least
    inverses = numpy.where(kept, 1.0 / numpy.where(kept, values, 1.0), 0.0)
    return (vectors * inverses[..., None, :]) @ vectors.swapaxes(-1, -2)


def _flattened(parts: Sequence[NDArray], units: int) -> NDArray:
    if len(parts) == 1:
        return parts[0][:, :, 0, 0]
    return numpy.concatenate([numpy.zeros((units, 0)), *(part[:, :, 0, 0] for part in parts)], axis=1)


def _like(values: NDArray, parts: Sequence[NDArray]) -> list[NDArray]:
    """Values (U, P) cut into the shapes of scalar parts."""
    cuts = numpy.cumsum([part.shape[1] for part in parts])[:-1]
    return [part[..., None, None] for part in numpy.split(values, cuts, axis=1)] if parts else []


def _zeroed(part: NDArray, absent: NDArray[numpy.bool_]) -> NDArray:
    """A copy that is zero where parents are absent; in memory as it was, so that sums over parents keep their order."""
    found = part.copy(order="K")
    found[absent] = 0.0
    return found


def _row(part: NDArray) -> NDArray:
    """(U, P, q, k) laid out as q rows, (U, q, P k)."""
    units, parents, q, k = part.shape
    return part.transpose(0, 2, 1, 3).reshape(units, q, parents * k)


def _diagonal_matrices(diagonal: NDArray) -> NDArray:
    """Diagonal matrices (..., n, n) of (..., n)."""
    return diagonal[..., None] if diagonal.shape[-1] == 1 else diagonal[..., None] * numpy.eye(diagonal.shape[-1])


__all__ = [
    "TINY",
    "Entries",
    "entries_of_blocks",
    "entries_of_diagonal",
    "entries_of_rows",
    "generalised_inverse",
    "sum_of_kept",
]
