"""Batches for compiled steps: which samples of a pool each step takes, where the pool stays or comes with them."""

import abc
import itertools
from typing import Any, final

import numpy
from numpy.typing import NDArray

from manifoldnet.learning.dataset import count
from manifoldnet.learning.feed import Feed, MemoryFeed, Prepared
from manifoldnet.learning.state import Position

Pool = dict[str, dict[str, Any]]


class Pooled(abc.ABC):
    """Batches of at most so many samples, one after another, and arrays of them for at most `most` steps."""

    most: int

    @abc.abstractmethod
    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Any, Position] | None:
        """What stands for the batch at a position, and the position after it; None where no data are left."""

    @abc.abstractmethod
    def prepared(self, batch: Any) -> Prepared:
        """The batch itself."""

    @abc.abstractmethod
    def of_steps(self, batches: list[Any], length: int) -> dict[str, Any]:
        """The `pool` of so many steps at most, the `rows` (length, size) that each takes of it, and their `count` (length,).

        Rows beyond the count repeat the first one; steps beyond the batches repeat the last one.
        """


@final
class InMemory(Pooled):
    """Batches of data that stay where steps are computed: they are known by the numbers of their samples."""

    def __init__(self, feed: MemoryFeed, pool: Pool, size: int, most: int) -> None:
        self._feed, self._pool, self._size, self.most = feed, pool, min(size, count(feed.whole[0])), most

    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Any, Position] | None:
        return self._feed.next_rows(position, rng)

    def prepared(self, batch: Any) -> Prepared:
        return self._feed.taken(batch)

    def of_steps(self, batches: list[Any], length: int) -> dict[str, Any]:
        return {"pool": self._pool, **_rows(batches, length, self._size)}


@final
class Coming(Pooled):
    """Batches that are read as training goes on: those of some steps, side by side, are the pool."""

    def __init__(self, feed: Feed, size: int, most: int) -> None:
        self._feed, self._size, self.most = feed, size, most

    def next(self, position: Position, rng: numpy.random.Generator) -> tuple[Any, Position] | None:
        return self._feed.next(position, rng)

    def prepared(self, batch: Any) -> Prepared:
        return batch

    def of_steps(self, batches: list[Any], length: int) -> dict[str, Any]:
        starts = numpy.cumsum([0, *(count(batch[0]) for batch in batches)])
        rows = [numpy.arange(*ends) for ends in itertools.pairwise(starts)]
        pool = {part: _joined([batch[i] for batch in batches], self.most * self._size) for i, part in enumerate(PARTS)}
        return {"pool": pool, **_rows(rows, length, self._size)}


PARTS = "points", "targets"


def pool_of(prepared: Prepared) -> Pool:
    """All samples as a pool."""
    return {part: dict(values) for part, values in zip(PARTS, prepared, strict=True)}


def _rows(batches: list[NDArray], length: int, size: int) -> dict[str, NDArray]:
    rows = numpy.empty((length, size), dtype=numpy.int32)
    for row, batch in zip(rows, batches, strict=False):
        row[: len(batch)], row[len(batch) :] = batch, batch[0]
    rows[len(batches) :] = rows[len(batches) - 1]
    return {"rows": rows, "count": filled([len(batch) for batch in batches], length)}


def _joined(parts: list[dict[str, NDArray]], size: int) -> dict[str, NDArray]:
    return {name: filled(numpy.concatenate([part[name] for part in parts]), size) for name in parts[0]}


def filled(values: Any, length: int) -> NDArray:
    """Values (n, ...) with the last one again and again up to a length."""
    found = numpy.asarray(values)
    return numpy.concatenate([found, numpy.repeat(found[-1:], length - len(found), axis=0)])


__all__ = ["Coming", "InMemory", "Pooled", "filled", "pool_of"]
