"""CSV files of numbers, larger than memory if need be."""

import csv
import io
from pathlib import Path
from typing import Any, final

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.reading.table import BLOCK_NUMBERS, Names, Table, dataset_of

CHUNK = 2**22
LONGEST_LINE = 2**24


def read_csv(
    path: str | Path,
    targets: Names,
    inputs: Names | None = None,
    header: bool = True,
    delimiter: str = ",",
    validation: Any = None,
) -> Dataset:
    """Columns of a CSV file as a data set, read as training needs them.

    Columns are named as in the first line, or by number where `header` is false; inputs are all that are no targets,
    unless they are named. Every field is a number; empty ones are NaN, which training refuses unless such rows are
    dropped. Raises DataError that names line and column.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "line.csv")
    ...     size = path.write_text("x,y\\n0,1\\n1,3\\n")
    ...     data = read_csv(path, targets=["y"])
    ...     data.samples, data.inputs[:].tolist(), data.targets[:].tolist()
    (2, [[0.0], [1.0]], [[1.0], [3.0]])
    """
    return dataset_of(CsvTable(Path(path), header, delimiter), inputs, targets, validation)


@final
class CsvTable(Table):
    """Lines of a file; their places are noted once, so that any block can be read again."""

    def __init__(self, path: Path, header: bool, delimiter: str) -> None:
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise DataError(f"delimiter= is one character, received {delimiter!r}")
        self._path, self._delimiter, self._first = path, delimiter, 2 if header else 1
        with path.open("rb") as stream:
            line = stream.readline(LONGEST_LINE)
            _check_line_ends(line, f"{path}:1")
            if len(line) == LONGEST_LINE:
                raise DataError(f"{path}: its first line has more than {LONGEST_LINE} bytes: this is no CSV file")
            fields = _fields(line, delimiter, f"{path}:1")
            if not fields:
                raise DataError(f"{path} is empty")
            self.names = tuple(field.strip() for field in fields) if header else tuple(map(str, range(len(fields))))
            if len(set(self.names)) != len(self.names):
                raise DataError(f"{path}:1: two columns have one name: {', '.join(self.names)}")
            self.block = max(1, BLOCK_NUMBERS // len(self.names))
            self._offsets, self.rows = _offsets(stream, len(line) if header else 0, self.block)
        if self.rows == 0:
            raise DataError(f"{path} holds no rows")
        self._kept: tuple[int, NDArray] | None = None

    def row_name(self, row: int) -> str:
        return f"{self._path}:{row + self._first}"

    def read(self, start: int, stop: int) -> NDArray[numpy.float64]:
        if start >= stop:
            return numpy.empty((0, len(self.names)))
        blocks = range(start // self.block, -(-stop // self.block))
        found = [self._block(block) for block in blocks]
        first = blocks[0] * self.block
        whole = found[0] if len(found) == 1 else numpy.concatenate(found)
        return whole[start - first : stop - first]

    def _block(self, number: int) -> NDArray[numpy.float64]:
        # inputs and targets are asked for one after the other: the last block is kept for that
        if self._kept is None or self._kept[0] != number:
            self._kept = number, self._parsed(number)
        return self._kept[1]

    def _parsed(self, number: int) -> NDArray[numpy.float64]:
        begin, end = self._offsets[number], self._offsets[number + 1]
        with self._path.open("rb") as stream:
            stream.seek(begin)
            content = stream.read(end - begin)
        rows = min(self.block, self.rows - number * self.block)
        if content.count(b"\r") != content.count(b"\r\n"):
            # loadtxt takes them for ends of lines, and would say nothing
            return self._slowly(content, number)
        try:
            # line by line: text held whole would take four bytes a character
            text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="\n")
            values = numpy.loadtxt(text, delimiter=self._delimiter, ndmin=2, comments=None, quotechar='"')
        except (ValueError, UnicodeDecodeError):
            values = self._slowly(content, number)
        if values.shape != (rows, len(self.names)):
            values = self._slowly(content, number)
        return values

    def _slowly(self, content: bytes, number: int) -> NDArray[numpy.float64]:
        """Line by line: empty fields are NaN, and what is no number is named."""
        values = []
        # by newlines alone, as places of lines were counted: what else splits lines of text is no end of one here
        for row, line in enumerate(content.removesuffix(b"\n").split(b"\n")):
            place = self.row_name(number * self.block + row)
            _check_line_ends(line, place)
            fields = _fields(line, self._delimiter, place)
            if len(fields) != len(self.names):
                raise DataError(f"{place}: {len(fields)} fields, expected {len(self.names)}")
            values.append([_number(field, place, name) for field, name in zip(fields, self.names, strict=True)])
        found = numpy.array(values, dtype=numpy.float64).reshape(-1, len(self.names))
        if len(found) != min(self.block, self.rows - number * self.block):
            raise DataError(f"{self._path} has changed since it was opened")
        return found


def _offsets(stream: io.BufferedReader, start: int, block: int) -> tuple[list[int], int]:
    """Where every block of lines begins, and the end; and how many lines there are."""
    stream.seek(start)
    offsets, rows, at = [start], 0, start
    last = b"\n"
    while chunk := stream.read(CHUNK):
        ends = numpy.flatnonzero(numpy.frombuffer(chunk, dtype=numpy.uint8) == 10) + 1
        # lines rows+1, rows+2, ... end there: a block ends with every `block`-th of them
        whole = numpy.arange(rows + 1, rows + 1 + len(ends)) % block == 0
        offsets.extend((ends[whole] + at).tolist())
        rows, at, last = rows + len(ends), at + len(chunk), chunk[-1:]
    rows += last != b"\n"
    if offsets[-1] != at:
        offsets.append(at)
    return offsets, rows


def _check_line_ends(line: bytes, place: str) -> None:
    """Raise DataError for carriage returns without newlines, which ended lines on the Macintosh before 2001."""
    if b"\r" in line.rstrip(b"\r\n"):
        raise DataError(
            f"{place}: a carriage return (\\r) stands within a line, where lines end by a newline (\\n or \\r\\n). Files whose "
            "lines end by \\r alone are not read: replace it first, as in "
            "path.write_bytes(path.read_bytes().replace(b'\\r', b'\\n'))"
        )


def _fields(line: bytes, delimiter: str, place: str) -> list[str]:
    try:
        found = list(csv.reader([line.decode("utf-8-sig")], delimiter=delimiter))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{place}: this is no line of text in fields: {error}") from error
    return found[0] if found else []


def _number(field: str, place: str, name: str) -> float:
    text = field.strip()
    if not text:
        return numpy.nan
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{place}: column {name!r} holds {text[:40]!r}, which is no number") from None
