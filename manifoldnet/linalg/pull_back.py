"""Metric tensors in other coordinates: A' = J^T A J."""

from collections.abc import Sequence

import attrs
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.conversion import blocks_of
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.factor import Factor, FactorPlus
from manifoldnet.linalg.implicit import Implicit
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal, require_same_places
from manifoldnet.linalg.tensor import Lazy, MetricTensor
from manifoldnet.linalg.units import Group, Partition, Whole

Jacobians = Sequence[NDArray | None]


def pull_back(
    tensor: MetricTensor, jacobian_blocks: Jacobians, partition: Partition, target: Partition | None = None
) -> MetricTensor:
    """The tensor J^T A J on the coordinates u of which its own are functions, J = d own/d u.

    `jacobian_blocks` has for each group of `partition`, whose units the tensor's coordinates are, an array
    (U, p, p') or None where the coordinates stay. `target` says where the new coordinates stand, if not in
    the same places. Floor and reference are pulled back too. Affine units of a quasi-diagonal tensor whose
    coordinates change become whole: their reduced blocks, in full. Raises ShapeError.

    >>> import numpy
    >>> from manifoldnet.linalg.diagonal import euclidean
    >>> one = Partition(1, [Whole([[0]])])
    >>> pull_back(euclidean(1), [numpy.array([[[3.0]]])], one).as_matrix()
    array([[9.]])
    """
    target = _checked_target(tensor, jacobian_blocks, partition, target)
    return attrs.evolve(
        _pulled(tensor, jacobian_blocks, partition, target),
        floor=_later(tensor._floor, jacobian_blocks, partition, target),
        reference=_later(tensor._reference, jacobian_blocks, partition, target),
        name=tensor.name,
    )


def _later(lazy: Lazy | None, jacobians: Jacobians, partition: Partition, target: Partition) -> Lazy | None:
    if lazy is None:
        return None
    return Lazy(lambda: pull_back(lazy.get(), jacobians, partition, target))


def _pulled(tensor: MetricTensor, jacobians: Jacobians, partition: Partition, target: Partition) -> MetricTensor:
    if isinstance(tensor, Diagonal):
        return _pulled(blocks_of(tensor, partition), jacobians, partition, target)
    if isinstance(tensor, QuasiDiagonal | Blocks):
        require_same_places(tensor.partition, partition)
    if isinstance(tensor, QuasiDiagonal):
        return QuasiDiagonal(target, _pulled_entries(tensor, jacobians, target))
    if isinstance(tensor, Blocks):
        return Blocks(
            target, [_congruent(*pair) for pair in zip(tensor.unit_blocks(partition), jacobians, strict=True)]
        )
    if isinstance(tensor, Factor):
        return Factor(_transposed(jacobians, tensor.rows.T, partition, target).T, partition=target)
    if isinstance(tensor, FactorPlus):
        parts = (_pulled(part, jacobians, partition, target) for part in (tensor.factor, tensor.base))
        return FactorPlus(*parts, partition=target)  # type: ignore[arg-type]
    if isinstance(tensor, Implicit):
        return _pulled_products(tensor, jacobians, partition, target)
    half = _transposed(jacobians, tensor.as_matrix(), partition, target)
    return Dense(_transposed(jacobians, half.T, partition, target), partition=target)


def _pulled_entries(tensor: QuasiDiagonal, jacobians: Jacobians, target: Partition) -> list:
    blocks = tensor.unit_blocks(tensor.partition) if any(j is not None for j in jacobians) else tensor.entries
    return [
        entries if jacobian is None else _congruent(block, jacobian)  # type: ignore[arg-type]
        for entries, block, jacobian in zip(tensor.entries, blocks, jacobians, strict=True)
    ]


def _pulled_products(tensor: Implicit, jacobians: Jacobians, partition: Partition, target: Partition) -> Implicit:
    def product(tangent: NDArray) -> NDArray:
        lowered = tensor.multiply(_applied(jacobians, tangent, partition, target))
        return _transposed(jacobians, lowered, partition, target)

    easy = tensor.preconditioner
    pulled = None if easy is None else _pulled(easy, jacobians, partition, target)
    return attrs.evolve(tensor, size=target.size, product=product, preconditioner=pulled, partition=target)


def _congruent(block: NDArray, jacobian: NDArray | None) -> NDArray:
    return block if jacobian is None else jacobian.swapaxes(1, 2) @ block @ jacobian


def _applied(jacobians: Jacobians, values: NDArray, partition: Partition, target: Partition) -> NDArray:
    """J v for a tangent v (size',)."""
    parts = zip(jacobians, target.gather(values), strict=True)
    return partition.scatter([part if j is None else (j @ part[..., None])[..., 0] for j, part in parts])


def _transposed(jacobians: Jacobians, values: NDArray, partition: Partition, target: Partition) -> NDArray:
    """J^T b for covectors b (size,) or (size, m)."""
    parts = []
    for jacobian, part in zip(jacobians, partition.gather(values), strict=True):
        columns = part.reshape(*part.shape[:2], -1)
        pulled = columns if jacobian is None else jacobian.swapaxes(1, 2) @ columns
        parts.append(pulled.reshape(*pulled.shape[:2], *values.shape[1:]))
    return target.scatter(parts)


def _checked_target(
    tensor: MetricTensor, jacobians: Jacobians, partition: Partition, target: Partition | None
) -> Partition:
    if partition.size != tensor.size or len(jacobians) != len(partition.groups):
        raise ShapeError(
            f"expected a partition of {tensor.size} parameters and one Jacobian for each of its groups, received "
            f"one of {partition.size} in {len(partition.groups)} groups and {len(jacobians)} Jacobians"
        )
    given = partition if target is None else target
    if len(given.groups) != len(partition.groups):
        raise ShapeError(f"the target has {len(given.groups)} groups, expected {len(partition.groups)}")
    everything = zip(partition.groups, given.groups, jacobians, strict=True)
    groups = [_new_group(number, *each) for number, each in enumerate(everything)]
    unchanged = all(new is group for new, group in zip(groups, given.groups, strict=True))
    return given if unchanged else Partition(given.size, groups)


def _new_group(number: int, old: Group, new: Group, jacobian: NDArray | None) -> Group:
    if jacobian is None:
        if old.index.shape != new.index.shape or type(old) is not type(new):
            raise ShapeError(f"group {number}: expected a Jacobian, since the target's units differ")
        return new
    if jacobian.shape != (old.units, old.width, new.width) or new.units != old.units:
        raise ShapeError(
            f"group {number}: expected Jacobians {(old.units, old.width, new.width)}, received {jacobian.shape}"
        )
    return new if isinstance(new, Whole) else Whole(new.index, new.padding, name=new.name)


__all__ = ["pull_back"]
