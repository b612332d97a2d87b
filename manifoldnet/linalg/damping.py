"""How a metric that has no inverse, or hardly one, is solved all the same."""

import math
from typing import final

import attrs
import numpy

from manifoldnet.errors import DeclarationError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.conversion import in_structure_of
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.inverse import ROUNDING, Rule
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.tensor import Damping, MetricTensor, plus_term

# A parent whose weighted variance is no more than this part of the plain one counts as constant. A variance is a
# difference of sums: below the root of the rounding error charts would decide by its last digits.
CONSTANT = 1e-8


# The rule of tensors to whose every diagonal entry something has been added.
_ABSOLUTE = Rule(absolute=True, tolerance=ROUNDING)


def _number(instance: object, attribute: attrs.Attribute, value: object) -> None:
    name = type(instance).__name__
    is_number = isinstance(value, int | float | numpy.floating | numpy.integer) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not value > 0.0:  # type: ignore[arg-type, operator]
        raise DeclarationError(f"{name}({attribute.name}) takes a finite number above 0, received {value!r}")


def _ratio(instance: object, attribute: attrs.Attribute, value: object) -> None:
    _number(instance, attribute, value)
    if not value < 1.0:  # type: ignore[operator]
        raise DeclarationError(f"{type(instance).__name__}({attribute.name}) takes a ratio below 1, received {value!r}")


class _Atom(Damping):
    """A damping that is not a sum."""

    @property
    def parts(self) -> tuple[Damping, ...]:
        return (self,)

    def __add__(self, other: Damping) -> Damping:
        return _sum(self, other)


@final
@attrs.frozen
class Tikhonov(_Atom):
    """A + eps Id, in the coordinates at hand (remark 12): not intrinsic.

    Quasi-diagonal tensors get eps on A_00 and on every A_ii, before eqs. 89 and 90.

    >>> Diagonal([0.0, 1.0]).solve([1.0, 1.0], Tikhonov(1.0))
    array([1. , 0.5])
    """

    eps: float = attrs.field(validator=_number)

    @property
    def text(self) -> str:
        return f"tikhonov:{self.eps!r}"

    @property
    def rule(self) -> Rule:
        return _ABSOLUTE

    @property
    def wants_floor(self) -> bool:
        return False

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        eps = float(self.eps)
        # to these it is added as a number, without a tensor of its own
        if isinstance(total, QuasiDiagonal | Blocks):
            return total.plus_identity(eps)
        return total._plus(Diagonal.multiple(total.size, eps, "Tikhonov damping"))


@final
@attrs.frozen
class Intrinsic(_Atom):
    """A + eps QD(A) by units, the same in all affine charts: ridge regression on standardised parents.

    Units that are not affine get eps (tr(R^{-1} A)/p) R with R the reference metric that the tensor carries;
    DeclarationError without one. Units without weight are left alone, and parents that are constant over the samples
    that count: whose weighted variance is at most 1e-8 of the plain one, if the tensor carries its `floor`. On a
    quasi-diagonal tensor it is the factor 1 + eps. In a sum, A is what the other dampings have made of it.
    """

    eps: float = attrs.field(validator=_number)

    @property
    def text(self) -> str:
        return f"intrinsic:{self.eps!r}"

    @property
    def rule(self) -> Rule:
        return Rule(relative=float(self.eps), rcond=CONSTANT, drops=True)

    @property
    def wants_floor(self) -> bool:
        return True

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        return total


@final
@attrs.frozen
class Floor(_Atom):
    """A + eps E[c] E[a~ a~^T]: no sample's weight c in a unit counts less than eps of their mean.

    In the entries, for quasi-diagonal tensors. The tensor must carry its `floor` (else DeclarationError).
    Constant parents, and units without weight, are left alone; dependent parents remain singular, and units that
    are not affine remain as they are.
    """

    eps: float = attrs.field(validator=_number)

    @property
    def text(self) -> str:
        return f"floor:{self.eps!r}"

    @property
    def rule(self) -> Rule:
        return Rule(drops=True)

    @property
    def wants_floor(self) -> bool:
        return True

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        floor = tensor.floor
        if floor is None:
            raise DeclarationError(
                f"{tensor.name}: Floor damping needs the floor of the weights, E[c] E[a~ a~^T], and this "
                f"{type(tensor).__name__} tensor carries none; use Intrinsic(eps) or Tikhonov(eps)"
            )
        term = in_structure_of(tensor, floor).scaled(float(self.eps))
        return plus_term(total, attrs.evolve(term, name=f"the floor of {tensor.name}"))


