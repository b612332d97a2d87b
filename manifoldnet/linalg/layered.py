"""A factor A = U^T U whose rows are kept group by group, so that a wide one is never an array."""

from collections.abc import Sequence
from typing import Self, final

import attrs
import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.covector_rows import products
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.entries import Entries, entries_of_rows, sum_of_kept
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.implicit import Implicit
from manifoldnet.linalg.inverse import Inverse, Rule
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal, require_same_places
from manifoldnet.linalg.row_parts import RowPart
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Group, Kept, Partition, Units
from manifoldnet.linalg.vectors import require_memory

# Relative residual to which conjugate gradients go, in the inverse of the quasi-diagonal reduction.
TOLERANCE = 1e-8


def _checked(parts: Sequence[RowPart], tensor: attrs.AttrsInstance) -> tuple[RowPart, ...]:
    assert isinstance(tensor, LayeredFactor)
    expected = [(group.units, group.width) for group in tensor.partition.groups]
    received = [part.shape for part in parts]
    if expected != received or len({(part.count, part.samples) for part in parts}) > 1:
        raise ShapeError(f"the rows of groups are expected as {expected}, equally many in each, received {received}")
    return tuple(parts)


@final
@attrs.frozen(eq=False)
class LayeredFactor(MetricTensor):
    """A = U^T U + `base`, with the rows U of each group of units in `parts`.

    With a multiple of the identity as base it is solved in the dual, exactly: K = U U^T is a sum over groups, of the
    size of the rows. With `Intrinsic`, or any other base, whose weights differ from unit to unit, by conjugate
    gradients on products, preconditioned by the quasi-diagonal reduction, to a relative residual of 1e-8.
    Whatever cuts directions takes the rows as an array, and rows as many as parameters the matrix, if that fits.
    """

    generality = 4

    partition: Partition
    parts: tuple[RowPart, ...] = attrs.field(converter=attrs.Converter(_checked, takes_self=True))  # type: ignore[misc]
    base: MetricTensor | None = None

    @property
    def size(self) -> int:
        return self.partition.size

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return self.parts[0].count * self.parts[0].samples

    def factor(self) -> Factor:
        """U as one array. Raises MemoryLimitError if it cannot fit."""
        require_memory(8 * self.row_count * self.size, f"{self.row_count} rows over {self.size} parameters")
        rows = [part.explicit().reshape(-1, *part.shape).transpose(1, 2, 0) for part in self.parts]
        return Factor(
            self.partition.scatter(rows).T,
            partition=self.partition,
            floor=self._floor,
            reference=self._reference,
            name=self.name,
        )

    def scaled(self, factor: float) -> Self:
        root = float(numpy.sqrt(factor))
        base = None if self.base is None else self.base.scaled(factor)
        return attrs.evolve(self, parts=tuple(part.scaled(root) for part in self.parts), base=base)

    def diagonal(self) -> NDArray:
        own = self.partition.scatter([part.first_products()[1] for part in self.parts])
        return own if self.base is None else own + self.base.diagonal()

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        require_same_places(self.partition, partition)
        own = tuple(part.blocks() for part in self.parts)
        if self.base is None:
            return own
        return tuple(a + b for a, b in zip(own, self.base.unit_blocks(partition), strict=True))

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        require_same_places(self.partition, partition)
        own = tuple(_entries(*pair) for pair in zip(partition.groups, self.parts, strict=True))
        if self.base is None:
            return own
        return tuple(sum_of_kept(a, b) for a, b in zip(own, self.base.unit_entries(partition), strict=True))

    def quasi_diagonal(self) -> QuasiDiagonal:
        """The quasi-diagonal reduction, which preconditions."""
        entries = Kept(self.unit_entries(self.partition))
        return QuasiDiagonal(self.partition, entries, reference=self._reference, floor=self._floor, name=self.name)

    def _push(self, tangent: NDArray) -> NDArray:
        total = numpy.zeros((self.parts[0].count, self.parts[0].samples))
        for part, own in zip(self.parts, self.partition.gather(tangent), strict=True):
            total += part.push(own)
        return total

    def _multiply(self, tangent: NDArray) -> NDArray:
        image = self._push(tangent)
        lowered = self.partition.scatter([part.pull(image) for part in self.parts])
        return lowered if self.base is None else lowered + self.base.multiply(tangent)

    def _norm2(self, tangent: NDArray) -> float:
        image = self._push(tangent).reshape(-1)
        return float(image @ image) + (0.0 if self.base is None else self.base.norm2(tangent))

    def _as_matrix(self) -> NDArray:
        matrix = numpy.empty((self.size + 1, self.size + 1))
        groups = self.partition.groups
        for i, (group, part) in enumerate(zip(groups, self.parts, strict=True)):
            for other_group, other in zip(groups[: i + 1], self.parts[: i + 1], strict=True):
                _place(matrix, group, other_group, products(part, other))
        found = matrix[:-1, :-1]
        return found if self.base is None else found + self.base.as_matrix()

    def _average(self, other: Self, weight: float) -> MetricTensor:  # type: ignore[override]
        return self.factor().average(other.factor(), weight)

    def _plus(self, other: MetricTensor) -> MetricTensor:
        if isinstance(other, Factor | LayeredFactor) or other.generality > self.generality:
            rows = other.factor() if isinstance(other, LayeredFactor) else other
            total = self.factor().plus(rows)
            return total if self.base is None else total.plus(self.base)
        return attrs.evolve(self, base=other if self.base is None else self.base.plus(other))

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> Inverse:
        base = self.base
        if rule.cut != "nothing" or (base is None and not rule.relative):
            rows: MetricTensor = self.factor()
            return (rows if base is None else rows.plus(base))._inverse(rule)
        if isinstance(base, Dense) or self.row_count >= self.size:
            return Dense(
                self.as_matrix(), partition=self.partition, reference=self._reference, name=self.name
            )._inverse(rule)
        if isinstance(base, Diagonal) and base.uniform and not rule.relative:
            return self._dual(base.uniform)
        return self._by_products()._inverse(rule)

    def _by_products(self) -> Implicit:
        return Implicit(
            self.size,
            self._multiply,
            self.quasi_diagonal(),
            tolerance=TOLERANCE,
            reference=self._reference,
            name=self.name,
            partition=self.partition,
        )

    def _dual(self, eps: float) -> "LayeredDual":
        m = self.row_count
        require_memory(2 * 8 * m**2, f"the Gram matrix of {m} rows")
        gram = self.parts[0].gram()
        for part in self.parts[1:]:
            gram += part.gram()
        Site(f"the Gram matrix of {self.name}").require_finite(gram[None])
        gram.reshape(-1)[:: m + 1] += eps
        # the transpose of a symmetric matrix is itself, in the order that LAPACK takes without a copy
        lower = scipy.linalg.cholesky(gram.T, lower=True, overwrite_a=True, check_finite=False)
        return LayeredDual(self, lower, eps)


