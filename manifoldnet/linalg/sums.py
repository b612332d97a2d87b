"""What metrics keep of each group of units, summed over parts of a batch."""

from collections.abc import Sequence
from typing import Any

from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.links import LinkEntries
from manifoldnet.linalg.shared_reads import sum_of_blocks


def summed(total: Sequence[Any], parts: Sequence[Any]) -> list[Any]:
    """The sums, group by group, of two lists of entries, blocks or arrays; an empty one counts as zero."""
    return [_plus(a, b) for a, b in zip(total, parts, strict=True)] if total else list(parts)


def _plus(a: Any, b: Any) -> Any:
    return a.plus(b) if isinstance(a, Entries | LinkEntries) else sum_of_blocks(a, b)


__all__ = ["summed"]
