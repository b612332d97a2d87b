"""Tables in files, read some rows at a time; columns of them stand for arrays in a data set."""

import abc
from collections.abc import Sequence
from typing import Any, final

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import Dataset, Stored

# Numbers that one block holds, about: 2 MiB, read in one go.
BLOCK_NUMBERS = 2**18

Names = str | int | Sequence[str | int]


class Table(abc.ABC):
    """Rows of numbers with named columns."""

    names: tuple[str, ...]
    rows: int
    block: int

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> NDArray[numpy.float64]:
        """Some rows, (stop - start, columns); raises DataError that says where a number is none."""

    @abc.abstractmethod
    def row_name(self, row: int) -> str:
        """Where a person finds a row in the file."""

    def position(self, name: str | int) -> int:
        """The position of a column; raises DataError that lists the names."""
        if isinstance(name, str) and name in self.names:
            return self.names.index(name)
        if isinstance(name, int) and not isinstance(name, bool) and -len(self.names) <= name < len(self.names):
            return name % len(self.names)
        raise DataError(f"there is no column {name!r}: there are {', '.join(self.names[:20])}")


@final
class Columns(Stored):
    """Some columns of a table: (rows, columns), or (rows,) where one is asked for by its name alone."""

    def __init__(self, table: Table, places: Sequence[int], is_single: bool) -> None:
        self._table, self._places, self._is_single = table, list(places), is_single
        self._last: tuple[int, int, NDArray] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._table.rows,) if self._is_single else (self._table.rows, len(self._places))

    @property
    def block(self) -> int:
        return self._table.block

    def row_name(self, row: int) -> str:
        return self._table.row_name(row)

    def column_name(self, column: int) -> str:
        return repr(self._table.names[self._places[column]])

    def __getitem__(self, rows: Any) -> NDArray:
        if isinstance(rows, slice):
            start, stop, stride = rows.indices(self._table.rows)
            found = self._range(start, max(start, stop))[::stride]
        else:
            wanted = numpy.asarray(rows)
            found = numpy.empty((len(wanted), len(self._places)))
            blocks = wanted // self._table.block
            for block in numpy.unique(blocks):
                start = int(block) * self._table.block
                part = self._range(start, min(start + self._table.block, self._table.rows))
                here = blocks == block
                found[here] = part[wanted[here] - start]
        return found[:, 0] if self._is_single else found

    def _range(self, start: int, stop: int) -> NDArray:
        return self._table.read(start, stop)[:, self._places]


def dataset_of(table: Table, inputs: Names | None, targets: Names, validation: Any = None) -> Dataset:
    """Columns of a table as a data set; inputs are all columns that are no targets, where they are not named."""
    wanted, single = _places(table, targets)
    if inputs is None:
        chosen, one = [i for i in range(len(table.names)) if i not in wanted], False
    else:
        chosen, one = _places(table, inputs)
    if not chosen or not wanted:
        raise DataError("a data set needs columns for inputs and for targets")
    return Dataset(Columns(table, chosen, one), Columns(table, wanted, single), validation)


def _places(table: Table, names: Names) -> tuple[list[int], bool]:
    if isinstance(names, str | int):
        return [table.position(names)], True
    return [table.position(name) for name in names], False
