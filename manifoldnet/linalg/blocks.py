"""Metric tensors with one full block for each unit: unitwise natural, backpropagated, unitwise outer product."""

from collections.abc import Sequence
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.elimination import can_eliminate, eliminated
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.inverse import Rule
from manifoldnet.linalg.partition_roots import PartitionRoot
from manifoldnet.linalg.quasi_diagonal import checked_blocks, matrix_of_blocks, require_same_places
from manifoldnet.linalg.roots import GroupRoot
from manifoldnet.linalg.shared_reads import Block, SharedReads, formed, scaled_blocks, sum_of_blocks
from manifoldnet.linalg.standard import Aids, aids_of, sites, solid_root
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Group, Kept, Partition, Units

# So many numbers of blocks are factorised at a time: the workspace stays in a cache, and small beside the blocks.
_CHUNK = 2**18


def _checked(blocks: Sequence[object], tensor: attrs.AttrsInstance) -> tuple[NDArray, ...]:
    assert isinstance(tensor, Blocks)
    if isinstance(blocks, Kept):
        return blocks
    groups = tensor.partition.groups
    if len(blocks) != len(groups):
        raise ShapeError(f"expected blocks for {len(groups)} groups of units, received {len(blocks)}")
    return Kept(_checked_part(*each) for each in zip(groups, blocks, range(len(groups)), strict=True))


def _checked_part(group: Group, values: object, number: int) -> Block:
    if not isinstance(values, SharedReads):
        return checked_blocks(group, values, number)
    if values.shape != (group.units, group.width, group.width):
        raise ShapeError(
            f"group {number}: blocks are expected as {(group.units, group.width, group.width)}, received {values.shape}"
        )
    return values


@final
@attrs.frozen(eq=False)
class Blocks(MetricTensor):
    """A block-diagonal tensor: `blocks` (U, width, width) for each group of the partition, ordered as its index.

    Units that read the same few samples may come as `SharedReads` instead, whose blocks are never formed where
    their solution does not need them.

    Affine units are centred and scaled by their bias row before Cholesky, so that rounding does not depend on
    affine charts either.

    >>> from manifoldnet.linalg.units import Whole
    >>> pair = Partition(2, [Whole([[0, 1]])])
    >>> Blocks(pair, [[[[2.0, 1.0], [1.0, 2.0]]]]).solve([3.0, 3.0])
    array([1., 1.])
    """

    generality = 2

    partition: Partition
    blocks: tuple[Block, ...] = attrs.field(converter=attrs.Converter(_checked, takes_self=True))  # type: ignore[misc]

    @property
    def size(self) -> int:
        return self.partition.size

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, blocks=Kept(scaled_blocks(part, factor) for part in self.blocks))

    def diagonal(self) -> NDArray:
        return self.partition.scatter([_diagonal(part) for part in self.blocks])

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        require_same_places(self.partition, partition)
        return tuple(formed(part) for part in self.blocks)

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        require_same_places(self.partition, partition)
        return tuple(_kept(group, part) for group, part in zip(partition.groups, self.blocks, strict=True))

    def _multiply(self, tangent: NDArray) -> NDArray:
        parts = self.partition.gather(tangent)
        return self.partition.scatter(
            [
                block.multiply(part) if isinstance(block, SharedReads) else (block @ part[..., None])[..., 0]
                for block, part in zip(self.blocks, parts, strict=True)
            ]
        )

    def _norm2(self, tangent: NDArray) -> float:
        return tangent @ self._multiply(tangent)

    def _as_matrix(self) -> NDArray:
        return matrix_of_blocks(self.partition, self.unit_blocks(self.partition))

    def _average(self, other: Self, weight: float) -> Self:
        return self.scaled(1.0 - weight)._plus(other.scaled(weight))

    def _plus(self, other: MetricTensor) -> Self:
        if isinstance(other, Diagonal) and other.uniform is not None:
            return self.plus_identity(other.uniform)
        if other.generality == 0:
            return attrs.evolve(self, blocks=self._with_diagonal(other.diagonal()))
        others = other.blocks if isinstance(other, Blocks) else other.unit_blocks(self.partition)
        return attrs.evolve(self, blocks=Kept(sum_of_blocks(a, b) for a, b in zip(self.blocks, others, strict=True)))

    def plus_identity(self, factor: float) -> Self:
        """The sum with a multiple of the identity."""
        return attrs.evolve(self, blocks=Kept(_plus_identity(part, factor) for part in self.blocks))

    def _with_diagonal(self, diagonal: NDArray) -> Kept:
        blocks = Kept(formed(part).copy() for part in self.blocks)
        for part, added in zip(blocks, self.partition.gather(diagonal), strict=True):
            places = numpy.arange(part.shape[1])
            part[:, places, places] += added
        return blocks

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        parts = self.partition.gather(covector)
        tasks = zip(self._tasks(rule), parts, strict=True)
        return self.partition.scatter([task.solve(part, rule) for task, part in tasks])

    def _inverse(self, rule: Rule) -> PartitionRoot:
        roots = [solid_root(task.group, formed(task.blocks), rule, task.site, task.aids) for task in self._tasks(rule)]
        return PartitionRoot(self.partition, tuple(roots))

    def _tasks(self, rule: Rule) -> list["_Task"]:
        partition = self.partition
        everything = zip(
            partition.groups, self.blocks, sites(self.name, partition), aids_of(self, partition, rule), strict=True
        )
        return [_Task(*each) for each in everything]


