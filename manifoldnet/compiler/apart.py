"""Output units that are independent of each other: which rows of the natural metric are theirs alone."""

from collections import Counter

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.lowering import Lowered
from manifoldnet.declare.layer import Declaration
from manifoldnet.linalg.border import Border


def border_of(declaration: Declaration, lowered: Lowered) -> Border | None:
    """The division by the rows of definition 19: units that nothing reads, each interpreted by itself, stand apart.

    None if there are fewer than two of them, or no others.
    """
    stages, partition = lowered.stages, lowered.partition
    # there may be no stages: interpretations can read inputs
    rows = numpy.concatenate([numpy.zeros(0, dtype=int), *_own_rows(declaration, lowered)])
    starts = numpy.cumsum([0, *(stage.units for stage in stages)])
    owners = [each for contraction in lowered.contractions for each in contraction.owners(stages)]
    found = [rows[starts[stage] + number] for stage, number in owners]
    # output parameters are in many rows
    found += [numpy.full(group.units, -1) for group in partition.groups[len(found) :]]
    apart, units = sum(int((part >= 0).sum()) for part in found), sum(len(part) for part in found)
    return Border(partition, tuple(found)) if 1 < apart < units else None


def _own_rows(declaration: Declaration, lowered: Lowered) -> list[NDArray[numpy.int_]]:
    """For the units of each stage the number of the row that is theirs alone, -1 if there is none."""
    by_unit, found = _by_unit(declaration), []
    for stage in lowered.stages:
        rows = numpy.full(stage.units, -1)
        for slot in stage.slots:
            if stage.inner_dim == 1 and slot.layer not in lowered.read:
                rows[slot.start : slot.stop] = [by_unit.get((slot.layer, int(unit)), -1) for unit in slot.units]
        found.append(rows)
    return found


def _by_unit(declaration: Declaration) -> dict[tuple[str, int], int]:
    """The rows of units, by layer and number, that one interpretation with one row for each number reads, and no other."""
    sizes = {layer.name: layer.manifold.size for layer in declaration.layers}
    readers = Counter((s.layer, unit) for output in declaration.outputs for s in output.sources for unit in s.units)
    found, start = {}, 0
    for output in declaration.outputs:
        units = [(s.layer, unit) for s in output.sources for unit in s.units]
        n = sum(sizes[layer] for layer, _ in units)
        if n == len(units) and output.interpretation.has_diagonal(n):
            found.update({unit: start + i for i, unit in enumerate(units) if readers[unit] == 1})
        start += output.interpretation.rank(n)
    return found


__all__ = ["border_of"]
