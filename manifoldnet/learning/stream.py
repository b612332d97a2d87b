"""Data that come as they come: batches from an iterator, read once and never held together."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

import attrs

from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import Dataset

Batch = tuple[Any, Any]


@final
@attrs.frozen(eq=False)
class Stream:
    """Batches (inputs, targets) in the order in which they come, and data held out for validation.

    `batches` is a function that starts from the beginning, which it does once an epoch, or an iterable. An iterator
    is an epoch by itself: training ends with it. A run that is resumed reads again, and passes over, what it had
    read: the batches must be the same ones.

    >>> import numpy
    >>> def batches():
    ...     for start in range(0, 6, 2):
    ...         yield numpy.arange(start, start + 2.0)[:, None], numpy.zeros(2)
    >>> next(Stream(batches).epoch())[0].tolist()
    [[0.0], [1.0]]
    """

    batches: Callable[[], Iterable[Batch]] | Iterable[Batch]
    validation: Batch | None = None

    @property
    def is_endless(self) -> bool:
        """Whether it can be read again from its beginning."""
        return callable(self.batches) or not isinstance(self.batches, Iterator)

    def epoch(self) -> Iterator[Batch]:
        """The batches from the first one on; raises DataError for one that is no pair."""
        for number, batch in enumerate(self.batches() if callable(self.batches) else self.batches):
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise DataError(
                    f"batch {number} of the stream must be a pair (inputs, targets), received {type(batch).__name__}"
                )
            yield batch[0], batch[1]


Data = Dataset | Stream
