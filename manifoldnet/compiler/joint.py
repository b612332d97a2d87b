"""Scalar affine stages side by side: one buffer of weight matrices, filled and read at once for all of them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.contraction import Contraction, Lines, Values
from manifoldnet.compiler.products import summed
from manifoldnet.compiler.stage import Stage
from manifoldnet.compiler.tiles import Tile
from manifoldnet.linalg.covector_rows import GatheredRows
from manifoldnet.linalg.links import LinkEntries, Links
from manifoldnet.linalg.row_parts import RowPart
from manifoldnet.linalg.units import Units


@final
@attrs.frozen(eq=False)
class Band:
    """Units of about the same fan-in, whatever their stage: they are gathered, multiplied and solved together.

    `reads` (units, width) are columns of the joint readings, bias first; `cells` (units, width) places in the joint
    buffer; `columns` (units,) places among the units of all joint stages.
    """

    group: Units
    reads: NDArray[numpy.int_]
    cells: NDArray[numpy.int_]
    columns: NDArray[numpy.int_]


@final
@attrs.frozen(eq=False, slots=False)
class Joint(Contraction):
    """Stages whose units read parents of their own: q = e = 1, in the affine coordinates of their parameters.

    The buffer holds for each stage its matrix, as its tile says, then the `biases` of all stages, and a last zero for
    padding. `places` say where each parameter stands in the flat vector, `stored_cells` where in the buffer.
    """

    stages: tuple[int, ...]
    tiles: tuple[Tile, ...]
    biases: tuple[slice, ...]
    places: NDArray[numpy.int_] | slice
    stored_cells: NDArray[numpy.int_]
    tangent_places: NDArray[numpy.int_] | slice
    bands: tuple[Band, ...]

    @cached_property
    def size(self) -> int:
        """The numbers of the buffer, padding included."""
        return self.biases[-1].stop + 1

    @property
    def indices(self) -> tuple[int, ...]:
        return self.stages

    @cached_property
    def groups(self) -> tuple[Units, ...]:
        return tuple(band.group for band in self.bands)

    def owners(self, stages: Sequence[Stage]) -> list[tuple[NDArray[numpy.int_], NDArray[numpy.int_]]]:
        counts = [tile.units for tile in self.tiles]
        stage = numpy.repeat(self.stages, counts)
        number = numpy.concatenate([numpy.arange(count) for count in counts])
        return [(stage[band.columns], number[band.columns]) for band in self.bands]

    @cached_property
    def _reading_size(self) -> int:
        return sum(tile.columns for tile in self.tiles)

    def weights(self, theta: NDArray) -> dict[int, tuple[Any, NDArray]]:
        """The matrix (columns, units), an array or a sparse one, and the biases (units,) of each stage."""
        return self._gathered(theta[self.places])

    def tangent_weights(self, tangent: NDArray) -> dict[int, tuple[Any, NDArray]]:
        """The same for a flat tangent of the parameters."""
        return self._gathered(tangent[self.tangent_places])

    def _gathered(self, values: NDArray) -> dict[int, tuple[Any, NDArray]]:
        buffer = numpy.zeros(self.size)
        buffer[self.stored_cells] = values
        return {stage: (tile.matrix(buffer), buffer[biases]) for stage, tile, biases in self._places}

    @cached_property
    def _places(self) -> tuple[tuple[int, Tile, slice], ...]:
        """Each stage, its tile and where its biases stand."""
        return tuple(zip(self.stages, self.tiles, self.biases, strict=True))

    def gradient(self, lines: Lines, inner: Values, out: NDArray) -> None:
        weights = [inner[index][0, :, :, 0] for index in self.stages]
        buffer = numpy.empty(self.size)
        self._write_products(lines.designs(self.stages), weights, buffer)
        self._write_sums(weights, buffer)
        out[self.tangent_places] = buffer.take(self.stored_cells)

    def _write_products(self, left: Sequence[NDArray], right: Sequence[NDArray], buffer: NDArray) -> None:
        """Write sum_x left_i right_k for every column i and unit k where their weights stand."""
        for tile, read, weight in zip(self.tiles, left, right, strict=True):
            tile.write_products(read, weight, buffer)

    def _write_sums(self, weights: Sequence[NDArray], buffer: NDArray) -> None:
        """Write the sums over samples of (samples, units) of each stage where their biases stand."""
        summed(_side_by_side(weights), buffer[self.biases[0].start : -1])

    def entries(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        # two products for each stage, one buffer after the other, then gathered
        designs, weights = lines.designs(self.stages), self._weights(moduli)
        buffers = numpy.empty(2 * self.size)
        first, second = buffers[: self.size], buffers[self.size :]
        self._write_products(designs, weights, first)
        self._write_sums(weights, first)
        self._write_products([numpy.square(design) for design in designs], weights, second)
        diagonal, cross = buffers.take(self._diagonal_cells), first.take(self._link_cells)
        diagonal *= share
        cross *= share
        return [LinkEntries(self.links, diagonal, cross)]

    @cached_property
    def links(self) -> Links:
        """The links of all its groups side by side."""
        return Links(self.groups)

    @cached_property
    def _diagonal_cells(self) -> NDArray[numpy.int_]:
        """The places of biases in a buffer, and of links in one that follows it, in the order of `links`, (units + links,)."""
        found = self.links.in_order([band.cells for band in self.bands])
        found[self.links.units :] += self.size
        return found

    @cached_property
    def _link_cells(self) -> NDArray[numpy.int_]:
        """The places of links in a buffer, (links,)."""
        return self._diagonal_cells[self.links.units :] - self.size

    def blocks(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        # padded gathers and batched products
        reads = self._reads(lines)
        weights = numpy.array(_side_by_side(self._weights(moduli)).T, order="C")
        weights *= share
        found = []
        for band in self.bands:
            # much faster than by an index in brackets
            gathered = reads.take(band.reads, axis=0)
            found.append((gathered * weights.take(band.columns, axis=0)[:, None]) @ gathered.swapaxes(1, 2))
        return found

    def bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        # readings and their squares, weights, and what the widest band gathers
        columns, units = (sum(getattr(tile, name) for tile in self.tiles) for name in ("columns", "units"))
        return 8 * (2 * columns + 2 * units + 2 * max(group.units * group.width for group in self.groups))

    def entry_bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        # readings squared, and weights side by side
        return 8 * sum(tile.columns + tile.units for tile in self.tiles)

    def block_bytes(self, stages: Sequence[Stage], samples: int) -> int:
        return 8 * sum(group.units * group.width**2 for group in self.groups)

    def describe(self, stages: Sequence[Stage], samples: int) -> str:
        widths = ", ".join(f"{group.units} of up to {group.width}" for group in self.groups)
        return f"gathered: units that read parents of their own, in bands by parameters a unit: {widths}"

    def diagonals(self, lines: Lines, moduli: Values, share: float) -> list[NDArray]:
        return [part.diagonal() for entries in self.entries(lines, moduli, share) for part in entries.by_group()]

    def row_bytes(self, stages: Sequence[Stage], count: int, samples: int) -> int:
        return 8 * samples * sum(group.units * (count + group.width) for group in self.groups)

    def row_parts(self, lines: Lines, inner: Values) -> list[RowPart]:
        reads = self._reads(lines)
        covectors = _side_by_side([inner[index][..., 0] for index in self.stages])
        return [GatheredRows(covectors[..., band.columns], reads[band.reads].transpose(2, 0, 1)) for band in self.bands]

    def _reads(self, lines: Lines) -> NDArray:
        """Every column of every stage, then ones, then zeros, (columns + 2, samples)."""
        designs = lines.designs(self.stages)
        width = self._reading_size
        reads = numpy.empty((width + 2, len(designs[0])))
        numpy.concatenate([design.T for design in designs], axis=0, out=reads[:width])
        reads[width], reads[width + 1] = 1.0, 0.0
        return reads

    def _weights(self, moduli: Values) -> list[NDArray]:
        """(samples, units) of each joint stage, from moduli (samples, units, 1, 1)."""
        return [moduli[index][..., 0, 0] for index in self.stages]


def _side_by_side(parts: Sequence[NDArray]) -> NDArray:
    return parts[0] if len(parts) == 1 else numpy.concatenate(parts, axis=-1)
