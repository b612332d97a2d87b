"""Blocks that forget, with their inverses kept step by step: Sherman and Morrison's formula, and Woodbury's."""

from collections.abc import Sequence
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.standard import intrinsic_blocks
from manifoldnet.linalg.tensor import Damping, MetricTensor, damped
from manifoldnet.linalg.units import Partition

# A kept inverse whose residual exceeds this is to be recomputed: the error it tells of is still far from 1e-8.
TOLERABLE = 1e-10


@final
@attrs.frozen(eq=False)
class KeptInverse:
    """The blocks A of every group of units, (U, p, p), and the inverses of `damped` ones.

    `damped` is A with what the damping added when the inverse was last computed. That fades as past samples do, by
    1 - gamma a step, so it has to be added again from time to time. Directions that the damping leaves out are left out
    until then.
    """

    partition: Partition
    blocks: tuple[NDArray[numpy.float64], ...]
    damped: tuple[NDArray[numpy.float64], ...]
    inverses: tuple[NDArray[numpy.float64], ...]

    def updated(self, rows: Sequence[NDArray], gamma: float) -> Self:
        """(1 - gamma) A + gamma U U^T for `rows` U of each group, (U, p, r): r p^2 operations a unit."""
        contributions = [part @ part.swapaxes(1, 2) for part in rows]
        return attrs.evolve(
            self,
            blocks=_faded(self.blocks, contributions, gamma),
            damped=_faded(self.damped, contributions, gamma),
            inverses=tuple(
                inverse_updated(part, added, gamma) for part, added in zip(self.inverses, rows, strict=True)
            ),
        )

    def solve(self, covector: NDArray) -> NDArray:
        """The kept inverse times a flat covector: a tangent."""
        parts = self.partition.gather(covector)
        return self.partition.scatter(
            [(inverse @ part[..., None])[..., 0] for inverse, part in zip(self.inverses, parts, strict=True)]
        )

    def residual(self, covector: NDArray) -> float:
        """How far B A B b is from B b, relative to it, at the unit where it is farthest: two more products of each."""
        worst = 0.0
        parts = self.partition.gather(covector)
        for matrix, inverse, part in zip(self.damped, self.inverses, parts, strict=True):
            once = inverse @ part[..., None]
            again = inverse @ (matrix @ once)
            size = numpy.abs(once).max(axis=(1, 2), initial=0.0)
            off = numpy.abs(again - once).max(axis=(1, 2), initial=0.0)
            worst = max(worst, float((off[size > 0.0] / size[size > 0.0]).max(initial=0.0)))
        return worst


def inverse_updated(inverse: NDArray, rows: NDArray, gamma: float) -> NDArray:
    """The inverses of (1 - gamma) A + gamma U U^T from those of A, (U, p, p), for U (U, p, r)."""
    moved = inverse @ rows
    inner = rows.swapaxes(1, 2) @ moved
    places = numpy.arange(inner.shape[1])
    inner[:, places, places] += (1.0 - gamma) / gamma
    if inner.shape[1] == 1:
        change = (moved / inner) @ moved.swapaxes(1, 2)
    else:
        change = moved @ numpy.linalg.solve(inner, moved.swapaxes(1, 2))
        # products of several terms need not come out symmetric, and what is not would grow
        change = 0.5 * (change + change.swapaxes(1, 2))
    return (inverse - change) / (1.0 - gamma)


def kept_inverse(tensor: MetricTensor, partition: Partition, damping: Damping | None) -> KeptInverse:
    """The blocks of a tensor of unit structure `partition`, damped and inverted; raises SingularMetricError as `solve`."""
    total, rule = damped(tensor, damping)
    blocks = total.unit_blocks(partition)
    if rule.relative:
        # what is relative is measured by units, also where the blocks are those of several units together
        units = tensor.partition or partition
        added = intrinsic_blocks(total, units, total.unit_entries(units), rule)
        blocks = tuple(a + rule.relative * b for a, b in zip(blocks, _regrouped(added, units, partition), strict=True))
    return KeptInverse(partition, tensor.unit_blocks(partition), blocks, _inverses(tensor, partition, damping))


def _regrouped(parts: Sequence[Entries | NDArray], units: Partition, partition: Partition) -> list[NDArray]:
    """Blocks by unit as blocks of the groups of another partition, which is the same or takes all units together."""
    blocks = [part.block() if isinstance(part, Entries) else part for part in parts]
    if units.has_same_places(partition):
        return blocks
    whole = numpy.zeros((units.size + 1, units.size + 1))
    for group, part in zip(units.groups, blocks, strict=True):
        whole[group.index[:, :, None], group.index[:, None, :]] = part
    return [whole[:-1, :-1][None]]


def _inverses(tensor: MetricTensor, partition: Partition, damping: Damping | None) -> tuple[NDArray, ...]:
    """The damped inverse's blocks, all units at once: the j-th column of each in the j-th column of one array."""
    columns = numpy.zeros((partition.size + 1, max((group.width for group in partition.groups), default=0)))
    for group in partition.groups:
        columns[group.index, numpy.arange(group.width)] = 1.0
    solved = tensor.factorise(damping).solve(columns[: partition.size])
    found = []
    for group, part in zip(partition.groups, partition.gather(solved), strict=True):
        square = part[:, :, : group.width]
        found.append(0.5 * (square + square.swapaxes(1, 2)))
    return tuple(found)


def _faded(blocks: Sequence[NDArray], added: Sequence[NDArray], gamma: float) -> tuple[NDArray, ...]:
    return tuple((1.0 - gamma) * a + gamma * b for a, b in zip(blocks, added, strict=True))


__all__ = ["TOLERABLE", "KeptInverse", "inverse_updated", "kept_inverse"]
