"""Stages of one number a unit, each of which reads all of the one before, which nothing else reads."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.products import squares, times
from manifoldnet.compiler.stage import Stage


def chains_of(
    stages: Sequence[Stage], whole_slots: Sequence[str | None], outputs: Collection[str]
) -> tuple[tuple[int, ...], ...]:
    """All stages, by number, in chains; most are of one stage. What `outputs` read, by layer, ends a chain.

    Ordered by their last stages: nothing reads a chain but stages of later ones.
    """
    following = _following(stages, whole_slots, outputs)
    found = []
    for first in sorted(set(range(len(stages))) - set(following.values())):
        chain = [first]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        found.append(tuple(chain))
    return tuple(sorted(found, key=lambda chain: chain[-1]))


def _following(stages: Sequence[Stage], whole_slots: Sequence[str | None], outputs: Collection[str]) -> dict[int, int]:
    """The one stage that reads a stage, for those that can be followed in a chain."""
    found = {}
    for index, (stage, layer) in enumerate(zip(stages, whole_slots, strict=True)):
        readers = [number for number, other in enumerate(stages) if layer in other.parent_layers]
        if layer is None or layer in outputs or len(readers) != 1 or not isinstance(stage, AffineStage):
            continue
        reader = stages[readers[0]]
        if isinstance(reader, AffineStage) and reader.is_scalar and reader.is_plain_reader and stage.has_scalar_rate:
            found[index] = readers[0]
    return found


def carried_back(last: NDArray, weights: Sequence[Any], rates: Sequence[NDArray], squared: bool) -> list[NDArray]:
    """What stands at the stages of a chain, (samples, units), from what stands at its last one.

    `weights` are those of all stages but the first, `rates` those of all but the last. Covectors, or `squared` moduli, which
    weights and rates act on by their squares.
    """
    found = [last]
    for matrix, rate in zip(reversed(weights), reversed(rates), strict=True):
        if squared:
            matrix, rate = squares(matrix), numpy.square(rate)
        last = times(last, matrix.T)
        last *= rate
        found.append(last)
    found.reverse()
    return found


__all__ = ["carried_back", "chains_of"]
