"""Quasi-diagonal entries of scalar units that read parents of their own: one number a link, several groups side by side."""

from functools import cached_property
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.units import Units


@final
@attrs.frozen(eq=False, slots=False)
class Links:
    """Where the links of the scalar units of several groups stand: group by group, unit by unit, without padding."""

    groups: tuple[Units, ...]

    @cached_property
    def units(self) -> int:
        return sum(group.units for group in self.groups)

    @cached_property
    def positions(self) -> NDArray[numpy.int_]:
        """In a flat vector, (units + links,): of all biases, then of all weights."""
        return self.in_order([group.index for group in self.groups])

    @cached_property
    def owners(self) -> NDArray[numpy.int_]:
        """The unit of each link, (links,)."""
        return numpy.repeat(numpy.arange(self.units), numpy.concatenate([mask.sum(axis=1) for mask in self._real]))

    @cached_property
    def firsts(self) -> NDArray[numpy.int_] | None:
        """The first link of each unit, (units,); None if some unit has no links."""
        found = numpy.flatnonzero(numpy.diff(self.owners, prepend=-1))
        return found if len(found) == self.units else None

    def in_order(self, parts: list[NDArray]) -> NDArray:
        """Values of the biases and links of each group, (U, width), as one array (units + links,)."""
        biases = [part[:, 0] for part in parts]
        return numpy.concatenate(biases + [part[:, 1:][real] for part, real in zip(parts, self._real, strict=True)])

    @cached_property
    def _real(self) -> tuple[NDArray[numpy.bool_], ...]:
        """Of each group, (U, P): which links there are."""
        return tuple(
            numpy.ones((group.units, group.width - 1), dtype=bool) if group.mask is None else group.mask[:, 1:]
            for group in self.groups
        )

    def by_group(self, biases: NDArray, links: NDArray) -> list[tuple[NDArray, NDArray]]:
        """(U,) of the units and (U, P) of the links of each group, 0 where padded."""
        found, unit, link = [], 0, 0
        for real in self._real:
            padded, count = numpy.zeros(real.shape), int(real.sum())
            padded[real] = links[link : link + count]
            found.append((biases[unit : unit + len(real)], padded))
            unit, link = unit + len(real), link + count
        return found


@final
@attrs.frozen(eq=False, slots=False)
class LinkEntries:
    """What the `Entries` of the units of several groups hold: A_00 of the units, then A_ii of the links, as `diagonal`
    (units + links,), and A_0i of the links as `cross` (links,)."""

    links: Links
    diagonal: NDArray[numpy.float64]
    cross: NDArray[numpy.float64]

    @property
    def scalars(self) -> tuple[NDArray, NDArray, NDArray]:
        """A_00 (units,), A_0i and A_ii (links,)."""
        units = self.links.units
        return self.diagonal[:units], self.cross, self.diagonal[units:]

    def spread(self, values: NDArray) -> NDArray:
        """Values of units (units,) as seen by their links, (links,)."""
        return values.take(self.links.owners)

    def summed(self, values: NDArray) -> NDArray:
        """Values of links (links,) summed by unit, (units,)."""
        firsts = self.links.firsts
        if firsts is None:
            return numpy.bincount(self.links.owners, values, self.links.units)
        return numpy.add.reduceat(values, firsts)

    def scaled(self, factor: float) -> Self:
        """All entries times a number."""
        return type(self)(self.links, factor * self.diagonal, factor * self.cross)

    def plus(self, other: Self) -> Self:
        """The sum with entries of the same links, entry by entry."""
        return type(self)(self.links, self.diagonal + other.diagonal, self.cross + other.cross)

    def plus_identity(self, factor: float) -> Self:
        """The entries of the sum with a multiple of the identity."""
        return type(self)(self.links, self.diagonal + factor, self.cross)

    def by_group(self) -> tuple[Entries, ...]:
        """The entries of each group, zero where padded."""
        level, links, squares = self.scalars
        first, second = (self.links.by_group(level, part) for part in (links, squares))
        return tuple(
            Entries(bias[:, None, None], [cross[..., None, None]], [own[..., None, None]])
            for (bias, cross), (_, own) in zip(first, second, strict=True)
        )


__all__ = ["LinkEntries", "Links"]
