"""Metric tensors known by their products only, solved by preconditioned conjugate gradients."""

from collections.abc import Callable
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DeclarationError, NumericalError
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.inverse import Inverse, Rule
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.standard import intrinsic_blocks
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Partition

Product = Callable[[NDArray], NDArray]


@final
@attrs.frozen(eq=False)
class Implicit(MetricTensor):
    """A tensor of which only `product`, tangent to covector, is known.

    Solving takes conjugate gradients to a residual `tolerance` times the covector, both measured in the inverse
    of the `preconditioner` (a tensor close to this one that is easy to solve, best its quasi-diagonal reduction).
    Raises NumericalError, with the residual reached, after `max_iterations` (by default 200, or 10 for each
    parameter where that is more, but at most 5000). `Intrinsic` needs a quasi-diagonal preconditioner: it adds
    eps times that.

    >>> Implicit(2, lambda v: 2.0 * v).solve([2.0, 4.0])
    array([1., 2.])
    """

    generality = 7

    size: int
    product: Product
    preconditioner: MetricTensor | None = None
    tolerance: float = attrs.field(default=1e-10, kw_only=True)
    max_iterations: int | None = attrs.field(default=None, kw_only=True)

    def scaled(self, factor: float) -> Self:
        product, easy = self.product, self.preconditioner
        return attrs.evolve(
            self, product=lambda v: factor * product(v), preconditioner=None if easy is None else easy.scaled(factor)
        )

    def diagonal(self) -> NDArray:
        """The diagonal, at the price of one product for each parameter."""
        return numpy.array([column[place] for place, column in enumerate(map(self.product, numpy.eye(self.size)))])

    def unit_blocks(self, partition: Partition) -> tuple[NDArray, ...]:
        raise self._unknown("blocks")

    def unit_entries(self, partition: Partition) -> tuple[Entries | NDArray, ...]:
        raise self._unknown("quasi-diagonal entries")

    def _unknown(self, what: str) -> DeclarationError:
        return DeclarationError(
            f"{self.name}: only its products are known, its {what} are not; compute them by a metric of their own"
        )

    def _multiply(self, tangent: NDArray) -> NDArray:
        return self.product(tangent)

    def _norm2(self, tangent: NDArray) -> float:
        return tangent @ self.product(tangent)

    def _as_matrix(self) -> NDArray:
        return numpy.array([self.product(column) for column in numpy.eye(self.size)])

    def _average(self, other: Self, weight: float) -> Self:
        first, second = self.scaled(1.0 - weight), other.scaled(weight)
        return first._with(second.product, second.preconditioner)

    def _plus(self, other: MetricTensor) -> Self:
        if isinstance(other, Implicit):
            return self._with(other.product, other.preconditioner)
        # Anything larger than blocks would cost more to solve than it saves.
        return self._with(other.multiply, other if other.generality <= 2 else None)

    def _with(self, product: Product, easy: MetricTensor | None) -> Self:
        own, preconditioner = self.product, self.preconditioner
        if preconditioner is not None and easy is not None:
            preconditioner = preconditioner.plus(easy)
        return attrs.evolve(self, product=lambda v: own(v) + product(v), preconditioner=preconditioner)

    def _solve(self, covector: NDArray, rule: Rule) -> NDArray:
        return self._inverse(rule).solve(covector)

    def _inverse(self, rule: Rule) -> "ConjugateGradients":
        if rule.cut != "nothing":
            raise DeclarationError(
                f"{self.name}: only its products are known, and {rule.cut} would need its eigenvalues; "
                "use Tikhonov(eps) or Intrinsic(eps)"
            )
        easy, product = self.preconditioner, self.product
        if easy is not None and easy._reference is None:
            easy = attrs.evolve(easy, reference=self._reference)
        if rule.relative:
            product = _intrinsic_product(self, easy, rule)
        limit = self.max_iterations or min(max(200, 10 * self.size), 5000)
        inverse = None if easy is None else easy._inverse(rule)
        return ConjugateGradients(product, inverse, self.tolerance, limit, self.name)


def _intrinsic_product(tensor: Implicit, easy: MetricTensor | None, rule: Rule) -> Product:
    if not isinstance(easy, QuasiDiagonal):
        raise DeclarationError(
            f"{tensor.name}: Intrinsic damping of a tensor known by its products needs its quasi-diagonal "
            "reduction as the preconditioner; give it one, or use Tikhonov(eps)"
        )
    added = attrs.evolve(easy, entries=intrinsic_blocks(easy, easy.partition, easy.entries, rule))
    return lambda v: tensor.product(v) + rule.relative * added.multiply(v)


@final
@attrs.frozen(eq=False)
class ConjugateGradients(Inverse):
    """The inverse of a product, found anew for each covector."""

    product: Product
    preconditioner: Inverse | None
    tolerance: float
    max_iterations: int
    name: str

    def solve(self, values: NDArray) -> NDArray:
        if values.ndim == 2:
            return numpy.stack([self.solve(column) for column in values.T], axis=1)
        solution, residual = numpy.zeros_like(values), values.copy()
        easy = self._precondition(residual)
        direction, square = easy, float(residual @ easy)
        target = self.tolerance**2 * square
        for iteration in range(self.max_iterations + 1):
            if not square > target:
                return self._checked(solution, square, iteration)
            if iteration < self.max_iterations:
                lowered = self.product(direction)
                step = square / self._curvature(direction, lowered)
                solution, residual = solution + step * direction, residual - step * lowered
                easy = self._precondition(residual)
                before, square = square, float(residual @ easy)
                direction = easy + (square / before) * direction
        reached = self.tolerance * numpy.sqrt(square / target)
        raise NumericalError(
            f"{self.name}: conjugate gradients reached a relative residual of {reached:.1e} in {self.max_iterations} "
            f"iterations, expected {self.tolerance:.1e}; damp more, or give a closer preconditioner or more iterations"
        )

    def _precondition(self, residual: NDArray) -> NDArray:
        return residual if self.preconditioner is None else self.preconditioner.solve(residual)

    def _curvature(self, direction: NDArray, lowered: NDArray) -> float:
        curvature = float(direction @ lowered)
        if not curvature > 0.0:
            raise NumericalError(
                f"{self.name}: conjugate gradients met a direction of square length {curvature:.1e}, expected a "
                "positive one; the metric is singular or not finite: damp it with Tikhonov(eps) or Intrinsic(eps)"
            )
        return curvature

    def _checked(self, solution: NDArray, square: float, iteration: int) -> NDArray:
        if numpy.isnan(square):
            raise NumericalError(
                f"{self.name}: conjugate gradients met numbers that are not finite at iteration {iteration}"
            )
        return solution


__all__ = ["ConjugateGradients", "Implicit"]
