"""Where a stage's weight matrix stands in a joint buffer: as it is, or its links alone."""

import abc
from typing import Any, final

import attrs
import numpy
import scipy.sparse
from numpy.typing import NDArray

# Matrices with more entries than this, of which no more than one in `_SPARSE` is a link, are kept as their links.
_LARGE, _SPARSE = 2**16, 16
# So many numbers are gathered at a time.
_GATHERED = 2**18


class Tile(abc.ABC):
    """One stage's part of the buffer, `links`; its biases stand elsewhere, with those of all stages."""

    start: int
    columns: int
    units: int
    links: slice

    @abc.abstractmethod
    def cells(self, columns: NDArray[numpy.int_], units: NDArray[numpy.int_]) -> NDArray[numpy.int_]:
        """Where links stand, given by column and unit."""

    @abc.abstractmethod
    def matrix(self, buffer: NDArray) -> Any:
        """The weight matrix (columns, units), an array or a sparse one."""

    @abc.abstractmethod
    def write_products(self, left: NDArray, right: NDArray, buffer: NDArray) -> None:
        """Write sum_x left_i right_k for every link, from (samples, columns) and (samples, units)."""


@final
@attrs.frozen(eq=False)
class DenseTile(Tile):
    """The whole matrix, zero where units are not linked."""

    start: int
    columns: int
    units: int
    links: slice = attrs.field(init=False)

    @links.default
    def _all_cells(self) -> slice:
        return slice(self.start, self.start + self.columns * self.units)

    def cells(self, columns: NDArray[numpy.int_], units: NDArray[numpy.int_]) -> NDArray[numpy.int_]:
        return self.start + columns * self.units + units

    def matrix(self, buffer: NDArray) -> Any:
        return buffer[self.links].reshape(self.columns, self.units)

    def write_products(self, left: NDArray, right: NDArray, buffer: NDArray) -> None:
        left.T.dot(right, buffer[self.links].reshape(self.columns, self.units))


@final
@attrs.frozen(eq=False)
class SparseTile(Tile):
    """The links alone, column by column: `owners` (links,) are their units, `firsts` (columns + 1,) where columns begin."""

    start: int
    columns: int
    units: int
    owners: NDArray[numpy.int_]
    firsts: NDArray[numpy.int_]
    links: slice = attrs.field(init=False)

    @links.default
    def _each_link(self) -> slice:
        return slice(self.start, self.start + len(self.owners))

    def cells(self, columns: NDArray[numpy.int_], units: NDArray[numpy.int_]) -> NDArray[numpy.int_]:
        keys = self._sources * self.units + self.owners
        return self.start + numpy.searchsorted(keys, columns * self.units + units)

    @property
    def _sources(self) -> NDArray[numpy.int_]:
        return numpy.repeat(numpy.arange(self.columns), numpy.diff(self.firsts))

    def matrix(self, buffer: NDArray) -> Any:
        return scipy.sparse.csr_array((buffer[self.links], self.owners, self.firsts), shape=(self.columns, self.units))

    def write_products(self, left: NDArray, right: NDArray, buffer: NDArray) -> None:
        # one row for each link, a few at a time
        ones, others = numpy.ascontiguousarray(left.T), numpy.ascontiguousarray(right.T)
        sources, step = self._sources, max(1, _GATHERED // len(left))
        for first in range(0, len(sources), step):
            part = slice(first, min(first + step, len(sources)))
            out = buffer[self.start + part.start : self.start + part.stop]
            numpy.einsum("ns,ns->n", ones[sources[part]], others[self.owners[part]], out=out)


def tile(start: int, columns: int, units: int, linked: NDArray[numpy.int_]) -> Tile:
    """The tile of a stage whose links are `linked`, numbers column * units + unit."""
    if columns * units <= _LARGE or linked.size * _SPARSE > columns * units:
        return DenseTile(start, columns, units)
    ordered = numpy.sort(linked)
    firsts = numpy.searchsorted(ordered, numpy.arange(columns + 1) * units)
    return SparseTile(start, columns, units, ordered % units, firsts)
