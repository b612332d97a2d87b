"""Eigenvalues, rank and condition of every unit's block of a metric tensor."""

import math
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Layout
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Group, Partition, Units, Whole

# Eigenvalues of a standardised block below this part of the largest are rounding.
RELATIVE = 1e-10


@final
@attrs.frozen(eq=False)
class UnitSpectrum:
    """One unit's block, (size, size).

    `eigenvalues` are those of the block as it stands, in the coordinates of its charts, largest first. `standard` are
    those of the block once every parent is centred by the bias and scaled by its own entry, which no change of units or
    of origin of a parent alters: `rank` counts those above 1e-10 of the largest, `condition` is their ratio, largest to
    least; infinite where the rank is less than the size.
    """

    name: str
    unit: int
    eigenvalues: NDArray
    standard: NDArray

    @property
    def size(self) -> int:
        return len(self.eigenvalues)

    @property
    def rank(self) -> int:
        return int((self.standard > RELATIVE * max(self.standard.max(initial=0.0), 1e-300)).sum())

    @property
    def condition(self) -> float:
        if self.rank < self.size:
            return math.inf
        return float(self.standard[0] / self.standard[-1])


def unit_spectra(tensor: MetricTensor, layout: Layout | None = None) -> list[UnitSpectrum]:
    """The spectrum of every unit's block; a tensor that knows of no units is one block.

    `layout`, a program's `tangent_layout`, says of which layer each unit is; without it units are named after their
    groups. Raises DeclarationError for a tensor of which only products are known.

    >>> from manifoldnet.linalg.dense import Dense
    >>> found = unit_spectra(Dense([[1.0, 0.0], [0.0, 4.0]]))
    >>> found[0].eigenvalues.tolist(), found[0].rank, found[0].condition
    ([4.0, 1.0], 2, 1.0)
    """
    partition = tensor.partition
    if partition is None:
        partition = Partition(tensor.size, [Whole([list(range(tensor.size))], name=tensor.name)])
    places = {} if layout is None else _places(layout)
    found = []
    for group, blocks in zip(partition.groups, tensor.unit_blocks(partition), strict=True):
        for unit in range(group.units):
            real = numpy.ones(group.width, dtype=bool) if group.mask is None else group.mask[unit]
            position = int(group.index[unit, 0])
            name, number = places.get(position, (group.name or tensor.name, unit))
            block = blocks[unit][numpy.ix_(real, real)]
            found.append(UnitSpectrum(name, number, _eigenvalues(block), _eigenvalues(_standardised(group, block))))
    order = {name: place for place, name in enumerate(dict.fromkeys(one.name for one in found))}
    if layout is not None:
        order = {place.name: number for number, place in enumerate(layout)}
    return sorted(found, key=lambda one: (order.get(one.name, len(order)), one.unit))


def _places(layout: Layout) -> dict[int, tuple[str, int]]:
    """The first position of every unit, and whose it is."""
    firsts: dict[int, tuple[str, int]] = {}
    for place in layout:
        starts = place.positions(layout.size)[:, 0].tolist()
        firsts |= {start: (place.name, unit) for unit, start in enumerate(starts)}
    return firsts


def _standardised(group: Group, block: NDArray) -> NDArray:
    """Centred by the bias where the unit has one of one dimension, then with ones on the diagonal."""
    if isinstance(group, Units) and group.q == 1 and block[0, 0] > 0.0:
        block = block - numpy.outer(block[:, 0], block[0]) / block[0, 0] * _off_bias(len(block))
        block = block.copy()
        block[0, 1:] = block[1:, 0] = 0.0
    diagonal = numpy.diag(block)
    # what is left of a parent that does not vary is rounding
    scale = numpy.where(diagonal > 1e-14 * diagonal.max(initial=0.0), diagonal, numpy.inf)
    return block / numpy.sqrt(numpy.outer(scale, scale))


def _off_bias(size: int) -> NDArray:
    found = numpy.ones((size, size))
    found[0, 0] = 0.0
    return found


def _eigenvalues(block: NDArray) -> NDArray:
    return numpy.linalg.eigvalsh(0.5 * (block + block.T))[::-1].clip(min=0.0)
