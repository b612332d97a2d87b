"""Metric tensors held as one matrix."""

from typing import Self, final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import DeclarationError, ShapeError
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.inverse import Rule
from manifoldnet.linalg.partition_roots import JointRoot, PartitionRoot, one_unit
from manifoldnet.linalg.roots import GroupRoot
from manifoldnet.linalg.standard import NO_AIDS, solid_root, solidified, standard_roots
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Group, Partition, Units


def _square(values: ArrayLike) -> NDArray[numpy.float64]:
    matrix = numpy.asarray(values, dtype=numpy.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"a dense tensor is expected as (size, size), received {matrix.shape}")
    return matrix


@final
@attrs.frozen(eq=False)
class Dense(MetricTensor):
    """A symmetric positive semi-definite `matrix` (size, size), solved by Cholesky.

    `Intrinsic`, `Floor` and `LeastNorm` need to know its units: give it a `partition`.

    >>> Dense([[2.0, 1.0], [1.0, 2.0]]).solve([3.0, 3.0])
    array([1., 1.])
    """

    generality = 6

    matrix: NDArray[numpy.float64] = attrs.field(converter=_square)

    @property
    def size(self) -> int:
        return len(self.matrix)

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, matrix=factor * self.matrix)

    def diagonal(self) -> NDArray:
        return numpy.diagonal(self.matrix).copy()

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        return tuple(block_of(self.matrix, group) for group in partition.groups)

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        return tuple(
            _entries(self.matrix, group) if isinstance(group, Units) else block_of(self.matrix, group)
            for group in partition.groups
        )

    def _multiply(self, tangent: NDArray) -> NDArray:
        return self.matrix @ tangent

    def _norm2(self, tangent: NDArray) -> float:
        return tangent @ (self.matrix @ tangent)

    def _as_matrix(self) -> NDArray:
        return self.matrix.copy()

    def _average(self, other: Self, weight: float) -> Self:
        return attrs.evolve(self, matrix=(1.0 - weight) * self.matrix + weight * other.matrix)

    def _plus(self, other: MetricTensor) -> Self:
        return attrs.evolve(self, matrix=self.matrix + other.as_matrix())

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> PartitionRoot:
        return PartitionRoot(one_unit(self.size), (self._root(rule),))

    def _root(self, rule: Rule) -> GroupRoot:
        site = Site(self.name)
        if rule.cut == "pseudo-inverse" or not (rule.relative or rule.drops):
            return solid_root(one_unit(self.size).groups[0], self.matrix[None], rule, site, NO_AIDS)
        partition = require_partition(self)
        base = standard_roots(self, partition, self.unit_entries(partition), rule)
        return solidified(JointRoot(base), self.matrix[None], rule, site)


def formed_of(tensor: MetricTensor) -> Dense:
    """The same tensor with its matrix formed, carrying all that it carries."""
    return Dense(
        tensor.as_matrix(),
        name=tensor.name,
        partition=tensor.partition,
        floor=tensor._floor,
        reference=tensor._reference,
    )


def require_partition(tensor: MetricTensor) -> Partition:
    """The units of a tensor; DeclarationError if it does not know them."""
    if tensor.partition is None:
        raise DeclarationError(
            f"{tensor.name}: Intrinsic, Floor and LeastNorm work by units, and this {type(tensor).__name__} tensor "
            "knows of none; give it a partition, or use Tikhonov(eps) or PseudoInverse(rcond)"
        )
    return tensor.partition


def _read(matrix: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Entries of a matrix; padded positions read the last one, and what uses them clears them."""
    last = len(matrix) - 1
    return matrix[numpy.minimum(rows, last), numpy.minimum(columns, last)]


def block_of(matrix: NDArray, group: Group) -> NDArray:
    """The diagonal blocks (units, width, width) of a group's units, 0 where padded."""
    blocks = _read(matrix, group.index[:, :, None], group.index[:, None, :])
    if group.mask is None:
        return blocks
    return numpy.where(group.mask[:, :, None] & group.mask[:, None, :], blocks, 0.0)


def _entries(matrix: NDArray, group: Units) -> Entries:
    bias = group.bias[:, None, :, None]
    cross = [_read(matrix, bias, part[:, :, None, :]) for part in group.parents]
    own = [_read(matrix, part[..., None], part[..., None, :]) for part in group.parents]
    first = _read(matrix, group.bias[:, :, None], group.bias[:, None, :])
    return Entries(first, cross, own).checked(group, 0)


__all__ = ["Dense", "block_of", "formed_of", "require_partition"]
