"""Metric tensors given by a factor, A = U^T U, solved on the side of it that is smaller (theory of the dual)."""

from typing import Self, final

import attrs
import numpy
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.dense import Dense, formed_of, require_partition
from manifoldnet.linalg.entries import TINY, Entries, entries_of_rows, sum_of_kept
from manifoldnet.linalg.inverse import Inverse, Root, Rule
from manifoldnet.linalg.standard import standard_roots
from manifoldnet.linalg.tensor import Damping, MetricTensor, damped
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Partition, Units
from manifoldnet.linalg.vectors import require_memory


def _matrix(values: ArrayLike) -> NDArray[numpy.float64]:
    rows = numpy.asarray(values, dtype=numpy.float64)
    if rows.ndim != 2:
        raise ShapeError(f"the rows of a factor are expected as (m, size), received {rows.shape}")
    return rows


@final
@attrs.frozen(eq=False)
class Factor(MetricTensor):
    """A = U^T U for `rows` U (m, size): natural and outer product metrics, one row for each sample and output.

    With m < size the matrix A is never formed. With D = eps R the damping and K = U D^{-1} U^T,
    (A + D)^{-1} b = D^{-1} b - D^{-1} U^T (1 + K)^{-1} U D^{-1} b for every b.

    >>> from manifoldnet.linalg.damping import Tikhonov
    >>> Factor([[1.0, 1.0]]).solve([3.0, 3.0], Tikhonov(1.0))
    array([1., 1.])
    """

    generality = 3

    rows: NDArray[numpy.float64] = attrs.field(converter=_matrix)

    @property
    def size(self) -> int:
        return self.rows.shape[1]

    @property
    def is_dual(self) -> bool:
        """Whether solving happens on the side of the rows."""
        return len(self.rows) < self.size

    def solve_image(self, coefficients: NDArray, damping: Damping) -> NDArray:
        """The tangent for the covector U^T s, of `coefficients` s (m,): as `solve`, with less rounding in the dual."""
        tensor, rule = damped(self, damping)
        inverse = tensor._inverse(rule)
        return inverse.image(coefficients) if isinstance(inverse, Dual) else inverse.solve(self.rows.T @ coefficients)

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, rows=numpy.sqrt(factor) * self.rows)

    def diagonal(self) -> NDArray:
        return numpy.einsum("mi,mi->i", self.rows, self.rows)

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        return tuple(part @ part.swapaxes(1, 2) for part in partition.gather(self.rows.T))

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        return tuple(
            entries_of_rows(group, part) if isinstance(group, Units) else part @ part.swapaxes(1, 2)
            for group, part in zip(partition.groups, partition.gather(self.rows.T), strict=True)
        )

    def dense(self) -> Dense:
        """The same tensor with its matrix formed."""
        return formed_of(self)

    def _multiply(self, tangent: NDArray) -> NDArray:
        return self.rows.T @ (self.rows @ tangent)

    def _norm2(self, tangent: NDArray) -> float:
        image = self.rows @ tangent
        return image @ image

    def _as_matrix(self) -> NDArray:
        return self.rows.T @ self.rows

    def _average(self, other: Self, weight: float) -> Self:
        return self.scaled(1.0 - weight)._stacked(other.scaled(weight))

    def _stacked(self, other: Self) -> Self:
        """The sum; never more rows than parameters, so that averages do not grow."""
        rows = numpy.concatenate([self.rows, other.rows])
        if len(rows) > self.size:
            rows = numpy.asarray(numpy.linalg.qr(rows, mode="r"))
        return attrs.evolve(self, rows=rows)

    def _plus(self, other: MetricTensor) -> MetricTensor:
        if isinstance(other, Factor):
            return self._stacked(other)
        return FactorPlus(
            self, other, name=self.name, partition=self.partition, floor=self._floor, reference=self._reference
        )

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> Inverse:
        if not self.is_dual:
            return self.dense()._inverse(rule)
        if rule.cut == "pseudo-inverse":
            return _cut_dual(None, self.rows.T, rule)
        if not (rule.relative or rule.cut == "least-norm"):
            rank = f"of rank at most {len(self.rows)} of {self.size}, the number of rows of its factor"
            raise Site(self.name).singular(0, rank)
        partition = require_partition(self)
        root = standard_roots(self, partition, self.unit_entries(partition), rule)
        columns = root.pull(self.rows.T)
        return _cut_dual(root, columns, rule) if rule.cut == "least-norm" else dual(root, columns, rule.relative)


