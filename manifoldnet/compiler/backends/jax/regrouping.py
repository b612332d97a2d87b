"""From parts by stage, as compiled functions give them, to the groups of a partition, which may cut across stages."""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.contraction import OfStage
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.quasi_diagonal import checked_blocks
from manifoldnet.linalg.units import Group, Units

# Which units of a group, which of a stage, and where in the stage's unit each entry of the group's stands.
Piece = tuple[NDArray[numpy.int_], NDArray[numpy.int_], NDArray[numpy.int_]]


def regrouped(lowered: Lowered, groups: Sequence[Group], parts: Sequence[Any]) -> list[Any]:
    """Entries, blocks (units, width, width) or diagonals (units, width) of each group of the partition.

    `parts` are those of `groups`: of the stages with parameters, in order, then of output parameters, where there are.
    """
    with_parameters = [index for index, stage in enumerate(lowered.stages) if stage.group is not None]
    found: list[Any] = []
    for contraction in lowered.contractions:
        own = [with_parameters.index(index) for index in contraction.indices]
        for group in contraction.groups:
            if isinstance(contraction, OfStage):
                found.append(_checked(group, parts[own[0]], len(found)))
            else:
                found.append(_gathered(group, [groups[p] for p in own], [parts[p] for p in own], lowered.tangents.size))
    return found + list(parts[len(with_parameters) :])


def _checked(group: Group, part: Any, number: int) -> Any:
    """The same, zero where the group is padded."""
    if isinstance(part, Entries):
        # units in charts of their parameters come with entries in affine coordinates
        return part.checked(group, number) if isinstance(group, Units) else part
    if part.ndim == 2:
        return part if group.mask is None else numpy.where(group.mask, part, 0.0)
    return checked_blocks(group, part, number)


def _gathered(group: Group, sources: Sequence[Group], parts: Sequence[Any], size: int) -> Any:
    """A group of scalar affine units from those of several stages that have them."""
    pieces = [_piece(group, source, size) for source in sources]
    if isinstance(parts[0], Entries):
        rows = [numpy.concatenate([part.bias[:, :, 0], _flat(part.cross)], axis=1) for part in parts]
        cross = _vectors(group, pieces, rows)
        own = _vectors(group, pieces, [part.diagonal() for part in parts])
        return Entries(cross[:, :1, None], [cross[:, 1:, None, None]], [own[:, 1:, None, None]])
    if parts[0].ndim == 2:
        return _vectors(group, pieces, parts)
    found = numpy.zeros((group.units, group.width, group.width))
    for (here, there, places), part in zip(pieces, parts, strict=True):
        padded = numpy.pad(part, ((0, 0), (0, 1), (0, 1)))
        found[here] = padded[there[:, None, None], places[:, :, None], places[:, None, :]]
    return found


def _flat(parts: Sequence[NDArray]) -> NDArray:
    return numpy.concatenate([part[:, :, 0, 0] for part in parts], axis=1)


def _vectors(group: Group, pieces: Sequence[Piece], parts: Sequence[NDArray]) -> NDArray:
    found = numpy.zeros((group.units, group.width))
    for (here, there, places), part in zip(pieces, parts, strict=True):
        found[here] = numpy.pad(part, ((0, 0), (0, 1)))[there[:, None], places]
    return found


def _piece(group: Group, source: Group, size: int) -> Piece:
    owner, place = numpy.full(size + 1, -1), numpy.full(size + 1, source.width)
    owner[source.index] = numpy.arange(source.units)[:, None]
    place[source.index] = numpy.arange(source.width)
    place[size] = source.width
    owners = owner[group.index[:, 0]]
    here = numpy.flatnonzero(owners >= 0)
    return here, owners[here], place[group.index[here]]


__all__ = ["regrouped"]
