"""Batches that are read before their steps are taken, and what is computed of steps only when someone asks."""

from collections.abc import Callable
from typing import Any, final

import attrs
import numpy

from manifoldnet.errors import DataError
from manifoldnet.learning.generator import Snapshot, restored, rewind, snapshot
from manifoldnet.learning.state import Position

# What comes at a position, and the position after it; None where no data are left.
Next = Callable[[Position, numpy.random.Generator], tuple[Any, Position] | None]


@final
@attrs.frozen(eq=False)
class Fetched:
    """A batch that was read ahead, the position after it and, where its epoch was begun with it, the generator then."""

    batch: Any
    after: Position
    rng: Snapshot | None = None
    error: DataError | None = None

    def told(self, rng: numpy.random.Generator) -> None:
        """Put the generator where it stands once this batch has been taken; raises what was wrong with it."""
        if self.error is not None:
            raise self.error
        if self.rng is not None:
            rewind(rng, self.rng)


@final
class ReadingAhead:
    """The batches ahead of a position, across epochs; what is wrong with one is told when its turn comes."""

    def __init__(self, following: Next) -> None:
        self._next = following
        self._rng: numpy.random.Generator | None = None
        self.batches: list[Fetched] = []

    def forget(self) -> None:
        """Nothing has been read."""
        self.batches, self._rng = [], None

    def fetch(self, position: Position, rng: numpy.random.Generator, count: int) -> None:
        """Read until there are so many batches, or no more; `position` and `rng` stand before the first of them."""
        if self._rng is None or not self.batches:
            self._rng = restored(snapshot(rng))
        if self.batches:
            position = self.batches[-1].after
        while len(self.batches) < count and not (self.batches and self.batches[-1].error):
            found = self._fetched(position, self._rng)
            if found is None:
                return
            self.batches.append(found)
            position = found.after

    def _fetched(self, position: Position, rng: numpy.random.Generator) -> Fetched | None:
        try:
            found = self._next(position, rng)
        except DataError as error:
            # the steps before it are not lost
            return Fetched(None, position, error=error)
        if found is None:
            return None
        return Fetched(*found, snapshot(rng) if position.order is None else None)


@final
@attrs.frozen(eq=False)
class Pending:
    """An estimate that is computed when someone asks: that after `taken` steps of a run."""

    run: Any
    taken: int

    def found(self) -> Any:
        return self.run.average(self.taken)


def settled(estimate: Any) -> Any:
    """An estimate that may be pending."""
    return estimate.found() if isinstance(estimate, Pending) else estimate


__all__ = ["Fetched", "Pending", "ReadingAhead", "settled"]