@final
@attrs.frozen(eq=False)
class FactorPlus(MetricTensor):
    """A factor plus a tensor that is easy to solve: A = U^T U + D."""

    generality = 4

    factor: Factor
    base: MetricTensor

    @property
    def size(self) -> int:
        return self.factor.size

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, factor=self.factor.scaled(factor), base=self.base.scaled(factor))

    def diagonal(self) -> NDArray:
        return self.factor.diagonal() + self.base.diagonal()

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        pairs = zip(self.factor.unit_blocks(partition), self.base.unit_blocks(partition), strict=True)
        return tuple(a + b for a, b in pairs)

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        pairs = zip(self.factor.unit_entries(partition), self.base.unit_entries(partition), strict=True)
        return tuple(sum_of_kept(a, b) for a, b in pairs)

    def dense(self) -> Dense:
        """The same tensor with its matrix formed."""
        return formed_of(self)

    def _multiply(self, tangent: NDArray) -> NDArray:
        return self.factor.multiply(tangent) + self.base.multiply(tangent)

    def _norm2(self, tangent: NDArray) -> float:
        return self.factor.norm2(tangent) + self.base.norm2(tangent)

    def _as_matrix(self) -> NDArray:
        return self.factor.as_matrix() + self.base.as_matrix()

    def _average(self, other: Self, weight: float) -> Self:
        factor = self.factor.average(other.factor, weight)
        return attrs.evolve(self, factor=factor, base=self.base.average(other.base, weight))

    def _plus(self, other: MetricTensor) -> Self:
        if isinstance(other, Factor):
            return attrs.evolve(self, factor=self.factor._stacked(other))
        if isinstance(other, FactorPlus):
            stacked = self.factor._stacked(other.factor)
            return attrs.evolve(self, factor=stacked, base=self.base.plus(other.base))
        return attrs.evolve(self, base=self.base.plus(other))

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _leaves_gaps(self) -> bool:
        """Whether D is zero somewhere that the factor is not: a floor knows nothing of units that are not affine."""
        return bool(((self.base.diagonal() <= TINY) & (self.factor.diagonal() > TINY)).any())

    def _inverse(self, rule: Rule) -> Inverse:
        if not self.factor.is_dual or rule.relative or rule.cut != "nothing" or self._leaves_gaps():
            # Relative to a sum, or cut, no side is smaller than the other; and a gap in D has no inverse.
            return self.dense()._inverse(rule)
        root = self.base._inverse(rule)
        assert isinstance(root, Root)
        return dual(root, root.pull(self.factor.rows.T), 1.0)


@final
@attrs.frozen(eq=False)
class Dual(Inverse):
    """T (eps + V V^T)^{-1} T^T for standardised `columns` V (size, m), by eps + V^T V, whose factor is `lower`."""

    root: Root
    columns: NDArray
    lower: NDArray
    eps: float

    def solve(self, values: NDArray) -> NDArray:
        pulled = self.root.pull(values)
        return self.root.push((pulled - self.columns @ self._inner(self.columns.T @ pulled)) / self.eps)

    def image(self, coefficients: NDArray) -> NDArray:
        """The solution for U^T s."""
        return self.root.push(self.columns @ self._inner(coefficients))

    def _inner(self, values: NDArray) -> NDArray:
        return scipy.linalg.cho_solve((self.lower, True), values, check_finite=False)


def dual(root: Root, columns: NDArray, eps: float) -> Dual:
    """The inverse of V V^T + eps in the coordinates of a root."""
    m = columns.shape[1]
    require_memory(8 * m**2, f"the Gram matrix of {m} rows")
    gram = columns.T @ columns
    Site("the Gram matrix of a factor").require_finite(gram[None])
    gram[numpy.diag_indices(m)] += eps
    return Dual(root, columns, scipy.linalg.cholesky(gram, lower=True, check_finite=False), eps)


@final
@attrs.frozen(eq=False)
class CutDual(Inverse):
    """What is kept of V V^T: orthonormal `directions` (size, r), each with the inverse of its eigenvalue."""

    root: Root | None
    directions: NDArray
    inverse: NDArray

    def solve(self, values: NDArray) -> NDArray:
        pulled = values if self.root is None else self.root.pull(values)
        weights = self.directions.T @ pulled
        solved = self.directions @ (weights * self.inverse.reshape(-1, *([1] * (values.ndim - 1))))
        return solved if self.root is None else self.root.push(solved)


def _cut_dual(root: Root | None, columns: NDArray, rule: Rule) -> CutDual:
    Site("the rows of a factor").require_finite(columns[None])
    directions, singular, _ = numpy.linalg.svd(columns, full_matrices=False)
    values = singular * singular
    kept = values > max(TINY, rule.rcond * float(numpy.max(values, initial=0.0)))
    return CutDual(root, directions[:, kept], 1.0 / (values[kept] + rule.relative))


__all__ = ["CutDual", "Dual", "Factor", "FactorPlus", "dual"]
