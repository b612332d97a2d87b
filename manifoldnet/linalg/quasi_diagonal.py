"""Metric tensors reduced to A_00, A_0i and A_ii of each unit (definition 23, propositions 24 and 25)."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.elimination import can_eliminate, eliminate
from manifoldnet.linalg.entries import Entries, entries_of_blocks, sum_of_kept
from manifoldnet.linalg.inverse import Rule
from manifoldnet.linalg.links import LinkEntries
from manifoldnet.linalg.partition_roots import PartitionRoot
from manifoldnet.linalg.roots import GroupRoot
from manifoldnet.linalg.standard import Aids, aids_of, quasi_root, sites, solid_root
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Group, Kept, Partition, Units, Whole, put, taken


def checked_blocks(group: Group, values: object, number: int) -> NDArray:
    """Full blocks of a group: (U, width, width) else ShapeError, zero where padded."""
    blocks = numpy.asarray(values, dtype=numpy.float64)
    if blocks.shape != (group.units, group.width, group.width):
        raise ShapeError(
            f"group {number}: blocks are expected as {(group.units, group.width, group.width)}, received {blocks.shape}"
        )
    if group.mask is None:
        return blocks
    return numpy.where(group.mask[:, :, None] & group.mask[:, None, :], blocks, 0.0)


# What is kept of one group of units, or of several whose links stand side by side.
Part = Entries | LinkEntries | NDArray


def _checked(entries: Sequence[object], tensor: attrs.AttrsInstance) -> tuple[Part, ...]:
    assert isinstance(tensor, QuasiDiagonal)
    if isinstance(entries, Kept):
        return entries
    groups = tensor.partition.groups
    if len(entries) != len(groups):
        raise ShapeError(f"expected entries for {len(groups)} groups of units, received {len(entries)}")
    return Kept(
        _as_entries(values).checked(group, number)
        if isinstance(group, Units)
        else checked_blocks(group, values, number)
        for number, (group, values) in enumerate(zip(groups, entries, strict=True))
    )


def _as_entries(values: object) -> Entries:
    """Entries given as such, as (A_00, A_0i..., A_ii...), or as anything with `bias`, `cross` and `own`."""
    if isinstance(values, Entries):
        return values
    if isinstance(values, tuple | list) and len(values) == 3:
        return Entries(*values)
    try:
        return Entries(values.bias, values.cross, values.own)  # type: ignore[attr-defined]
    except AttributeError:
        raise ShapeError(
            "the entries of affine units are expected as Entries(A_00, A_0i..., A_ii...), "
            f"received {type(values).__name__}"
        ) from None


@final
@attrs.frozen(eq=False)
class QuasiDiagonal(MetricTensor):
    """The reduced tensor A~ of a partition: for each group of affine units its `entries`, else full blocks.

    Its matrix has A_00, A_0i, A_ii and, for i != i', A_i0 A_00^+ A_0i' (definition 23); none but these entries
    are ever formed, and solving is eqs. 89 and 90. Sums and averages are those of the entries.

    >>> from manifoldnet.linalg.units import Units
    >>> units = Partition(3, [Units([[0]], [[[[1], [2]]]])])
    >>> entries = Entries([[[2.0]]], [[[[[1.0]], [[0.0]]]]], [[[[[1.0]], [[4.0]]]]])
    >>> QuasiDiagonal(units, [entries]).solve([1.0, 1.0, 1.0])
    array([0.  , 1.  , 0.25])
    """

    generality = 1

    partition: Partition
    parts: tuple[Part, ...] = attrs.field(
        converter=attrs.Converter(_checked, takes_self=True),  # type: ignore[misc]
        alias="entries",
    )

    @cached_property
    def entries(self) -> tuple[Entries | NDArray, ...]:
        """What is kept of each group."""
        return tuple(
            entries
            for part in self.parts
            for entries in (part.by_group() if isinstance(part, LinkEntries) else (part,))
        )

    @property
    def size(self) -> int:
        return self.partition.size

    def scaled(self, factor: float) -> Self:
        return self._with(_scaled(part, factor) for part in self.parts)

    def diagonal(self) -> NDArray:
        return self.partition.scatter(
            [
                part.diagonal() if isinstance(part, Entries) else numpy.diagonal(part, axis1=1, axis2=2)
                for part in self.entries
            ]
        )

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        require_same_places(self.partition, partition)
        return tuple(part.block() if isinstance(part, Entries) else part for part in self.entries)

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        require_same_places(self.partition, partition)
        return tuple(_as_kept_by(*pair) for pair in zip(partition.groups, self.entries, strict=True))

    def _multiply(self, tangent: NDArray) -> NDArray:
        by_unit = zip(self.partition.groups, self.entries, self.partition.gather(tangent), strict=True)
        return self.partition.scatter(
            [
                values.multiply(group, part)
                if isinstance(values, Entries) and isinstance(group, Units)
                else _times(values, part)
                for group, values, part in by_unit
            ]
        )

    def _norm2(self, tangent: NDArray) -> float:
        by_unit = zip(self.partition.groups, self.entries, self.partition.gather(tangent), strict=True)
        total = 0.0
        for group, values, part in by_unit:
            if isinstance(values, Entries) and isinstance(group, Units):
                total += values.norm2(group, part)
            else:
                total += float((part * _times(values, part)).sum())
        return total

    def _as_matrix(self) -> NDArray:
        return matrix_of_blocks(self.partition, self.unit_blocks(self.partition))

    def _average(self, other: Self, weight: float) -> Self:
        return self.scaled(1.0 - weight)._plus(other.scaled(weight))

    def _plus(self, other: MetricTensor) -> Self:
        added: list[Part]
        if isinstance(other, Diagonal) and other.uniform is not None:
            return self.plus_identity(other.uniform)
        if other.generality == 0:
            diagonals = self.partition.gather(other.diagonal())
            added = [_with_diagonal(*each) for each in zip(self.partition.groups, self.entries, diagonals, strict=True)]
        elif isinstance(other, QuasiDiagonal) and _are_alike(self.parts, other.parts):
            added = [_sum(*pair) for pair in zip(self.parts, other.parts, strict=True)]
        else:
            others = other.unit_entries(self.partition)
            added = [_sum(*pair) for pair in zip(self.entries, others, strict=True)]
        return self._with(added)

    def plus_identity(self, factor: float) -> Self:
        """The sum with a multiple of the identity, in the entries."""
        return self._with([_with_identity(part, factor) for part in self.parts])

    def _with(self, parts: Iterable[Part]) -> Self:
        """The same tensor with other entries."""
        return type(self)(self.partition, Kept(parts), floor=self._floor, reference=self._reference, name=self.name)

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        found = self._eliminated(covector, rule) if can_eliminate(rule) else None
        return self._inverse(rule).solve(covector) if found is None else found

    def _eliminated(self, covector: NDArray, rule: Rule) -> NDArray | None:
        """The solution where all units are of one dimension, with one-dimensional parents, and none is singular."""
        solved, number = numpy.empty(self.size + 1), 0
        for part in self.parts:
            if isinstance(part, LinkEntries):
                is_solved = _eliminate_links(part, covector, solved, rule.tolerance)
                number += len(part.links.groups)
            else:
                is_solved = _eliminate(self.partition.groups[number], part, covector, solved, rule.tolerance)
                number += 1
            if not is_solved:
                return None
        return solved[:-1]

    def _inverse(self, rule: Rule) -> PartitionRoot:
        partition = self.partition
        everything = zip(
            partition.groups, self.entries, sites(self.name, partition), aids_of(self, partition, rule), strict=True
        )
        return PartitionRoot(partition, tuple(_root(*each, rule) for each in everything))


def _eliminate_links(entries: LinkEntries, covector: NDArray, out: NDArray, tolerance: float) -> bool:
    """Write the solutions of units of several groups into `out` (size + 1,); False where they are not to be had so."""
    solved = covector.take(entries.links.positions)
    if not eliminate(entries, solved[: entries.links.units], solved[entries.links.units :], tolerance):
        return False
    out[entries.links.positions] = solved
    return True


def _eliminate(group: Group, values: Entries | NDArray, covector: NDArray, out: NDArray, tolerance: float) -> bool:
    """Write the solutions of one group's units into `out` (size + 1,); False where they are not to be had so."""
    if not (isinstance(values, Entries) and values.is_scalar):
        return False
    padded = covector if group.mask is None else numpy.append(covector, 0.0)
    solved = numpy.array(taken(group, padded))
    if not eliminate(values, solved[:, 0], solved[:, 1:], tolerance):
        return False
    put(group, solved, out)
    return True


