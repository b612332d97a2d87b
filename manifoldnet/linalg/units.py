"""Where the parameters of each unit stand in a flat vector, units alike taken together as arrays."""

from collections.abc import Sequence
from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import ShapeError


def _positions(values: ArrayLike) -> NDArray[numpy.int_]:
    positions = numpy.array(values, order="C")
    if positions.size and positions.dtype.kind not in "iu":
        raise ShapeError(f"positions in a flat vector are integers, received an array of {positions.dtype}")
    positions = positions.astype(numpy.intp)
    positions.flags.writeable = False
    return positions


def _all_positions(parts: Sequence[ArrayLike]) -> tuple[NDArray[numpy.int_], ...]:
    return tuple(_positions(part) for part in parts)


@final
@attrs.frozen(eq=False)
class Units:
    """A group of affine units alike: the positions of each unit's bias and of its parents' weights.

    `bias` is (U, q), and `parents` has for each size k = q e of a parent block an array (U, P, k), ordered
    within a block by parent component, then pre-activation component. A parent that a unit does not have
    (ragged fan-in) stands at `padding`, the size of the flat vector: it reads 0 and is never written.
    `name` and `labels`, one for each unit, are for messages.

    >>> units = Units([[0], [3]], [[[[1], [2]], [[4], [5]]]], padding=5)
    >>> units.index
    array([[0, 1, 2],
           [3, 4, 5]])
    """

    bias: NDArray[numpy.int_] = attrs.field(converter=_positions)
    parents: tuple[NDArray[numpy.int_], ...] = attrs.field(converter=_all_positions)
    padding: int | None = None
    name: str = attrs.field(default="", kw_only=True)
    labels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.bias.ndim != 2 or self.bias.shape[1] < 1:
            raise ShapeError(f"the positions of biases are expected as (units, q), received {self.bias.shape}")
        for part in self.parents:
            if part.ndim != 3 or len(part) != len(self.bias):
                raise ShapeError(
                    f"the positions of weights are expected as ({len(self.bias)} units, parents, k), "
                    f"received {part.shape}"
                )
            if part.shape[2] < 1 or part.shape[2] % self.q:
                raise ShapeError(
                    f"a parent block holds q e entries with q = {self.q}, received blocks of {part.shape[2]}"
                )

    @property
    def units(self) -> int:
        return len(self.bias)

    @property
    def q(self) -> int:
        """The dimension of the pre-activation."""
        return self.bias.shape[1]

    @cached_property
    def index(self) -> NDArray[numpy.int_]:
        """All positions of each unit, (U, q + sum of P k), bias first."""
        parts = [self.bias, *(part.reshape(self.units, part.shape[1] * part.shape[2]) for part in self.parents)]
        return _positions(numpy.concatenate(parts, axis=1))

    @property
    def width(self) -> int:
        return self.index.shape[1]

    @cached_property
    def transposed_index(self) -> NDArray[numpy.int_]:
        """The positions, (width, U)."""
        return _positions(self.index.T)

    @cached_property
    def mask(self) -> NDArray[numpy.bool_] | None:
        """(U, width): where `index` is a real position; None if it is everywhere."""
        return _mask(self.index, self.padding)

    @cached_property
    def start(self) -> int | None:
        """Where the positions start, if they are one run in order; else None."""
        return _run_start(self.index, self.mask)

    @cached_property
    def present(self) -> tuple[NDArray[numpy.bool_], ...] | None:
        """(U, P) for each parent array: whether the parent is there; None if all are."""
        if self.mask is None:
            return None
        return tuple(part[:, :, 0] != self.padding for part in self.parents)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether pre-activations and parents all have one dimension (q = k = 1)."""
        return self.q == 1 and all(part.shape[2] == 1 for part in self.parents)

    @cached_property
    def entry_shapes(self) -> list[tuple[int, ...]]:
        """The shapes of A_00, of A_0i for each parent array, then of A_ii for each."""
        shapes: list[tuple[int, ...]] = [(self.units, self.q, self.q)]
        shapes += [(*part.shape[:2], self.q, part.shape[2]) for part in self.parents]
        return shapes + [(*part.shape, part.shape[2]) for part in self.parents]

    def only(self, start: int, stop: int) -> "Units":
        """The units `start:stop` as a group of their own."""
        return attrs.evolve(
            self,
            bias=self.bias[start:stop],
            parents=[part[start:stop] for part in self.parents],
            labels=None if self.labels is None else self.labels[start:stop],
        )

    def split(self, values: NDArray) -> tuple[NDArray, list[NDArray]]:
        """Views of (U, width, ...) values ordered as `index`: (U, q, ...), and (U, P, k, ...) for each parent array."""
        parts, start = [], self.q
        for part in self.parents:
            stop = start + part.shape[1] * part.shape[2]
            parts.append(values[:, start:stop].reshape(*part.shape, *values.shape[2:]))
            start = stop
        return values[:, : self.q], parts


@final
@attrs.frozen(eq=False)
class Whole:
    """A group of units alike that keep their full block: `index` (U, p) positions, padded as in `Units`."""

    index: NDArray[numpy.int_] = attrs.field(converter=_positions)
    padding: int | None = None
    name: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.index.ndim != 2:
            raise ShapeError(f"the positions of whole units are expected as (units, p), received {self.index.shape}")

    @property
    def units(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        return self.index.shape[1]

    @cached_property
    def transposed_index(self) -> NDArray[numpy.int_]:
        """The positions, (width, U)."""
        return _positions(self.index.T)

    @cached_property
    def mask(self) -> NDArray[numpy.bool_] | None:
        """(U, width): where `index` is a real position; None if it is everywhere."""
        return _mask(self.index, self.padding)

    @cached_property
    def start(self) -> int | None:
        """Where the positions start, if they are one run in order; else None."""
        return _run_start(self.index, self.mask)

    def only(self, start: int, stop: int) -> "Whole":
        """The units `start:stop` as a group of their own."""
        return attrs.evolve(self, index=self.index[start:stop])


Group = Units | Whole


@final
class Kept(tuple):
    """Values for the groups of a partition that are known to have its shapes and zeros: not to be checked again."""

    __slots__ = ()


def _mask(index: NDArray[numpy.int_], padding: int | None) -> NDArray[numpy.bool_] | None:
    if padding is None:
        return None
    mask = index != padding
    return None if mask.all() else mask


def _with_padding(groups: Sequence[Group], partition: attrs.AttrsInstance) -> tuple[Group, ...]:
    assert isinstance(partition, Partition)
    return tuple(attrs.evolve(group, padding=partition.size) if group.padding is None else group for group in groups)


@final
@attrs.frozen(eq=False)
class Partition:
    """Groups of units that together hold every position of a flat vector of length `size` exactly once.

    Raises ShapeError where a position is missing, repeated or out of range.

    >>> Partition(3, [Whole([[0, 2]]), Whole([[1]])]).gather(numpy.array([5.0, 6.0, 7.0]))
    (array([[5., 7.]]), array([[6.]]))
    """

    size: int
    groups: tuple[Group, ...] = attrs.field(converter=attrs.Converter(_with_padding, takes_self=True))  # type: ignore[misc]

    def __attrs_post_init__(self) -> None:
        for number, group in enumerate(self.groups):
            _check_group(group, self.size, f"group {number}" + (f" ({group.name!r})" if group.name else ""))
        everywhere = [group.index.reshape(-1) for group in self.groups]
        counts = numpy.bincount(numpy.concatenate([[self.size], *everywhere]), minlength=self.size + 1)[:-1]
        if (counts != 1).any():
            first = int(numpy.flatnonzero(counts != 1)[0])
            raise ShapeError(
                f"the groups of a partition must hold each position 0..{self.size - 1} once: "
                f"position {first} occurs {counts[first]} times"
            )

    @cached_property
    def has_whole(self) -> bool:
        """Whether some units keep their full block whatever the reduction."""
        return any(isinstance(group, Whole) for group in self.groups)

    @cached_property
    def _is_padded(self) -> bool:
        return any(group.mask is not None for group in self.groups)

    def gather(self, values: NDArray) -> tuple[NDArray, ...]:
        """The entries of flat values (size, ...) by unit, (U, width, ...) for each group, 0 where padded."""
        padded = values
        if self._is_padded:
            padded = numpy.concatenate([values, numpy.zeros((1, *values.shape[1:]))])
        return tuple([taken(group, padded) for group in self.groups])

    def scatter(self, parts: Sequence[NDArray]) -> NDArray:
        """Flat values (size, ...) from those by unit; padded entries are left out."""
        rest = parts[0].shape[2:] if parts else ()
        values = numpy.empty((self.size + 1, *rest))
        for group, part in zip(self.groups, parts, strict=True):
            put(group, part, values)
        return values[: self.size]

    def has_same_places(self, other: "Partition") -> bool:
        """Whether the groups of both hold the same positions in the same order."""
        if self is other:
            return True
        return (
            self.size == other.size
            and len(self.groups) == len(other.groups)
            and all(numpy.array_equal(a.index, b.index) for a, b in zip(self.groups, other.groups, strict=True))
        )


def taken(group: Group, padded: NDArray) -> NDArray:
    """The entries of flat values (size, ...) or, where the group is padded, (size + 1, ...) by unit, (U, width, ...).

    A view where they are one run in order.
    """
    if group.start is None:
        # units last in memory, as what runs over all of them at once wants it
        return padded.take(group.transposed_index, axis=0).swapaxes(0, 1)
    return padded[group.start : group.start + group.index.size].reshape(*group.index.shape, *padded.shape[1:])


def put(group: Group, part: NDArray, values: NDArray) -> None:
    """Write values by unit, (U, width, ...), where they stand in flat ones (size + 1, ...)."""
    if group.start is None:
        values[group.index] = part
    else:
        values[group.start : group.start + group.index.size] = part.reshape(group.index.size, *part.shape[2:])


def _run_start(index: NDArray[numpy.int_], mask: NDArray[numpy.bool_] | None) -> int | None:
    if not index.size or mask is not None:
        return None
    start = int(index[0, 0])
    in_order = numpy.array_equal(index.reshape(-1), numpy.arange(start, start + index.size))
    return start if in_order else None


def _check_group(group: Group, size: int, place: str) -> None:
    if group.padding != size:
        raise ShapeError(f"{place} marks padding by {group.padding}, expected the partition's size {size}")
    index = group.index
    if index.size and (index.min() < 0 or index.max() > size):
        raise ShapeError(f"{place}: positions must lie in 0..{size}, received {index.min()}..{index.max()}")
    if isinstance(group, Units):
        partial = [part for part in group.parents if ((part == size).any(2) != (part == size).all(2)).any()]
        if partial or (group.bias == size).any():
            raise ShapeError(f"{place}: only whole parent blocks may be padded, not biases or parts of a block")


__all__ = ["Group", "Kept", "Partition", "Units", "Whole", "put", "taken"]
