"""Contractions of an affine stage with its parameters: covectors and moduli times what its units read."""

from functools import cached_property
from typing import TYPE_CHECKING, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.columns import ParentBlocks
from manifoldnet.compiler.products import summed
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.shared_reads import weighted_products

if TYPE_CHECKING:
    from manifoldnet.compiler.affine import AffineStage


@final
@attrs.frozen(eq=False, slots=False)
class Products:
    """Sums over samples for an affine stage that reads `design` (samples, columns), ordered as its group's index."""

    stage: "AffineStage"
    design: NDArray

    @cached_property
    def _ordered(self) -> NDArray:
        """The design of a dense scalar stage, its columns in the order of the weights."""
        order = self.stage.order
        return self.design if order is None else self.design[:, order]

    @cached_property
    def shared_reads(self) -> NDArray:
        """What every unit of a dense scalar stage reads, a one first, (samples, 1 + columns)."""
        return numpy.concatenate([numpy.ones((len(self.design), 1)), self._ordered], axis=1)

    def gradient(self, inner: NDArray) -> NDArray:
        """sum_x (da/dtheta)^T b for covectors (samples, units, q)."""
        flat = inner.reshape(len(inner), -1)
        if self.stage.shares_reads:
            found = numpy.empty((flat.shape[1], 1 + self.stage.columns))
            self.write_gradient(inner, found)
            return found
        cells = numpy.append((self.design.T @ flat).reshape(-1), numpy.zeros(flat.shape[1]))
        parts = [inner.sum(axis=0)] + [self._per_unit(cells[block.cells]) for block in self.stage.blocks]
        return numpy.concatenate(parts, axis=1)

    def write_gradient(self, inner: NDArray, out: NDArray) -> None:
        """The same where all units read the same scalars, written to (units, 1 + columns)."""
        flat = inner.reshape(len(inner), -1)
        out[:, 0] = summed(flat)
        numpy.matmul(flat.T, self._ordered, out=out[:, 1:])

    def _per_unit(self, values: NDArray) -> NDArray:
        return values.reshape(self.stage.units, -1)

    def _gathered(self) -> NDArray:
        """What each unit reads, bias first, (samples, units or 1, 1 + fan-in)."""
        padded = numpy.concatenate([self.design, numpy.zeros((len(self.design), 1))], axis=1)
        units = 1 if self.stage.dense else self.stage.units
        parts = [padded[:, block.columns[:units]].reshape(len(padded), units, -1) for block in self.stage.blocks]
        return numpy.concatenate([numpy.ones((len(padded), units, 1)), *parts], axis=2)

    def rows(self, inner: NDArray) -> NDArray:
        """(da/dtheta)^T b of each sample, (k, samples, units, p), for covectors (k, samples, units, q)."""
        outer = self._gathered()[None, ..., :, None] * inner[..., None, :]
        return outer.reshape(*inner.shape[:3], -1)

    def block(self, modulus: NDArray) -> NDArray:
        """sum_x (da/dtheta)^T m (da/dtheta), (units, p, p)."""
        if self.stage.shares_reads:
            return weighted_products(numpy.ascontiguousarray(modulus[:, :, 0, 0].T), self.shared_reads)
        units, q = self.stage.units, self.stage.inner_dim
        read = self._gathered().swapaxes(0, 1)
        weighted = read[:, :, None, :] * modulus.reshape(len(modulus), units, q * q).transpose(1, 0, 2)[..., None]
        # (units, q q, reads, samples) @ (units, 1, samples, reads)
        products = weighted.transpose(0, 2, 3, 1) @ read[:, None]
        width = read.shape[2] * q
        by_pair = products.reshape(units, q, q, read.shape[2], read.shape[2])
        return by_pair.transpose(0, 3, 1, 4, 2).reshape(units, width, width)

    def quasi(self, modulus: NDArray) -> Entries:
        """What the quasi-diagonal reduction keeps of the blocks."""
        cross, own = zip(*(self._parent_entries(block, modulus) for block in self.stage.blocks), strict=True)
        bias = summed(modulus.reshape(len(modulus), -1)).reshape(modulus.shape[1:])
        return Entries(bias, cross, own)

    def _parent_entries(self, block: ParentBlocks, modulus: NDArray) -> tuple[NDArray, NDArray]:
        e, q = block.columns.shape[2], self.stage.inner_dim
        if e == q == 1 and self.stage.dense:
            weights = modulus[:, :, 0, 0].T
            design = self._ordered
            return (weights @ design)[..., None, None], (weights @ (design * design))[..., None, None]
        if e == q == 1:
            return self._scalar_entries(block, modulus)
        return self._matrix_entries(block, modulus)

    def _scalar_entries(self, block: ParentBlocks, modulus: NDArray) -> tuple[NDArray, NDArray]:
        weights = modulus[:, :, 0, 0]
        padding = numpy.zeros(weights.shape[1])
        first = numpy.append(self.design.T @ weights, padding)
        second = numpy.append((self.design * self.design).T @ weights, padding)
        return first[block.cells][..., None], second[block.cells][..., None]

    def _matrix_entries(self, block: ParentBlocks, modulus: NDArray) -> tuple[NDArray, NDArray]:
        units, parents, e = block.columns.shape
        q, samples = self.stage.inner_dim, len(modulus)
        padded = numpy.concatenate([self.design, numpy.zeros((samples, 1))], axis=1)
        read = padded[:, block.columns].transpose(1, 0, 2, 3)
        pairs = (read[..., :, None] * read[..., None, :]).reshape(units, samples, -1)
        weights = modulus.transpose(1, 2, 3, 0).reshape(units, q * q, samples)
        cross = (weights @ read.reshape(units, samples, -1)).reshape(units, q, q, parents, e)
        own = (weights @ pairs).reshape(units, q, q, parents, e, e)
        return (
            cross.transpose(0, 3, 1, 4, 2).reshape(units, parents, q, e * q),
            own.transpose(0, 3, 4, 1, 5, 2).reshape(units, parents, e * q, e * q),
        )

    def diagonal(self, modulus: NDArray) -> NDArray:
        """The diagonals of the blocks, (units, p)."""
        entries = self.quasi(modulus)
        own = [self._per_unit(numpy.diagonal(part, axis1=-2, axis2=-1)) for part in entries.own]
        return numpy.concatenate([numpy.diagonal(entries.bias, axis1=-2, axis2=-1), *own], axis=1)
