"""How far rows of ragged wiring are padded, so that networks of other seeds have the same shapes."""

from collections.abc import Sequence

# For each stage, how many parents its rows have room for, by width of parent.
Room = tuple[tuple[int, ...], ...]

# Up to so many parents rows are as long as the longest, beyond it rounded up to a multiple of a step.
EXACT, STEP = 8, 4


def rounded(parents: int) -> int:
    """How many parents a row has room for.

    >>> rounded(5), rounded(21)
    (5, 24)
    """
    return parents if parents <= EXACT else -(-parents // STEP) * STEP


def widest(rooms: Sequence[Room]) -> Room | None:
    """Room for every one of several networks; None where they differ in more than the length of rows.

    >>> widest([((3,), (4, 2)), ((5,), (1, 2))])
    ((5,), (4, 2))
    """
    lengths = {tuple(len(stage) for stage in room) for room in rooms}
    if len(lengths) != 1:
        return None
    return tuple(tuple(map(max, zip(*stages, strict=True))) for stages in zip(*rooms, strict=True))
