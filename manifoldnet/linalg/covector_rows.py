"""Rows of a factor kept as covectors and what units read, of which they are the products."""

from collections.abc import Sequence
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.row_parts import ExplicitRows, RowPart
from manifoldnet.linalg.shared_reads import weighted_products

# So many numbers of products of readings are held at a time.
_PRODUCTS = 2**21
# The same for readings weighed for one group of units: what stays in a cache.
_WEIGHED = 2**18
# With no more rows a sample than this, products of rows as they are cost no more than those of their parts.
_FEW_ROWS = 2


@attrs.frozen(eq=False)
class CovectorRows(RowPart):
    """Rows that are products of `covectors` (count, samples, units) and `reads` (samples, ...), never multiplied out."""

    covectors: NDArray
    reads: NDArray

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.covectors.shape[0]

    @property
    def samples(self) -> int:  # type: ignore[override]
        return self.covectors.shape[1]

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, covectors=factor * self.covectors)

    def joined(self, others: Sequence["CovectorRows"]) -> Self:
        """These rows and those of the same group on other samples."""
        parts: list[CovectorRows] = [self, *others]
        covectors = numpy.concatenate([part.covectors for part in parts], axis=1)
        return attrs.evolve(self, covectors=covectors, reads=numpy.concatenate([part.reads for part in parts]))


