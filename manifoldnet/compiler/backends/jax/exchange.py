"""Averaged metrics between arrays by unit, as compiled steps carry them, and the groups of a partition, to the bit."""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax.regrouping import regrouped
from manifoldnet.compiler.backends.jax.structure import Packing
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.shared_reads import Block, formed
from manifoldnet.linalg.units import Partition, Units

ByUnit = tuple[Any, ...]


def entries_from(packing: Packing, partition: Partition, parts: ByUnit) -> list[Entries]:
    """The entries of each group, of (A_00, A_0i, A_ii) by unit."""
    own = packing.flat_vector([numpy.column_stack([bias, own]) for bias, _, own in parts])
    cross = packing.flat_vector([numpy.column_stack([numpy.zeros(len(bias)), cross]) for bias, cross, _ in parts])
    found = []
    for group, diagonal, row in zip(partition.groups, partition.gather(own), partition.gather(cross), strict=True):
        assert isinstance(group, Units)
        bias, squares = group.split(diagonal)
        products = [part[..., None] for part in group.split(row)[1]]
        found.append(Entries(bias[..., None], products, [part[..., None] for part in squares]))
    return found


def blocks_from(packing: Packing, lowered: Lowered, parts: ByUnit) -> list[NDArray]:
    """The blocks of each group, of padded ones by unit."""
    return regrouped(lowered, packing, [packing.blocks(place, part) for place, part in enumerate(parts)])


def entries_by_unit(packing: Packing, partition: Partition, entries: Sequence[Any]) -> ByUnit:
    """The inverse of `entries_from`."""
    rows = [numpy.column_stack([numpy.zeros(len(part.bias)), part.scalars[1]]) for part in entries]
    squares = [part.diagonal() for part in entries]
    cross, own = (packing.vectors(partition.scatter(values)) for values in (rows, squares))
    return tuple((b[:, 0], a[:, 1:], b[:, 1:]) for a, b in zip(cross, own, strict=True))


def blocks_by_unit(packing: Packing, partition: Partition, blocks: Sequence[Block]) -> ByUnit:
    """The inverse of `blocks_from`."""
    found = [numpy.zeros((*index.shape, index.shape[1])) for index in packing.tangents]
    place = numpy.zeros(packing.size + 1, dtype=int)
    for group, part in zip(partition.groups, blocks, strict=True):
        place[:], owner = group.width, numpy.full(packing.size + 1, -1)
        place[group.index], owner[group.index] = numpy.arange(group.width), numpy.arange(group.units)[:, None]
        place[packing.size], owner[packing.size] = group.width, -1
        padded = numpy.pad(formed(part), ((0, 0), (0, 1), (0, 1)))
        for index, values in zip(packing.tangents, found, strict=True):
            here = numpy.flatnonzero(owner[index[:, 0]] >= 0)
            places = place[index[here]]
            values[here] = padded[owner[index[here, 0]][:, None, None], places[:, :, None], places[:, None, :]]
    return tuple(found)


__all__ = ["blocks_by_unit", "blocks_from", "entries_by_unit", "entries_from"]
