"""Rows of data that hold NaN or infinity: where the first one is, and data without them."""

from collections.abc import Iterator, Mapping
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import Dataset, Stored, chosen, count, parts_of
from manifoldnet.learning.stream import Batch, Data, Stream

# So many samples are looked at together where nothing says how they are best read.
CHUNK = 65_536
REMEDY = "leave such rows out by mn.without_bad_rows(data), or --drop-bad-rows on the command line"


def without_bad_rows(data: Data) -> Data:
    """The same data without the samples that hold NaN or infinity, in inputs or targets, held-out ones too.

    Of data in files no copy is made: they are read once to find the rows. Of streams, batches are cleaned as they
    come. Raises DataError if nothing is left.

    >>> without_bad_rows(Dataset([[0.0], [numpy.nan]], [1.0, 2.0])).samples
    1
    """
    validation = None if data.validation is None else _cleaned(*data.validation)
    if isinstance(data, Stream):
        cleaned = _Cleaned(data)
        return Stream(cleaned if data.is_endless else iter(cleaned), validation)
    good = _good_rows(data)
    if good.all():
        return attrs.evolve(data, validation=validation)
    if not good.any():
        raise DataError("every row of the data holds NaN or infinity: none would be left")
    rows = numpy.flatnonzero(good)
    return Dataset(_kept(data.inputs, rows), _kept(data.targets, rows), validation)


def _good_rows(data: Dataset) -> NDArray[numpy.bool_]:
    size = data.block or CHUNK
    parts = []
    for start in range(0, data.samples, size):
        parts.append(finite_rows(*data.batch(slice(start, start + size))))
    return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype=bool)


def finite_rows(inputs: Any, targets: Any) -> NDArray[numpy.bool_]:
    """Which samples hold finite numbers alone; what is no number at all is left to the network's own checks."""
    good = numpy.ones(count(inputs), dtype=bool)
    for part in (*parts_of(inputs), *parts_of(targets)):
        values = numpy.asarray(part)
        if values.dtype.kind in "fc" and len(values) == len(good):
            good &= numpy.isfinite(values.reshape(len(values), -1)).all(axis=1)
    return good


def _cleaned(inputs: Any, targets: Any) -> Batch:
    rows = numpy.flatnonzero(finite_rows(inputs, targets))
    if not len(rows):
        raise DataError("every row of the held-out data holds NaN or infinity: none would be left")
    return chosen(inputs, rows), chosen(targets, rows)


def _kept(values: Any, rows: NDArray[numpy.int_]) -> Any:
    if isinstance(values, Mapping):
        return {name: _kept(part, rows) for name, part in values.items()}
    if isinstance(values, numpy.memmap):
        block = max(1, 2**20 * len(values) // max(1, values.nbytes))
        return Rows(values, rows, block)
    if isinstance(values, Stored):
        return Rows(values, rows, values.block)
    return numpy.asarray(values)[rows]


@final
class Rows(Stored):
    """Some rows of what lies in a file, in its order."""

    def __init__(self, base: Any, rows: NDArray[numpy.int_], block: int) -> None:
        self._base, self._rows, self._block = base, rows, block

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._base.shape[1:])

    @property
    def block(self) -> int:
        return self._block

    def __getitem__(self, rows: Any) -> NDArray:
        wanted = self._rows[rows]
        if isinstance(rows, slice) and len(wanted) and (rows.step or 1) > 0:
            # one run over the file, then the rows of it that are kept
            first = int(wanted[0])
            return numpy.asarray(self._base[first : int(wanted[-1]) + 1])[wanted - first]
        return numpy.asarray(self._base[wanted])


@final
@attrs.frozen(eq=False)
class _Cleaned:
    """A stream's batches without bad rows, from the beginning whenever it is iterated over."""

    stream: Stream

    def __iter__(self) -> Iterator[Batch]:
        for inputs, targets in self.stream.epoch():
            rows = numpy.flatnonzero(finite_rows(inputs, targets))
            if len(rows):
                yield chosen(inputs, rows), chosen(targets, rows)


def first_bad(data: Dataset, start: int, stop: int) -> str | None:
    """Where the first NaN or infinity among some rows is, by row and column; None if there is none."""
    inputs, targets = data.batch(slice(start, stop))
    if finite_rows(inputs, targets).all():
        return None
    return _named(data.inputs, inputs, "inputs", start) or _named(data.targets, targets, "targets", start)


def _named(whole: Any, part: Any, what: str, start: int) -> str | None:
    if isinstance(part, Mapping):
        found = (_named(whole[name], part[name], f"{what} {name!r}", start) for name in part)
        return next((place for place in found if place is not None), None)
    values = numpy.asarray(part)
    bad = ~numpy.isfinite(values) if values.dtype.kind in "fc" else numpy.zeros(values.shape, dtype=bool)
    if not bad.any():
        return None
    row, *columns = (int(i) for i in numpy.argwhere(bad)[0])
    place = whole.row_name(start + row) if hasattr(whole, "row_name") else f"row {start + row}"
    column = ", ".join(map(str, columns)) or "0"
    if hasattr(whole, "column_name"):
        column = whole.column_name(columns[0] if columns else 0)
    return f"{what}: {place}, column {column} holds {values[(row, *columns)]}"
