"""Metric tensors of units that are coupled through others alone: blocks on the diagonal, and a border."""

from collections.abc import Iterable
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered_inverse import bordered_inverse
from manifoldnet.linalg.dense import Dense, block_of, formed_of, require_partition
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.inverse import Inverse, Rule
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal, require_same_places
from manifoldnet.linalg.standard import intrinsic_blocks, standard_roots
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Kept, Partition, Units


def _require(expected: object, received: object, what: str) -> None:
    if expected != received:
        raise ShapeError(f"{what} expected as {expected}, received {received}")


def _arrays(parts: Iterable[NDArray]) -> tuple[NDArray, ...]:
    return tuple(parts)


@final
@attrs.frozen(eq=False)
class Bordered(MetricTensor):
    """A matrix without entries between units apart: the natural metric of outputs that are independent of each other.

    For each group that has such units: `blocks` (units apart, width, width), and `cross` (units apart, width, size of
    the border); `shared` is the matrix of the border. Solving eliminates the units apart first, and
    factorises what is left of the border: the same result to rounding, with fewer operations.
    """

    generality = 5

    border: Border
    blocks: tuple[NDArray, ...] = attrs.field(converter=_arrays)
    cross: tuple[NDArray, ...] = attrs.field(converter=_arrays)
    shared: NDArray

    def __attrs_post_init__(self) -> None:
        places, shared = [each.shape for each in self.border.places], len(self.border.positions)
        blocks, cross = ([part.shape for part in parts] for parts in (self.blocks, self.cross))
        _require([(units, width, width) for units, width in places], blocks, "the blocks of units apart are")
        _require([(units, width, shared) for units, width in places], cross, "their products with the border are")
        _require((shared, shared), self.shared.shape, "the matrix of the border is")

    @property
    def size(self) -> int:
        return self.border.partition.size

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(
            self,
            blocks=tuple(factor * part for part in self.blocks),
            cross=tuple(factor * part for part in self.cross),
            shared=factor * self.shared,
        )

    def diagonal(self) -> NDArray:
        found = numpy.empty(self.size + 1)
        for places, part in zip(self.border.places, self.blocks, strict=True):
            found[places] = numpy.diagonal(part, axis1=1, axis2=2)
        found[self.border.positions] = numpy.diagonal(self.shared)
        return found[: self.size]

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        require_same_places(self.border.partition, partition)
        found = []
        for number, group in enumerate(partition.groups):
            blocks = numpy.empty((group.units, group.width, group.width))
            blocks[self.border.shared[number]] = block_of(self.shared, self.border.inner.groups[number])
            found.append(blocks)
        for number, own in zip(self.border.groups, self.blocks, strict=True):
            found[number][self.border.apart[number]] = own
        return tuple(found)

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        return tuple(
            entries_of_blocks(group, blocks) if isinstance(group, Units) else blocks
            for group, blocks in zip(partition.groups, self.unit_blocks(partition), strict=True)
        )

    def dense(self) -> Dense:
        """The same tensor as one matrix."""
        return formed_of(self)

    def _alike(self, other: MetricTensor) -> bool:
        return isinstance(other, Bordered) and self.border.is_like(other.border)

    def _multiply(self, tangent: NDArray) -> NDArray:
        padded, found = numpy.append(tangent, 0.0), numpy.empty(self.size + 1)
        shared = tangent[self.border.positions]
        lowered = self.shared @ shared
        for places, block, cross in zip(self.border.places, self.blocks, self.cross, strict=True):
            own = padded[places]
            found[places] = (block @ own[..., None])[..., 0] + cross @ shared
            lowered += own.reshape(-1) @ cross.reshape(own.size, len(shared))
        found[self.border.positions] = lowered
        return found[: self.size]

    def _norm2(self, tangent: NDArray) -> float:
        return float(tangent @ self._multiply(tangent))

    def _as_matrix(self) -> NDArray:
        matrix = numpy.zeros((self.size + 1, self.size + 1))
        shared = self.border.positions
        matrix[numpy.ix_(shared, shared)] = self.shared
        for places, block, cross in zip(self.border.places, self.blocks, self.cross, strict=True):
            matrix[places[:, :, None], places[:, None, :]] = block
            matrix[places[:, :, None], shared] = cross
            matrix[shared[:, None, None], places] = cross.transpose(2, 0, 1)
        return matrix[: self.size, : self.size]

    def _average(self, other: Self, weight: float) -> Self:
        return self.scaled(1.0 - weight).joined(other.scaled(weight))

    def joined(self, other: "Bordered") -> Self:
        """The sum with another one of the same border."""
        return attrs.evolve(
            self,
            blocks=tuple(a + b for a, b in zip(self.blocks, other.blocks, strict=True)),
            cross=tuple(a + b for a, b in zip(self.cross, other.cross, strict=True)),
            shared=self.shared + other.shared,
        )

    def _plus(self, other: MetricTensor) -> MetricTensor:
        if isinstance(other, Bordered) and self._alike(other):
            return self.joined(other)
        if other.generality <= Blocks.generality:
            return self._with_blocks(other)
        return self.dense()._plus(other)

    def _with_blocks(self, other: MetricTensor) -> Self:
        """The sum with a tensor of blocks by unit."""
        inner, added = self.shared.copy(), other.unit_blocks(self.border.partition)
        own = zip(self.border.groups, self.blocks, strict=True)
        blocks = tuple(block + added[number][self.border.apart[number]] for number, block in own)
        for number, part in enumerate(added):
            first, second, there = self.border.pairs[number]
            inner[first, second] += part[self.border.shared[number]][there]
        return attrs.evolve(self, blocks=blocks, shared=inner)

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> Inverse:
        if rule.cut == "nothing" and (rule.relative or rule.absolute):
            total, live = self._damped(rule)
            found = bordered_inverse(total.border, total.blocks, total.cross, total.shared, live, rule.tolerance)
            if found is not None:
                return found
        # what is cut, or singular, is judged in all directions at once, and named
        return self.dense()._inverse(rule)

    def _damped(self, rule: Rule) -> tuple[Self, NDArray[numpy.bool_] | None]:
        """With what is relative added, and which parameters are not left alone (None: all are solved for)."""
        if not rule.drops:
            return self, None
        partition = require_partition(self)
        entries = self.unit_entries(partition)
        live = standard_roots(self, partition, entries, rule).live
        if not rule.relative:
            return self, live
        ridge = QuasiDiagonal(partition, Kept(intrinsic_blocks(self, partition, entries, rule)))
        return self._with_blocks(ridge.scaled(rule.relative)), live


__all__ = ["Bordered"]
