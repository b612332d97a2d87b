"""Parquet files, one row group after another; needs the extra `parquet`."""

from pathlib import Path
from typing import Any, final

import numpy
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from manifoldnet.errors import DataError, MemoryLimitError
from manifoldnet.learning.archives import LIMIT
from manifoldnet.learning.reading.table import Table


@final
class ParquetTable(Table):
    """The row groups of a file; the largest of them is what is read at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            about = pyarrow.parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} is no Parquet file: {error}") from error
        with about:
            self.names = tuple(about.schema_arrow.names)
            groups = [about.metadata.row_group(i).num_rows for i in range(about.num_row_groups)]
        self._starts = numpy.concatenate([[0], numpy.cumsum(groups)]).astype(int)
        self.rows, self.block = int(self._starts[-1]), max([1, *groups])
        if self.rows == 0:
            raise DataError(f"{path} holds no rows")
        size = 8 * self.block * len(self.names)
        if size > LIMIT:
            raise DataError(
                f"{path}: its largest row group would take {size / 2**20:,.0f} MiB of memory; at most "
                f"{LIMIT / 2**20:,.0f} MiB are read at a time: write it with smaller groups (row_group_size=)"
            )
        self._kept: tuple[int, NDArray] | None = None

    def row_name(self, row: int) -> str:
        return f"{self._path}, row {row}"

    def read(self, start: int, stop: int) -> NDArray[numpy.float64]:
        if start >= stop:
            return numpy.empty((0, len(self.names)))
        first = int(numpy.searchsorted(self._starts, start, side="right")) - 1
        last = int(numpy.searchsorted(self._starts, stop, side="left"))
        found = numpy.concatenate([self._group(number) for number in range(first, last)])
        return found[start - self._starts[first] : stop - self._starts[first]]

    def _group(self, number: int) -> NDArray[numpy.float64]:
        if self._kept is None or self._kept[0] != number:
            # what was kept is let go first: two groups at once would be twice the memory
            self._kept = None
            self._kept = number, self._numbers_of(number)
        return self._kept[1]

    def _numbers_of(self, number: int) -> NDArray[numpy.float64]:
        rows = int(self._starts[number + 1] - self._starts[number])
        try:
            found = numpy.empty((rows, len(self.names)))
            with pyarrow.parquet.ParquetFile(self._path, pre_buffer=False) as file:
                table = file.read_row_group(number, use_threads=False)
            for place, (name, column) in enumerate(zip(self.names, table.columns, strict=True)):
                found[:, place] = self._numbers(name, column)
        except MemoryError as error:
            raise MemoryLimitError(
                f"{self._path}: there is not enough memory for row group {number}, which has {rows:,} rows of "
                f"{len(self.names)} columns: write the file with smaller groups (row_group_size=)"
            ) from error
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self._path}, row group {number} cannot be read: {error}") from error
        return found

    def _numbers(self, name: str, column: Any) -> NDArray[numpy.float64]:
        try:
            return numpy.asarray(column.cast(pyarrow.float64()).to_numpy(), dtype=numpy.float64)
        except MemoryError:
            raise
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise DataError(f"{self._path}: column {name!r} holds {column.type}, expected numbers") from error
