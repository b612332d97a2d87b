"""Which affine stages are taken side by side, and in which bands of fan-in their units are solved."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.joint import Band, Joint
from manifoldnet.compiler.stage import Stage
from manifoldnet.compiler.tiles import Tile, tile
from manifoldnet.linalg.units import Units

# One more band costs about as much as so many multiplications: that much padding is accepted to save it.
_BAND = 5.0e5
# Samples that the choice of bands reckons with; only the balance of products and factorisations depends on it.
_SAMPLES = 32


@final
@attrs.frozen(eq=False)
class _Table:
    """For every unit of every joint stage a row, bias first, short rows padded: where each entry stands."""

    stored: NDArray[numpy.int_]
    tangents: NDArray[numpy.int_]
    cells: NDArray[numpy.int_]
    reads: NDArray[numpy.int_]
    real: NDArray[numpy.bool_]


def joint_of(stages: Sequence[Stage], asked: Sequence[bool], size: int) -> Joint | None:
    """The stages that are taken together, None if there are none; `size` is that of a tangent vector.

    They are those whose units read parents of their own, and those for which it is `asked`.
    """
    chosen = {
        index: stage
        for index, stage in enumerate(stages)
        if isinstance(stage, AffineStage) and stage.is_scalar and (asked[index] or not stage.dense)
    }
    if not chosen:
        return None
    table, tiles = _table(list(chosen.values()))
    padded = attrs.evolve(table, tangents=numpy.where(table.real, table.tangents, size))
    labels = [label for stage in chosen.values() for label in stage.group.labels or ()]
    return Joint(
        stages=tuple(chosen),
        tiles=tiles,
        biases=_bias_slices(list(chosen.values()), tiles),
        places=_run(table.stored[table.real]),
        stored_cells=table.cells[table.real],
        tangent_places=_run(table.tangents[table.real]),
        bands=tuple(_band(units, padded, labels, size) for units in _bands(table.real.sum(axis=1))),
    )


def _table(stages: Sequence[AffineStage]) -> tuple[_Table, tuple[Tile, ...]]:
    first_reads = numpy.cumsum([0] + [stage.columns for stage in stages])
    width = max(stage.group.width for stage in stages)
    tiles = _tiles(stages)
    biases = _bias_slices(stages, tiles)
    parts = []
    for stage, own, bias, first in zip(stages, tiles, biases, first_reads, strict=False):
        columns, units = stage.blocks[0].columns[..., 0], numpy.arange(stage.units)[:, None]
        cells = numpy.concatenate([bias.start + units, own.cells(columns, units)], axis=1)
        reads = numpy.concatenate([numpy.full_like(units, first_reads[-1]), first + columns], axis=1)
        parts.append([stage.stored.index, stage.group.index, cells, reads, _real(stage)])
    found = [numpy.concatenate([_widened(part, width) for part in each]) for each in zip(*parts, strict=True)]
    stored, tangents, cells, reads, real = found
    cells, reads = numpy.where(real, cells, biases[-1].stop), numpy.where(real, reads, first_reads[-1] + 1)
    return _Table(stored, tangents, cells, reads, real), tiles


def _tiles(stages: Sequence[AffineStage]) -> tuple[Tile, ...]:
    found, start = [], 0
    for stage in stages:
        columns, units = stage.blocks[0].columns[..., 0], numpy.arange(stage.units)[:, None]
        found.append(tile(start, stage.columns, stage.units, (columns * stage.units + units)[_real(stage)[:, 1:]]))
        start = found[-1].links.stop
    return tuple(found)


def _bias_slices(stages: Sequence[AffineStage], tiles: Sequence[Tile]) -> tuple[slice, ...]:
    """Where the biases of each stage stand in the buffer: after all links, side by side."""
    ends = tiles[-1].links.stop + numpy.cumsum([stage.units for stage in stages])
    return tuple(slice(int(end) - stage.units, int(end)) for stage, end in zip(stages, ends, strict=True))


def _real(stage: AffineStage) -> NDArray[numpy.bool_]:
    """(units, 1 + parents): which entries are parameters, bias first."""
    columns = stage.blocks[0].columns[..., 0]
    return numpy.pad(columns < stage.columns, ((0, 0), (1, 0)), constant_values=True)


def _run(places: NDArray[numpy.int_]) -> NDArray[numpy.int_] | slice:
    """The places as a slice where they are one run in order, which is read and written without a copy."""
    first = int(places[0])
    stop = first + len(places)
    return slice(first, stop) if numpy.array_equal(places, numpy.arange(first, stop)) else places


def _widened(part: NDArray, width: int) -> NDArray:
    return numpy.pad(part, ((0, 0), (0, width - part.shape[1])))


def _band(units: NDArray[numpy.int_], table: _Table, labels: Sequence[str], size: int) -> Band:
    width = int(table.real[units].sum(axis=1).max())
    index = table.tangents[units, :width]
    group = Units(index[:, :1], [index[:, 1:, None]], size, labels=tuple(labels[unit] for unit in units))
    cells = table.cells[units, :width]
    return Band(group, table.reads[units, :width], cells, units)


def _bands(widths: NDArray[numpy.int_]) -> list[NDArray[numpy.int_]]:
    """Units cut into bands by width, so that padding and the number of bands together cost least."""
    values, counts = numpy.unique(widths, return_counts=True)
    totals = numpy.concatenate([[0], numpy.cumsum(counts)])
    best, cuts = [0.0], []
    for stop in range(1, len(values) + 1):
        width = float(values[stop - 1])
        each = width**2 * (_SAMPLES + width / 3)
        costs = [best[start] + _BAND + each * (totals[stop] - totals[start]) for start in range(stop)]
        cuts.append(int(numpy.argmin(costs)))
        best.append(min(costs))
    found, stop = [], len(values)
    while stop:
        start = cuts[stop - 1]
        found.append(numpy.flatnonzero((widths >= values[start]) & (widths <= values[stop - 1])))
        stop = start
    return found[::-1]