def _are_alike(ones: Sequence[Part], others: Sequence[Part]) -> bool:
    """Whether the parts of two tensors on one partition hold the same groups."""
    return len(ones) == len(others) and all(
        getattr(one, "links", None) is getattr(other, "links", None) for one, other in zip(ones, others, strict=True)
    )


def _sum(one: Part, other: Part) -> Part:
    if isinstance(one, LinkEntries):
        assert isinstance(other, LinkEntries)
        return one.plus(other)
    assert not isinstance(other, LinkEntries)
    return sum_of_kept(one, other)


def _times(values: Entries | NDArray, tangent: NDArray) -> NDArray:
    assert not isinstance(values, Entries)
    return (values @ tangent[..., None])[..., 0]


def _root(group: Group, values: Entries | NDArray, site: Site, aids: Aids, rule: Rule) -> GroupRoot:
    if isinstance(values, Entries) and rule.cut != "pseudo-inverse":
        assert isinstance(group, Units)
        damped = values.scaled(1.0 + rule.relative) if rule.relative else values
        return quasi_root(group, damped, rule, site, aids.floor)
    return solid_root(group, values.block() if isinstance(values, Entries) else values, rule, site, aids)


def _scaled(values: Part, factor: float) -> Part:
    return factor * values if isinstance(values, numpy.ndarray) else values.scaled(factor)


def _with_diagonal(group: Group, values: Entries | NDArray, diagonal: NDArray) -> Entries | NDArray:
    if isinstance(values, Entries):
        assert isinstance(group, Units)
        return values.plus_diagonal(group, diagonal)
    return values + diagonal[..., None] * numpy.eye(group.width)


def _with_identity(values: Part, factor: float) -> Part:
    if isinstance(values, numpy.ndarray):
        return values + factor * numpy.eye(values.shape[1])
    return values.plus_identity(factor)


def _as_kept_by(group: Group, values: Entries | NDArray) -> Entries | NDArray:
    if isinstance(group, Whole):
        return values.block() if isinstance(values, Entries) else values
    return values if isinstance(values, Entries) else entries_of_blocks(group, values)


def require_same_places(own: Partition, asked: Partition) -> None:
    """Raise ShapeError unless both partitions hold the same units in the same order."""
    if not own.has_same_places(asked):
        raise ShapeError("the tensor holds other units than the partition asks for: use the partition it was made with")


def matrix_of_blocks(partition: Partition, blocks: Sequence[NDArray]) -> NDArray:
    """The block-diagonal matrix (size, size) of blocks by unit."""
    matrix = numpy.zeros((partition.size + 1, partition.size + 1))
    for group, part in zip(partition.groups, blocks, strict=True):
        matrix[group.index[:, :, None], group.index[:, None, :]] = part
    return matrix[:-1, :-1]


__all__ = ["QuasiDiagonal", "checked_blocks", "matrix_of_blocks", "require_same_places"]
