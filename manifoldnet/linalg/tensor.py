"""What every metric tensor answers, and what a damping says to it."""

import abc
import math
from collections.abc import Callable
from typing import ClassVar, Self, final

import attrs
import numpy
import scipy.sparse.linalg
from numpy.typing import NDArray

from manifoldnet.errors import DeclarationError, NumericalError, ShapeError
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.inverse import EXACT, Inverse, Rule
from manifoldnet.linalg.units import Partition
from manifoldnet.linalg.vectors import flat, require_memory
from manifoldnet.shown import html_of


class Damping(abc.ABC):
    """How the solution is kept finite where the tensor has no inverse; summed by `+`."""

    @property
    @abc.abstractmethod
    def text(self) -> str:
        """How the damping is written on the command line; `damping_from_text` reads it."""

    @property
    @abc.abstractmethod
    def parts(self) -> "tuple[Damping, ...]":
        """The dampings of a sum; itself if it is not one."""

    @property
    @abc.abstractmethod
    def rule(self) -> Rule:
        """How the tensor is solved once something has been added to it."""

    @property
    @abc.abstractmethod
    def wants_floor(self) -> bool:
        """Whether tensors should carry their `floor` for this damping."""

    @abc.abstractmethod
    def added_to(self, total: "MetricTensor", tensor: "MetricTensor") -> "MetricTensor":
        """The sum of `total`, which other dampings may have added to, and what this one adds to `tensor`."""

    @abc.abstractmethod
    def __add__(self, other: "Damping") -> "Damping": ...

    def __str__(self) -> str:
        return self.text


@final
@attrs.define(eq=False)
class Lazy:
    """A tensor that is evaluated when it is first asked for, and once."""

    _make: "Callable[[], MetricTensor] | None"
    _value: "MetricTensor | None" = None

    def get(self) -> "MetricTensor":
        if self._value is None:
            assert self._make is not None
            self._value = self._make()
            self._make = None
        return self._value


def _lazy(value: "MetricTensor | Callable[[], MetricTensor] | Lazy | None") -> Lazy | None:
    if value is None or isinstance(value, Lazy):
        return value
    return Lazy(value) if callable(value) else Lazy(None, value)


