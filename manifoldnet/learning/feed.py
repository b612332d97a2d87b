"""Where batches come from: data in memory, data in files, or a stream; each knows what follows a position."""

import abc
from collections.abc import Iterator
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.errors import DataError
from manifoldnet.learning.bad_rows import REMEDY, first_bad
from manifoldnet.learning.dataset import Dataset, chosen, count
from manifoldnet.learning.generator import Snapshot, restored, snapshot
from manifoldnet.learning.state import Position
from manifoldnet.learning.stream import Batch, Data, Stream

# Points of input layers and targets of interpretations, by name, checked.
Prepared = tuple[Any, Any]

# So many blocks of a file are read together and shuffled among themselves.
POOL = 4


class Feed(abc.ABC):
    """Checked batches, one after another. What it keeps of the data is only a copy: a position says it all."""

    @abc.abstractmethod
    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Prepared, Position] | None:
        """The batch at a position and the position after it; None where no data are left.

        At the beginning of an epoch its order is drawn from `rng`.
        """


def feed_of(program: Program, data: Data, size: int) -> Feed:
    """The feed of data in batches of `size`; those of a stream keep their own sizes, cut where they are larger."""
    if isinstance(data, Stream):
        return StreamFeed(program, data, size)
    if data.block is None:
        return MemoryFeed(*program.prepare(data.inputs, data.targets), size)
    return StoredFeed(program, data, size)


def _begun(position: Position, rng: numpy.random.Generator) -> Position:
    """The position with the generator that its epoch's order is drawn by."""
    return attrs.evolve(position, order=snapshot(rng)) if position.order is None else position


@final
class MemoryFeed(Feed):
    """Data in memory: every epoch in a new order, its last batch the shorter one."""

    def __init__(self, points: Any, targets: Any, size: int) -> None:
        self._data, self._size, self._samples = (points, targets), size, count(points)
        self._order: tuple[Snapshot, NDArray[numpy.int_]] | None = None

    @property
    def whole(self) -> Prepared:
        """All samples, in their own order."""
        return self._data

    def taken(self, rows: NDArray[numpy.int_]) -> Prepared:
        """Some samples."""
        return chosen(self._data[0], rows), chosen(self._data[1], rows)

    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Prepared, Position]:
        rows, after = self.next_rows(position, rng)
        return self.taken(rows), after

    def next_rows(self, position: Position, rng: numpy.random.Generator) -> tuple[NDArray[numpy.int_], Position]:
        """The same, the batch by the numbers of its samples."""
        order = None
        if position.order is None:
            position = _begun(position, rng)
            order = rng.permutation(self._samples)
        rows = self._rows(position, order)
        if not len(rows):
            raise DataError(f"the data hold fewer batches than before: {self._samples} samples")
        if (position.batch + 1) * self._size >= self._samples:
            return rows, Position(position.epoch + 1)
        return rows, Position(position.epoch, position.batch + 1, position.order)

    def _rows(self, position: Position, order: NDArray[numpy.int_] | None) -> NDArray[numpy.int_]:
        assert position.order is not None
        if order is not None:
            self._order = position.order, order
        if self._order is None or self._order[0] is not position.order:
            self._order = position.order, restored(position.order).permutation(self._samples)
        return self._order[1][position.batch * self._size : (position.batch + 1) * self._size]