@final
@attrs.frozen
class PseudoInverse(_Atom):
    """Moore-Penrose, by unit where the tensor is: eigenvalues up to rcond times the largest count as 0.

    Least in the Euclidean norm of the coordinates at hand: not intrinsic.
    """

    rcond: float = attrs.field(default=1e-10, validator=_ratio)

    @property
    def text(self) -> str:
        return f"pseudo-inverse:{self.rcond!r}"

    @property
    def rule(self) -> Rule:
        return Rule(cut="pseudo-inverse", rcond=float(self.rcond))

    @property
    def wants_floor(self) -> bool:
        return False

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        return total


@final
@attrs.frozen
class LeastNorm(_Atom):
    """Of all solutions the one of least QD(A)-norm: the limit of Intrinsic(eps) as eps vanishes.

    Parents that are constant over the batch are left alone, or whose weighted variance is at most rcond times
    the plain one (if the tensor carries its `floor`); of the rest, eigenvalues of A v = lambda QD(A) v up to
    rcond times the largest count as 0. Units that are not affine need a reference metric where singular.
    Where the parent has several components and a part of them is uninformed, the choice among solutions is
    independent of that parent's chart only if the tensor carries its floor.
    """

    rcond: float = attrs.field(default=1e-10, validator=_ratio)

    @property
    def text(self) -> str:
        return f"least-norm:{self.rcond!r}"

    @property
    def rule(self) -> Rule:
        return Rule(cut="least-norm", rcond=float(self.rcond), drops=True)

    @property
    def wants_floor(self) -> bool:
        return True

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        return total


@final
@attrs.frozen
class DampingSum(Damping):
    """Several dampings at once: first what is added whatever A is, then what is relative to A, then what is cut."""

    parts: tuple[Damping, ...]

    @property
    def text(self) -> str:
        return "+".join(part.text for part in self.parts)

    @property
    def rule(self) -> Rule:
        rules = [part.rule for part in self.parts]
        cuts = [rule.cut for rule in rules if rule.cut != "nothing"]
        return Rule(
            relative=sum(rule.relative for rule in rules),
            cut=cuts[0] if cuts else "nothing",
            rcond=max(rule.rcond for rule in rules),
            drops=any(rule.drops for rule in rules),
            absolute=any(rule.absolute for rule in rules),
            tolerance=min(rule.tolerance for rule in rules),
        )

    @property
    def wants_floor(self) -> bool:
        return any(part.wants_floor for part in self.parts)

    def added_to(self, total: MetricTensor, tensor: MetricTensor) -> MetricTensor:
        for part in self.parts:
            total = part.added_to(total, tensor)
        return total

    def __add__(self, other: Damping) -> Damping:
        return _sum(self, other)


def _sum(first: Damping, second: Damping) -> DampingSum:
    if not isinstance(second, Damping):
        raise DeclarationError(f"a damping can be added to dampings only, received {second!r}")
    parts = (*first.parts, *second.parts)
    cutting = [part for part in parts if isinstance(part, PseudoInverse | LeastNorm)]
    if len(cutting) > 1:
        raise DeclarationError(f"a sum of dampings can cut directions once, received {cutting[0]} and {cutting[1]}")
    if cutting and isinstance(cutting[0], PseudoInverse) and any(part.rule.relative for part in parts):
        raise DeclarationError("PseudoInverse cannot be added to Intrinsic; use LeastNorm, which is intrinsic too")
    return DampingSum(parts)


__all__ = ["Damping", "DampingSum", "Floor", "Intrinsic", "LeastNorm", "PseudoInverse", "Tikhonov"]
