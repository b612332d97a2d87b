"""Metric tensors without anything off the diagonal."""

from typing import Self, final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.entries import TINY, Entries, entries_of_diagonal
from manifoldnet.linalg.inverse import Root, Rule
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Partition, Units


def _vector(values: ArrayLike) -> NDArray[numpy.float64]:
    vector = numpy.asarray(values, dtype=numpy.float64)
    if vector.ndim != 1:
        raise ShapeError(f"the entries of a diagonal tensor are expected as (size,), received {vector.shape}")
    return vector


@final
@attrs.frozen(eq=False)
class Diagonal(MetricTensor):
    """A diagonal tensor, of `entries` (size,): diagonal Gauss-Newton, AdaGrad, or Euclidean. Not intrinsic.

    To `Intrinsic` and `LeastNorm` every parameter is a unit of its own: the factor 1 + eps, and entries of 0
    are left alone.

    >>> Diagonal([1.0, 4.0]).solve([1.0, 2.0])
    array([1. , 0.5])
    """

    generality = 0

    entries: NDArray[numpy.float64] = attrs.field(converter=_vector)
    # the number that all entries are, where that is known: adding it needs no positions
    _uniform: float | None = attrs.field(default=None, kw_only=True)

    @classmethod
    def multiple(cls, size: int, factor: float, name: str) -> Self:
        """`factor` times the identity."""
        entries = numpy.empty(size)
        entries.fill(factor)
        return cls(entries, uniform=factor, name=name)

    @property
    def uniform(self) -> float | None:
        """The number that all entries are, if the tensor was made as a multiple of the identity."""
        return self._uniform

    @property
    def size(self) -> int:
        return len(self.entries)

    def scaled(self, factor: float) -> Self:
        uniform = None if self._uniform is None else factor * self._uniform
        return attrs.evolve(self, entries=factor * self.entries, uniform=uniform)

    def diagonal(self) -> NDArray:
        return self.entries.copy()

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        return tuple(part[..., None] * numpy.eye(part.shape[1]) for part in partition.gather(self.entries))

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        return tuple(
            entries_of_diagonal(group, part) if isinstance(group, Units) else part[..., None] * numpy.eye(part.shape[1])
            for group, part in zip(partition.groups, partition.gather(self.entries), strict=True)
        )

    def _multiply(self, tangent: NDArray) -> NDArray:
        return self.entries * tangent

    def _norm2(self, tangent: NDArray) -> float:
        return self.entries @ (tangent * tangent)

    def _as_matrix(self) -> NDArray:
        return numpy.diag(self.entries)

    def _average(self, other: Self, weight: float) -> Self:
        return attrs.evolve(self, entries=(1.0 - weight) * self.entries + weight * other.entries, uniform=None)

    def _plus(self, other: MetricTensor) -> MetricTensor:
        return attrs.evolve(self, entries=self.entries + other.diagonal(), uniform=None)

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> "DiagonalRoot":
        least = TINY
        if rule.cut == "pseudo-inverse":
            least = max(TINY, rule.rcond * float(numpy.max(self.entries, initial=0.0)))
        kept = self.entries > least
        if kept.all():
            return DiagonalRoot(1.0 / ((1.0 + rule.relative) * self.entries))
        site = Site(self.name)
        site.require_finite(self.entries[None])
        if not (rule.drops or rule.cut == "pseudo-inverse"):
            rank, first = int(kept.sum()), int(numpy.argmin(kept))
            raise site.singular(0, f"of rank {rank} of {self.size}: entry {first} is {self.entries[first]:g}")
        safe = (1.0 + rule.relative) * numpy.where(kept, self.entries, 1.0)
        return DiagonalRoot(numpy.where(kept, 1.0 / safe, 0.0))


@final
@attrs.frozen(eq=False)
class DiagonalRoot(Root):
    """The inverse entries (size,) of a diagonal tensor, 0 where dropped."""

    inverse: NDArray

    def solve(self, values: NDArray) -> NDArray:
        return _times(self.inverse, values)

    def pull(self, values: NDArray) -> NDArray:
        return _times(numpy.sqrt(self.inverse), values)

    def push(self, values: NDArray) -> NDArray:
        return _times(numpy.sqrt(self.inverse), values)


def _times(weights: NDArray, values: NDArray) -> NDArray:
    return weights * values if values.ndim == 1 else weights[:, None] * values


def euclidean(size: int) -> Diagonal:
    """The identity: plain backpropagation, whose meaning depends on every chart.

    >>> euclidean(2).norm2([3.0, 4.0])
    25.0
    """
    return Diagonal(numpy.ones(size), name="Euclidean metric")


__all__ = ["Diagonal", "DiagonalRoot", "euclidean"]
