"""What it means to solve a tensor: by which rule, and what comes of it."""

import abc
from typing import Literal, final

import attrs
import numpy
from numpy.typing import NDArray

# A direction whose square, relative to the scale that the entries themselves set, lies below this is
# rounding: sums over many samples leave errors of 1e-15 to 1e-13.
SINGULAR = 1e-12

# What rounding leaves of a sum of a few terms; tensors with something added need no wider margin.
ROUNDING = 4 * float(numpy.finfo(float).eps)


@final
@attrs.frozen
class Rule:
    """How a tensor (its absolute damping already added) is to be solved.

    `relative`: eps of A + eps QD(A). `cut` and `rcond`: which directions are left out. `drops`: whether parents
    that carry no information are left alone (else they are an error). `absolute`: whether something was added to every
    diagonal entry, so that all parents carry some. `tolerance`: what counts as none.
    """

    relative: float = 0.0
    cut: Literal["nothing", "least-norm", "pseudo-inverse"] = "nothing"
    rcond: float = 0.0
    drops: bool = False
    absolute: bool = False
    tolerance: float = SINGULAR


EXACT = Rule()


class Inverse(abc.ABC):
    """A factorised tensor: covectors in, tangents out, as often as asked."""

    @abc.abstractmethod
    def solve(self, values: NDArray) -> NDArray:
        """Tangents (size, ...) for covectors (size, ...)."""


class Root(Inverse):
    """An inverse written T T^T: coordinates in which the tensor is the identity (where it is not dropped)."""

    @abc.abstractmethod
    def pull(self, values: NDArray) -> NDArray:
        """T^T applied to covectors (size, ...)."""

    @abc.abstractmethod
    def push(self, values: NDArray) -> NDArray:
        """T applied to standardised tangents (size, ...)."""


__all__ = ["EXACT", "ROUNDING", "SINGULAR", "Inverse", "Root", "Rule"]