@final
@attrs.frozen(eq=False)
class LayeredDual(Inverse):
    """(U^T U + eps)^{-1} b = (b - U^T (eps + U U^T)^{-1} U b) / eps, with the Cholesky factor `lower` of eps + U U^T."""

    tensor: LayeredFactor
    lower: NDArray
    eps: float

    def solve(self, values: NDArray) -> NDArray:
        if values.ndim == 2:
            return numpy.stack([self.solve(column) for column in values.T], axis=1)
        image = self.tensor._push(values)
        inner = scipy.linalg.cho_solve((self.lower, True), image.reshape(-1), check_finite=False).reshape(image.shape)
        back = self.tensor.partition.scatter([part.pull(inner) for part in self.tensor.parts])
        return (values - back) / self.eps


def _entries(group: Group, part: RowPart) -> Entries | NDArray:
    if not isinstance(group, Units):
        return part.blocks()
    if not group.is_scalar:
        rows = part.explicit().reshape(-1, *part.shape).transpose(1, 2, 0)
        return entries_of_rows(group, rows)
    first, own = part.first_products()
    _, cross = group.split(first)
    _, squares = group.split(own)
    return Entries(own[:, :1, None], [each[:, :, None] for each in cross], [each[..., None] for each in squares])


def _place(matrix: NDArray, group: Group, other: Group, values: NDArray) -> None:
    if group.start is None or other.start is None:
        rows, columns = group.index.reshape(-1), other.index.reshape(-1)
        matrix[numpy.ix_(rows, columns)] = values
        matrix[numpy.ix_(columns, rows)] = values.T
        return
    rows_, columns_ = (
        slice(each.start, each.start + each.index.size) for each in (group, other) if each.start is not None
    )
    matrix[rows_, columns_] = values
    if group is not other:
        matrix[columns_, rows_] = values.T


__all__ = ["LayeredDual", "LayeredFactor"]
