"""From one structure to a poorer one: full blocks, quasi-diagonal entries, diagonals."""

from collections.abc import Callable

from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.tensor import Lazy, MetricTensor
from manifoldnet.linalg.units import Partition


def quasi_diagonal_of(tensor: MetricTensor, partition: Partition) -> QuasiDiagonal:
    """The quasi-diagonal reduction by units (definition 23); its floor is the reduction of the floor.

    The tensor must be in the affine coordinates of its units. Raises ShapeError if it holds other units.

    >>> import numpy
    >>> from manifoldnet.linalg.dense import Dense
    >>> from manifoldnet.linalg.units import Units
    >>> unit = Partition(3, [Units([[0]], [[[[1], [2]]]])])
    >>> quasi_diagonal_of(Dense([[2.0, 2.0, 4.0], [2.0, 3.0, 9.0], [4.0, 9.0, 9.0]]), unit).as_matrix()
    array([[2., 2., 4.],
           [2., 3., 4.],
           [4., 4., 9.]])
    """
    return QuasiDiagonal(
        partition,
        tensor.unit_entries(partition),
        floor=_later(tensor._floor, lambda floor: quasi_diagonal_of(floor, partition)),
        reference=tensor._reference,
        name=tensor.name,
    )


def blocks_of(tensor: MetricTensor, partition: Partition) -> Blocks:
    """The diagonal blocks of the units. Raises ShapeError if the tensor holds other units."""
    return Blocks(
        partition,
        tensor.unit_blocks(partition),
        floor=_later(tensor._floor, lambda floor: blocks_of(floor, partition)),
        reference=tensor._reference,
        name=tensor.name,
    )


def diagonal_of(tensor: MetricTensor) -> Diagonal:
    """The diagonal alone: diagonal Gauss-Newton, of the backpropagated metric. Not intrinsic."""
    return Diagonal(
        tensor.diagonal(), partition=tensor.partition, floor=_later(tensor._floor, diagonal_of), name=tensor.name
    )


def in_structure_of(tensor: MetricTensor, other: MetricTensor) -> MetricTensor:
    """Another tensor reduced as far as the first one is."""
    if isinstance(tensor, Diagonal):
        return diagonal_of(other)
    if isinstance(tensor, QuasiDiagonal) and other.generality > tensor.generality:
        return quasi_diagonal_of(other, tensor.partition)
    return other


def matrix_of(tensor: MetricTensor) -> MetricTensor:
    """A tensor on all parameters at once, kept as rows or with a border, as one matrix; any other as it is."""
    if isinstance(tensor, LayeredFactor):
        tensor = tensor.factor()
    return tensor.dense() if isinstance(tensor, Factor | Bordered) else tensor


def _later(carried: Lazy | None, change: Callable[[MetricTensor], MetricTensor]) -> Lazy | None:
    if carried is None:
        return None
    return Lazy(lambda: change(carried.get()))


__all__ = ["blocks_of", "diagonal_of", "in_structure_of", "matrix_of", "quasi_diagonal_of"]
