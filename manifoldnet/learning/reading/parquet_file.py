"""Parquet files, one row group after another; needs the extra `parquet`."""

from pathlib import Path
from typing import Any, final

import numpy
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from manifoldnet.errors import DataError
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
            try:
                with pyarrow.parquet.ParquetFile(self._path) as file:
                    table = file.read_row_group(number)
            except (pyarrow.ArrowException, OSError) as error:
                raise DataError(f"{self._path}, row group {number} cannot be read: {error}") from error
            columns = [self._numbers(name, column) for name, column in zip(self.names, table.columns, strict=True)]
            self._kept = number, numpy.stack(columns, axis=1)
        return self._kept[1]

    def _numbers(self, name: str, column: Any) -> NDArray[numpy.float64]:
        try:
            return numpy.asarray(column.cast(pyarrow.float64()).to_numpy(), dtype=numpy.float64)
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise DataError(f"{self._path}: column {name!r} holds {column.type}, expected numbers") from error
