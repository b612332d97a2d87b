"""Which units of a partition stand apart, coupled to no other one of them, and which are the border that they share."""

from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.units import Partition, Whole


@final
@attrs.frozen(eq=False, slots=False)
class Border:
    """`rows` (units,) for each group of `partition`: the number of the only row that touches a unit, -1 if there are more.

    Units with a row of their own stand apart: a metric made of rows couples no two of them. All others are the border.
    """

    partition: Partition
    rows: tuple[NDArray[numpy.int_], ...]

    def __attrs_post_init__(self) -> None:
        expected, received = [(g.units,) for g in self.partition.groups], [part.shape for part in self.rows]
        if expected != received:
            raise ShapeError(f"the rows of units are expected as {expected}, received {received}")

    @cached_property
    def apart(self) -> tuple[NDArray[numpy.int_], ...]:
        """For each group the units that stand apart."""
        return tuple(numpy.flatnonzero(part >= 0) for part in self.rows)

    @cached_property
    def shared(self) -> tuple[NDArray[numpy.int_], ...]:
        """For each group the units of the border."""
        return tuple(numpy.flatnonzero(part < 0) for part in self.rows)

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """The numbers of the groups that have units apart."""
        return tuple(number for number, units in enumerate(self.apart) if len(units))

    @cached_property
    def places(self) -> tuple[NDArray[numpy.int_], ...]:
        """For each of `groups` the positions (units, width) of those apart, `partition.size` where padded."""
        return tuple(self.partition.groups[number].index[self.apart[number]] for number in self.groups)

    @cached_property
    def positions(self) -> NDArray[numpy.int_]:
        """Where the parameters of the border stand in a flat vector, (size of the border,)."""
        return self._columns[self._columns < self.partition.size]

    @cached_property
    def present(self) -> NDArray[numpy.bool_]:
        """Which of the columns of the border's groups, one after another, are real: the others are padding."""
        return self._columns < self.partition.size

    @cached_property
    def _columns(self) -> NDArray[numpy.int_]:
        groups = zip(self.partition.groups, self.shared, strict=True)
        return numpy.concatenate([group.index[units].reshape(-1) for group, units in groups])

    @cached_property
    def inner(self) -> Partition:
        """The units of the border among themselves, group by group, numbered as `positions` are."""
        size = len(self.positions)
        numbers = numpy.full(self.partition.size + 1, size)
        numbers[self.positions] = numpy.arange(size)
        groups = zip(self.partition.groups, self.shared, strict=True)
        return Partition(size, tuple(Whole(numbers[group.index[units]], padding=size) for group, units in groups))

    @cached_property
    def pairs(self) -> tuple[tuple[NDArray[numpy.int_], NDArray[numpy.int_], NDArray[numpy.bool_]], ...]:
        """For each group of the border the places of its units' blocks in `inner`, and which entries (units, width, width)
        are there."""
        found = []
        for group in self.inner.groups:
            there = group.index < self.inner.size
            both = there[:, :, None] & there[:, None, :]
            some, rows, columns = numpy.nonzero(both)
            found.append((group.index[some, rows], group.index[some, columns], both))
        return tuple(found)

    def is_like(self, other: "Border") -> bool:
        """Whether both divide the same units alike."""
        if self is other:
            return True
        alike = self.partition.has_same_places(other.partition)
        return alike and all(numpy.array_equal(a, b) for a, b in zip(self.rows, other.rows, strict=True))


__all__ = ["Border"]