@final
class StoredFeed(Feed):
    """Data in files: blocks of consecutive rows in a new order every epoch, some at a time shuffled among themselves.

    So a file is read in long runs, and no more than `POOL` blocks of it are in memory.
    """

    def __init__(self, program: Program, data: Dataset, size: int) -> None:
        assert data.block is not None
        self._program, self._data, self._size, self._samples = program, data, size, data.samples
        # whole batches, so that none spans two pools
        self._block = max(size, data.block // size * size)
        self._pool: tuple[tuple[Any, int], Prepared] | None = None
        self._order: tuple[Snapshot, list[NDArray[numpy.int_]], int] | None = None
        # all of it is looked at before training: one reading, so that nothing bad is found in the night
        for block in range(-(-self._samples // self._block)):
            self._prepared(block)

    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Prepared, Position]:
        began = position.order is None
        position = _begun(position, rng)
        pools, seed = self._pools(position, rng if began else None)
        number, start = self._place(pools, position.batch)
        points, targets = self._read(position, pools[number], number, seed)
        rows = slice(start, start + self._size)
        # copies: whoever keeps a batch must not keep the blocks that it came from
        found = _copied(points, rows), _copied(targets, rows)
        after = attrs.evolve(position, batch=position.batch + 1)
        is_last = number == len(pools) - 1 and start + self._size >= self._rows_in(pools[number])
        return found, Position(position.epoch + 1) if is_last else after

    def _pools(self, position: Position, rng: numpy.random.Generator | None) -> tuple[list[NDArray[numpy.int_]], int]:
        """The blocks of each pool of the epoch, and the seed that shuffles their rows."""
        assert position.order is not None
        if rng is None and self._order is not None and self._order[0] is position.order:
            return self._order[1], self._order[2]
        rng = restored(position.order) if rng is None else rng
        blocks = rng.permutation(-(-self._samples // self._block))
        seed = int(rng.integers(2**63))
        # sorted, so that what lies together is read together
        pools = [numpy.sort(blocks[first : first + POOL]) for first in range(0, len(blocks), POOL)]
        self._order = position.order, pools, seed
        return pools, seed

    def _rows_in(self, blocks: NDArray[numpy.int_]) -> int:
        return int(numpy.minimum(self._block, self._samples - blocks * self._block).sum())

    def _place(self, pools: list[NDArray[numpy.int_]], batch: int) -> tuple[int, int]:
        """The pool that a batch lies in, and its first row there."""
        for number, blocks in enumerate(pools):
            batches = -(-self._rows_in(blocks) // self._size)
            if batch < batches:
                return number, batch * self._size
            batch -= batches
        raise DataError(f"the data hold fewer batches than before: {self._samples} samples")

    def _read(self, position: Position, blocks: NDArray[numpy.int_], number: int, seed: int) -> Prepared:
        key = (position.order, number)
        if self._pool is None or self._pool[0][0] is not key[0] or self._pool[0][1] != number:
            # the old one first: two at once would be twice the memory
            self._pool = None
            self._pool = key, self._shuffled(blocks, numpy.random.default_rng([seed, number]))
        return self._pool[1]

    def _shuffled(self, blocks: NDArray[numpy.int_], rng: numpy.random.Generator) -> Prepared:
        """The rows of some blocks in an order of their own; each block goes to its places as it is read."""
        rows = self._rows_in(blocks)
        found: tuple[dict[str, NDArray], dict[str, NDArray]] = ({}, {})
        places, start = numpy.argsort(rng.permutation(rows)), 0
        for block in blocks:
            prepared = self._prepared(int(block))
            stop = start + count(prepared[0])
            for whole, part in zip(found, prepared, strict=True):
                _put(whole, part, places[start:stop], rows)
            start = stop
        return found

    def _prepared(self, block: int) -> Prepared:
        start, stop = block * self._block, min((block + 1) * self._block, self._samples)
        try:
            return self._program.prepare(*self._data.batch(slice(start, stop)))
        except DataError as error:
            bad = first_bad(self._data, start, stop)
            raise DataError(
                f"rows {start} to {stop - 1} of the data, counted from the first of them: {error}"
                if bad is None
                else f"{bad}: {REMEDY}"
            ) from error


def _copied(values: dict[str, NDArray], rows: slice) -> dict[str, NDArray]:
    return {name: part[rows].copy() for name, part in values.items()}


def _put(whole: dict[str, NDArray], part: dict[str, NDArray], places: NDArray[numpy.int_], rows: int) -> None:
    """Put some rows of every array in their places among so many."""
    for name, values in part.items():
        if name not in whole:
            whole[name] = numpy.empty((rows, *values.shape[1:]), values.dtype)
        whole[name][places] = values


@final
class StreamFeed(Feed):
    """Batches as they come; larger ones are cut into pieces of at most `size`."""

    def __init__(self, program: Program, stream: Stream, size: int) -> None:
        self._program, self._stream, self._size = program, stream, size
        self._pieces: Iterator[Prepared] | None = None
        self._at: tuple[int, int] | None = None
        self._ahead: Prepared | None = None

    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Prepared, Position] | None:
        if self._at != (position.epoch, position.batch):
            self._wind(position)
        found, self._ahead = self._ahead, None
        assert self._pieces is not None
        found = next(self._pieces, None) if found is None else found
        if found is None:
            return None
        # looking one ahead tells whether the epoch ends here
        self._ahead = next(self._pieces, None)
        if self._ahead is None and self._stream.is_endless:
            after = Position(position.epoch + 1)
        else:
            after = attrs.evolve(position, batch=position.batch + 1)
        self._at = (after.epoch, after.batch)
        if after.batch == 0:
            self._pieces = self._cut(self._stream.epoch())
        return found, after

    def _wind(self, position: Position) -> None:
        """Start from the beginning of the stream and pass over what has been read of it."""
        if self._at is not None and not self._stream.is_endless:
            raise DataError("a stream that is an iterator cannot be read again: give a function that starts one")
        self._pieces, self._ahead = self._cut(self._stream.epoch()), None
        for _ in range(position.batch):
            next(self._pieces, None)

    def _cut(self, batches: Iterator[Batch]) -> Iterator[Prepared]:
        for number, (inputs, targets) in enumerate(batches):
            try:
                points, wanted = self._program.prepare(inputs, targets)
            except DataError as error:
                raise DataError(f"batch {number} of the stream: {error}") from error
            for start in range(0, count(points), self._size):
                rows = slice(start, start + self._size)
                yield chosen(points, rows), chosen(wanted, rows)