def _diagonal(part: Block) -> NDArray:
    return part.diagonal() if isinstance(part, SharedReads) else numpy.diagonal(part, axis1=1, axis2=2)


def _kept(group: Group, part: Block) -> Entries | NDArray:
    if isinstance(part, SharedReads):
        return part.entries()
    return entries_of_blocks(group, part) if isinstance(group, Units) else part


def _plus_identity(part: Block, factor: float) -> Block:
    if isinstance(part, SharedReads):
        return part.plus_identity(factor)
    changed = part.copy()
    changed.reshape(len(part), -1)[:, :: part.shape[1] + 1] += factor
    return changed


@final
@attrs.frozen(eq=False)
class _Task:
    """The blocks of one group, to be factorised."""

    group: Group
    blocks: Block
    site: Site
    aids: Aids

    def solve(self, values: NDArray, rule: Rule) -> NDArray:
        """The solutions for covectors (U, width), found in pieces of bounded size that share their memory."""
        if isinstance(self.blocks, SharedReads) and self.blocks.can_solve(rule):
            assert isinstance(self.group, Units)
            return self.blocks.solve(self.group, values, rule, self.site, self.aids)
        count, width = values.shape
        step = min(count, max(1, _CHUNK // max(1, width**2)))
        if step == count:
            blocks = formed(self.blocks)
            found = self._eliminated(blocks, values, rule)
            return solid_root(self.group, blocks, rule, self.site, self.aids).solve(values) if found is None else found
        solved, work = numpy.empty(values.shape), numpy.empty((2, step, width, width))
        for start in range(0, count, step):
            units = slice(start, min(start + step, count))
            blocks, out = self._some(units, work[0]), work[1, : units.stop - start]
            found = self._eliminated(blocks, values[units], rule)
            solved[units] = self._piece(units, blocks, rule, out).solve(values[units]) if found is None else found
        return solved

    def _eliminated(self, blocks: NDArray, values: NDArray, rule: Rule) -> NDArray | None:
        is_ready = isinstance(self.group, Units) and self.group.is_scalar and can_eliminate(rule)
        return eliminated(blocks, values, rule.tolerance) if is_ready else None

    def _some(self, units: slice, work: NDArray) -> NDArray:
        if isinstance(self.blocks, SharedReads):
            return self.blocks.only(units).formed_in(work[: units.stop - units.start])
        return self.blocks[units]

    def _piece(self, units: slice, blocks: NDArray, rule: Rule, work: NDArray) -> GroupRoot:
        group, site = self.group.only(units.start, units.stop), self.site.from_unit(units.start)
        return solid_root(group, blocks, rule, site, self.aids.only(units), work)


__all__ = ["Blocks"]