@final
@attrs.frozen(eq=False)
class ProductRows(CovectorRows):
    """Rows u_oxk a~_xi of units that read the same: `covectors` u (count, samples, units), `reads` a~ (samples, width).

    They are never multiplied out: U U^T is a product of Gram matrices, entry by entry, and U^T U one of readings
    weighted by u_oxk u_oxk' summed over o.
    """

    @property
    def shape(self) -> tuple[int, int]:
        return self.covectors.shape[2], self.reads.shape[1]

    def push(self, tangent: NDArray) -> NDArray:
        return numpy.einsum("ksu,su->ks", self.covectors, self.reads @ tangent.T)

    def pull(self, coefficients: NDArray) -> NDArray:
        return numpy.einsum("ksu,ks->su", self.covectors, coefficients).T @ self.reads

    def gram(self) -> NDArray:
        flat = self.covectors.reshape(-1, self.shape[0])
        gram = flat @ flat.T
        by_row = gram.reshape(self.count, self.samples, self.count, self.samples)
        by_row *= (self.reads @ self.reads.T)[None, :, None, :]
        return gram

    def explicit(self) -> NDArray:
        return self.numbered(slice(None)).reshape(self.count * self.samples, -1)

    def only(self, units: NDArray[numpy.int_]) -> Self:
        return attrs.evolve(self, covectors=self.covectors[..., units])

    def numbered(self, numbers: slice | NDArray[numpy.int_]) -> NDArray:
        return self.covectors[numbers][..., None] * self.reads[:, None, :]

    def alone(self, units: NDArray[numpy.int_], numbers: NDArray[numpy.int_]) -> NDArray:
        return self.covectors[numbers, :, units][..., None] * self.reads

    @property
    def weights(self) -> NDArray:
        """sum_o u_oxk^2, (units, samples)."""
        return numpy.einsum("ksu,ksu->us", self.covectors, self.covectors)

    def first_products(self) -> tuple[NDArray, NDArray]:
        weights = self.weights
        return weights @ self.reads, weights @ (self.reads * self.reads)

    def blocks(self) -> NDArray:
        return weighted_products(self.weights, self.reads)

    def products(self, other: "ProductRows") -> NDArray:
        """U^T V with another group's rows, (units * width, other units * width)."""
        (units, width), (others, other_width) = self.shape, other.shape
        total = numpy.zeros((units * others, width * other_width))
        step = max(1, _PRODUCTS // (width * other_width))
        for start in range(0, self.samples, step):
            part = slice(start, start + step)
            left = self.covectors[:, part].transpose(1, 2, 0)
            pairs = left @ other.covectors[:, part].transpose(1, 0, 2)
            reads = self.reads[part, :, None] * other.reads[part, None, :]
            total += pairs.reshape(len(pairs), -1).T @ reads.reshape(len(reads), -1)
        by_unit = total.reshape(units, others, width, other_width).transpose(0, 2, 1, 3)
        return by_unit.reshape(units * width, others * other_width)

    def own_products(self) -> NDArray:
        """U^T U, (units * width, units * width): pairs of units once, since each gives a symmetric matrix."""
        units, width = self.shape
        first, second = numpy.triu_indices(units)
        total = numpy.zeros((len(first), width * width))
        step = max(1, _PRODUCTS // (width * width))
        for start in range(0, self.samples, step):
            part = slice(start, start + step)
            by_sample = self.covectors[:, part].transpose(1, 2, 0)
            pairs = (by_sample @ by_sample.swapaxes(1, 2))[:, first, second]
            reads = self.reads[part, :, None] * self.reads[part, None, :]
            total += pairs.T @ reads.reshape(len(reads), -1)
        matrix = numpy.empty((units, width, units, width))
        matrix[first, :, second] = matrix[second, :, first] = total.reshape(-1, width, width)
        return matrix.reshape(units * width, units * width)


@final
@attrs.frozen(eq=False)
class GatheredRows(CovectorRows):
    """Rows u_oxk a~_xki of units that read parents of their own: `covectors` (count, samples, units), `reads`
    (samples, units, width).

    Products of two groups are sums over samples of u_o u'_o summed over o first, times readings: as many
    multiplications less as there are rows a sample.
    """

    @property
    def shape(self) -> tuple[int, int]:
        return self.reads.shape[1], self.reads.shape[2]

    def push(self, tangent: NDArray) -> NDArray:
        return numpy.einsum("ksu,su->ks", self.covectors, numpy.einsum("suw,uw->su", self.reads, tangent))

    def pull(self, coefficients: NDArray) -> NDArray:
        return numpy.einsum("su,suw->uw", numpy.einsum("ksu,ks->su", self.covectors, coefficients), self.reads)

    def gram(self) -> NDArray:
        rows = self.explicit()
        return rows @ rows.T

    def explicit(self) -> NDArray:
        return self.numbered(slice(None)).reshape(self.count * self.samples, -1)

    def only(self, units: NDArray[numpy.int_]) -> Self:
        return attrs.evolve(self, covectors=self.covectors[..., units], reads=self.reads[:, units])

    def numbered(self, numbers: slice | NDArray[numpy.int_]) -> NDArray:
        return self.covectors[numbers][..., None] * self.reads

    def alone(self, units: NDArray[numpy.int_], numbers: NDArray[numpy.int_]) -> NDArray:
        return self.covectors[numbers, :, units][..., None] * self.reads[:, units].swapaxes(0, 1)

    @property
    def _weighed(self) -> NDArray:
        """The readings times sum_o u_oxk^2, (samples, units, width)."""
        return numpy.einsum("ksu,ksu->su", self.covectors, self.covectors)[..., None] * self.reads

    def first_products(self) -> tuple[NDArray, NDArray]:
        weighed = self._weighed
        first = numpy.einsum("su,suw->uw", self.reads[..., 0], weighed)
        return first, numpy.einsum("suw,suw->uw", self.reads, weighed)

    def blocks(self) -> NDArray:
        return self._weighed.transpose(1, 2, 0) @ self.reads.transpose(1, 0, 2)

    def products(self, other: "GatheredRows") -> NDArray:
        """U^T V with another group's rows, (units * width, other units * width)."""
        (units, width), (others, other_width) = self.shape, other.shape
        # (units, samples, others)
        pairs = (self.covectors.transpose(1, 2, 0) @ other.covectors.transpose(1, 0, 2)).swapaxes(0, 1)
        matrix = numpy.empty((units, width, others * other_width))
        reads = self.reads.transpose(1, 2, 0)
        step = max(1, _WEIGHED // (self.samples * others * other_width))
        for start in range(0, units, step):
            part = slice(start, start + step)
            weighed = pairs[part, ..., None] * other.reads
            numpy.matmul(reads[part], weighed.reshape(*weighed.shape[:2], -1), out=matrix[part])
        return matrix.reshape(units * width, -1)


def _gathered(part: RowPart) -> GatheredRows | None:
    """The rows as covectors and readings of each unit, where they are products."""
    if isinstance(part, ProductRows):
        by_unit = numpy.broadcast_to(part.reads[:, None], (part.samples, *part.shape))
        return GatheredRows(part.covectors, by_unit)
    return part if isinstance(part, GatheredRows) else None


def joined_rows(parts: Sequence[RowPart]) -> RowPart:
    """The rows of one group on several chunks of samples."""
    first, *others = parts
    alike = [part for part in others if isinstance(part, CovectorRows) and type(part) is type(first)]
    if isinstance(first, CovectorRows) and len(alike) == len(others):
        return first.joined(alike)
    return ExplicitRows(
        numpy.concatenate([part.explicit().reshape(part.count, part.samples, *part.shape) for part in parts], axis=1)
    )


def products(first: RowPart, second: RowPart) -> NDArray:
    """U^T V of two groups, (units * width, other units * width)."""
    if first.count > 1 and isinstance(first, ProductRows) and isinstance(second, ProductRows):
        return first.own_products() if first is second else first.products(second)
    if first.count > _FEW_ROWS:
        one, other = _gathered(first), _gathered(second)
        if one is not None and other is not None:
            return one.products(other)
    return first.explicit().T @ second.explicit()


__all__ = ["CovectorRows", "GatheredRows", "ProductRows", "joined_rows", "products"]
