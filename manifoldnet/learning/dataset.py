"""Data sets: inputs and targets, with a part held out for validation where there is one."""

import abc
from collections.abc import Mapping
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DataError

Values = NDArray | Mapping[str, NDArray]


class Stored(abc.ABC):
    """Rows that lie in a file and are read when asked for: `numpy.asarray` of it reads them all."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Rows first, as of an array."""

    @property
    @abc.abstractmethod
    def block(self) -> int:
        """How many rows lie together, so that they are best read together."""

    @abc.abstractmethod
    def __getitem__(self, rows: Any) -> NDArray:
        """Some rows, by slice or by numbers."""

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return numpy.asarray(self[:], dtype=dtype)


@final
@attrs.frozen(eq=False)
class Dataset:
    """Inputs and targets, (samples, ...) or mappings by name, and (inputs, targets) held out for validation.

    Arrays may be larger than memory: a `numpy.memmap`, or what `read_npz`, `read_csv` and `read_parquet` return. Of
    those, training on minibatches reads no more at a time than it works on.

    >>> Dataset(numpy.zeros((3, 2)), numpy.zeros(3)).samples
    3
    """

    inputs: Any
    targets: Any
    validation: tuple[Any, Any] | None = None

    def __attrs_post_init__(self) -> None:
        _check_equal("the data", count(self.inputs), count(self.targets))
        if self.validation is not None:
            _check_equal("the validation data", count(self.validation[0]), count(self.validation[1]))

    @property
    def samples(self) -> int:
        return count(self.inputs)

    @property
    def block(self) -> int | None:
        """How many samples are best read together, where some of them lie in files; None if all are in memory."""
        parts = [*parts_of(self.inputs), *parts_of(self.targets)]
        blocks = [part.block for part in parts if isinstance(part, Stored)]
        blocks += [_memmap_block(part) for part in parts if isinstance(part, numpy.memmap)]
        # the widest of them says how many rows are enough
        return min(blocks) if blocks else None

    def batch(self, rows: NDArray[numpy.int_] | slice) -> tuple[Any, Any]:
        """Some samples: (inputs, targets)."""
        return chosen(self.inputs, rows), chosen(self.targets, rows)


def count(values: Any) -> int:
    """The number of samples; raises DataError if named parts disagree."""
    if isinstance(values, Mapping):
        counts = {name: len(part) for name, part in values.items()}
        if len(set(counts.values())) != 1:
            raise DataError(f"named data hold different numbers of samples: {counts}")
        return next(iter(counts.values()))
    return len(values)


def chosen(values: Any, rows: NDArray[numpy.int_] | slice) -> Any:
    """Some rows of an array, or of every array of a mapping; of arrays that are stored, no others are read."""
    if isinstance(values, Mapping):
        return {name: chosen(part, rows) for name, part in values.items()}
    if isinstance(values, Stored | numpy.memmap):
        return numpy.asarray(values[rows])
    array = numpy.asarray(values)
    # five times as fast as an index where rows are short
    return array[rows] if isinstance(rows, slice) else array.take(rows, axis=0)


def parts_of(values: Any) -> list[Any]:
    """The arrays of a mapping, or the one array there is."""
    return list(values.values()) if isinstance(values, Mapping) else [values]


def split(inputs: NDArray, targets: NDArray, held_out: float = 0.2, seed: int = 0) -> Dataset:
    """A data set with a random part of the samples held out for validation.

    >>> data = split(numpy.arange(10.0)[:, None], numpy.arange(10))
    >>> data.samples, len(data.validation[0])
    (8, 2)
    """
    if not 0.0 < held_out < 1.0:
        raise DataError(f"held_out= is a fraction between 0 and 1, received {held_out}")
    order = numpy.random.default_rng(seed).permutation(len(inputs))
    kept = len(inputs) - max(1, round(held_out * len(inputs)))
    train, rest = order[:kept], order[kept:]
    return Dataset(inputs[train], targets[train], (inputs[rest], targets[rest]))


def _memmap_block(values: numpy.memmap) -> int:
    """Rows of about 1 MiB: read in one go, and small beside what training itself needs."""
    return max(1, 2**20 * len(values) // max(1, values.nbytes))


def _check_equal(what: str, inputs: int, targets: int) -> None:
    if inputs != targets:
        raise DataError(f"{what} hold {inputs} inputs but {targets} targets")
