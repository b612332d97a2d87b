"""What a step on a batch remembers of those before it."""

from collections.abc import Mapping
from typing import final

import attrs
from numpy.typing import NDArray

from manifoldnet.errors import DataError
from manifoldnet.learning.standstill import grown

PAST = ("last", "shares")


@final
@attrs.frozen(eq=False)
class Past:
    """The step taken `last`, where the next one builds on it, and the `shares` of their steps that parameters take.

    None says that there is no such step, and that all take all of theirs.
    """

    last: NDArray | None = None
    shares: NDArray | None = None

    def arrays(self) -> dict[str, NDArray]:
        """What there is, by name."""
        return {name: values for name in PAST if (values := getattr(self, name)) is not None}

    def grown(self, growth: float) -> "Past":
        """Shares after a step that helped."""
        return attrs.evolve(self, shares=grown(self.shares, growth))


def past_from(arrays: Mapping[str, NDArray], size: int) -> Past:
    """What `Past.arrays` gave for tangents of so many entries; raises DataError where it does not fit."""
    found = {name: arrays[name] for name in PAST if name in arrays}
    for name, values in found.items():
        if values.shape != (size,):
            told = {"last": "the last step", "shares": "the shares of steps"}[name]
            raise DataError(f"{told} has shape {values.shape}, where this network's tangents have ({size},)")
    return Past(**found)
