"""The roots of all groups of units together, acting on flat vectors."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.inverse import Root
from manifoldnet.linalg.roots import GroupRoot, both_sides
from manifoldnet.linalg.units import Partition, Whole


@final
@attrs.frozen(eq=False)
class PartitionRoot(Root):
    """The roots of all groups of a partition, acting on flat values (size,) or (size, m)."""

    partition: Partition
    roots: tuple[GroupRoot, ...]

    @property
    def live(self) -> NDArray[numpy.bool_]:
        return self.partition.scatter([root.live for root in self.roots]) > 0.0

    def solve(self, values: NDArray) -> NDArray:
        parts = zip(self.roots, self.partition.gather(values), strict=True)
        return self.partition.scatter([root.solve(part) for root, part in parts])

    def pull(self, values: NDArray) -> NDArray:
        parts = zip(self.roots, self.partition.gather(values), strict=True)
        return self.partition.scatter([root.pull(part) for root, part in parts])

    def push(self, values: NDArray) -> NDArray:
        parts = zip(self.roots, self.partition.gather(values), strict=True)
        return self.partition.scatter([root.push(part) for root, part in parts])


@final
@attrs.frozen(eq=False)
class JointRoot(GroupRoot):
    """A partition's root seen as that of one unit that holds all parameters, (1, size)."""

    base: PartitionRoot

    @property
    def live(self) -> NDArray[numpy.bool_]:
        return self.base.live[None]

    def solve(self, values: NDArray) -> NDArray:
        return self.base.solve(values[0])[None]

    def pull(self, values: NDArray) -> NDArray:
        return self.base.pull(values[0])[None]

    def push(self, values: NDArray) -> NDArray:
        return self.base.push(values[0])[None]

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        return both_sides(self, blocks, out)


def one_unit(size: int) -> Partition:
    """The partition that takes all parameters together."""
    return Partition(size, (Whole(numpy.arange(size)[None]),))


__all__ = ["JointRoot", "PartitionRoot", "one_unit"]