@attrs.frozen(eq=False)
class MetricTensor(abc.ABC):
    """A metric at one point of parameter space: a symmetric positive semi-definite form on tangents.

    Tangents and covectors are flat float64 arrays of length `size`, or objects with such an array as `.flat`.
    A tensor may carry `partition` (its units), `floor` (E[c] E[a~ a~^T] of the same units, for `Floor`) and
    `reference` (a metric that the parameter manifolds declare, for units that are not affine); the last two
    may be given as functions, which are called once, when needed. `name` is used in messages.
    """

    generality: ClassVar[int]

    _floor: Lazy | None = attrs.field(default=None, converter=_lazy, kw_only=True)
    _reference: Lazy | None = attrs.field(default=None, converter=_lazy, kw_only=True)
    name: str = attrs.field(default="metric tensor", kw_only=True)
    partition: Partition | None = attrs.field(default=None, kw_only=True)

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The number of parameters."""

    @property
    def floor(self) -> "MetricTensor | None":
        """The tensor that `Floor(1)` would add, if this one knows it."""
        return None if self._floor is None else self._floor.get()

    @property
    def reference(self) -> "MetricTensor | None":
        """The metric that parameter manifolds declare, if this tensor knows it."""
        return None if self._reference is None else self._reference.get()

    def without_floor(self) -> Self:
        """The same tensor with nothing to evaluate for `Floor`: cheaper to average."""
        return attrs.evolve(self, floor=None)

    def multiply(self, tangent: object) -> NDArray:
        """Lower the index: the covector A v of a tangent v."""
        return self._multiply(flat(tangent, self.size, "tangent"))

    def norm2(self, tangent: object) -> float:
        """The squared length of a tangent."""
        return float(self._norm2(flat(tangent, self.size, "tangent")))

    def inner(self, u: object, v: object) -> float:
        """The inner product of two tangents."""
        return float(flat(u, self.size, "tangent") @ self._multiply(flat(v, self.size, "tangent")))

    def solve(self, covector: object, damping: Damping | None = None) -> NDArray:
        """Raise the index: the tangent A^{-1} b of a covector b, damped as asked.

        Undamped, raises SingularMetricError if the tensor is singular to working precision: if, with
        coordinates scaled by their own entries (and parents centred by the bias), a square of relative size
        1e-12 or less is left of a direction. Raises NumericalError if the result is not finite.
        """
        vector = flat(covector, self.size, "covector")
        if damping is not None and not isinstance(damping, Damping):
            raise TypeError(f"damping= takes one such as Tikhonov(1e-4), received {damping!r}")
        tensor, rule = damped(self, damping)
        solution = tensor._solve(vector, rule)
        # a sum that is finite has finite terms, and costs half of looking at each
        if not math.isfinite(numpy.add.reduce(solution)) and not numpy.isfinite(solution).all():
            raise NumericalError(_not_finite(self.name, vector, solution, damping))
        return solution

    def factorise(self, damping: Damping | None = None) -> Inverse:
        """The inverse, damped as asked, to be applied more than once."""
        tensor, rule = damped(self, damping)
        return tensor._inverse(rule)

    def as_matrix(self) -> NDArray:
        """The tensor as a dense array (size, size). Raises MemoryLimitError if it cannot fit."""
        require_memory(8 * self.size**2, f"the dense matrix of {self.size} parameters")
        return self._as_matrix()

    def _repr_html_(self) -> str | None:
        """Its structure, and the ranks and conditions of its blocks."""
        return html_of(self)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray:
        """The dense matrix, so that `numpy.asarray(tensor)` is it."""
        return numpy.array(self.as_matrix(), dtype=dtype)  # type: ignore[call-overload]

    def as_linear_operator(self) -> scipy.sparse.linalg.LinearOperator:
        """The tensor for SciPy's iterative solvers."""
        return scipy.sparse.linalg.LinearOperator(
            (self.size, self.size), matvec=self._of_column, rmatvec=self._of_column, dtype=numpy.float64
        )

    def _of_column(self, column: NDArray) -> NDArray:
        return self.multiply(column.reshape(-1))

    def average(self, other: "MetricTensor", weight: float) -> Self:
        """(1 - weight) self + weight other, in the same structure, entry by entry. Floors, if both carry them,
        are evaluated and averaged too (see `without_floor`)."""
        if not 0.0 <= weight <= 1.0:
            raise DeclarationError(f"the weight of an average must lie in 0..1, received {weight!r}")
        if not isinstance(other, type(self)) or other.size != self.size or not self._alike(other):
            raise ShapeError(
                f"average takes tensors of one structure: expected {type(self).__name__} of {self.size} "
                f"parameters in the same units, received {type(other).__name__} of {other.size}"
            )
        floors = (self.floor, other.floor)
        mixed = None if floors[0] is None or floors[1] is None else floors[0].average(floors[1], weight)
        return attrs.evolve(self._average(other, weight), floor=mixed)

    def _alike(self, other: "MetricTensor") -> bool:
        if self.partition is None or other.partition is None:
            return True
        return self.partition.has_same_places(other.partition)

    def plus(self, other: "MetricTensor") -> "MetricTensor":
        """The sum of two tensors, in the simplest structure that holds it.

        Quasi-diagonal tensors add their entries, to each other's and to a diagonal's, before the reduction
        (as remark 12 does): the reduction of the sum. All other sums are sums of the matrices.
        """
        if other.size != self.size:
            raise ShapeError(f"cannot add a tensor of {other.size} parameters to one of {self.size}")
        first, second = (self, other) if self.generality >= other.generality else (other, self)
        floors = (self._floor, other._floor)
        both = None if floors[0] is None or floors[1] is None else _sum_of(floors[0], floors[1])
        return attrs.evolve(
            first._plus(second), floor=both, reference=self._reference or other._reference, name=self.name
        )

    @abc.abstractmethod
    def scaled(self, factor: float) -> "MetricTensor":
        """The tensor times a positive number, in the same structure."""

    @abc.abstractmethod
    def diagonal(self) -> NDArray:
        """The diagonal of the matrix, (size,)."""

    @abc.abstractmethod
    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        """The diagonal blocks of the units, (U, p, p) for each group of the partition, 0 where padded."""

    @abc.abstractmethod
    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        """What the quasi-diagonal reduction keeps: `Entries` for affine units, (U, p, p) for whole ones."""

    @abc.abstractmethod
    def _multiply(self, tangent: NDArray) -> NDArray: ...

    @abc.abstractmethod
    def _norm2(self, tangent: NDArray) -> float: ...

    @abc.abstractmethod
    def _as_matrix(self) -> NDArray: ...

    @abc.abstractmethod
    def _average(self, other: Self, weight: float) -> Self: ...

    @abc.abstractmethod
    def _plus(self, other: "MetricTensor") -> "MetricTensor":
        """The sum with a tensor that is no more general than this one."""

    @abc.abstractmethod
    def _solve(self, covector: NDArray, rule: Rule) -> NDArray: ...

    @abc.abstractmethod
    def _inverse(self, rule: Rule) -> Inverse: ...


def _sum_of(first: Lazy, second: Lazy) -> Lazy:
    return Lazy(lambda: first.get().plus(second.get()))


def damped(tensor: MetricTensor, damping: Damping | None) -> tuple[MetricTensor, Rule]:
    """The tensor with the terms of a damping added, and the rule by which the sum is to be solved."""
    if damping is None:
        return tensor, EXACT
    return damping.added_to(tensor, tensor), damping.rule


def plus_term(total: MetricTensor, term: MetricTensor) -> MetricTensor:
    """The sum with what a damping adds, which keeps everything that the tensor carries, its floor among them."""
    if total.generality >= term.generality:
        return total._plus(term)
    return attrs.evolve(total.plus(term), floor=total._floor, reference=total._reference, name=total.name)


def _not_finite(name: str, covector: NDArray, solution: NDArray, damping: Damping | None) -> str:
    bad = numpy.flatnonzero(~numpy.isfinite(covector))
    if bad.size:
        return f"{name}: the covector to solve for is not finite, first at position {bad[0]}: {covector[bad[0]]}"
    first = numpy.flatnonzero(~numpy.isfinite(solution))[0]
    return (
        f"{name}: the solution is not finite at position {first} with damping {damping or 'none'}: its entries "
        "there overflow or are not finite themselves; use Tikhonov(eps), or look at what the inputs hold"
    )


__all__ = ["Damping", "Lazy", "MetricTensor", "damped", "flat", "plus_term"]
