"""Where a step goes, and how far: along one direction, or two at once."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DeclarationError, NumericalError
from manifoldnet.learning.schedule import Minibatches

# Two directions whose natural cosine is this close to 1 are one: their coefficients would be rounding.
PARALLEL = 1e-10


@final
@attrs.frozen(eq=False)
class Towards:
    """A tangent to go against, dL of it, and its squared length in the natural metric of the batch."""

    direction: NDArray
    slope: float
    squared: float

    def rate(self, fraction: float, radius: float) -> float:
        """A fraction of the quadratic model's best rate, no longer than `radius`; 0 where outputs do not move."""
        if not self.squared > 0.0:
            return 0.0
        return min(fraction * self.slope / self.squared, radius / float(numpy.sqrt(self.squared)))


def check_momentum(program: Program, schedule: object) -> None:
    """Raise DeclarationError where steps are to build on the last one, and that cannot be carried to another point."""
    spaces = program.lowered.parameter_spaces
    names = ", ".join(repr(name) for name, space in spaces.items() if not space.manifold.frame_is_identity)
    if isinstance(schedule, Minibatches) and schedule.momentum and names:
        raise DeclarationError(
            f"mn.Minibatches(momentum=True): the parameters of {names} are points of curved manifolds, where the last "
            "step is a tangent at another point than the next one; train with momentum=False"
        )


def towards(run: Run, slope: NDArray, direction: NDArray, last: NDArray | None) -> Towards:
    """`direction` alone, or a d + b v with v the step taken last, where the quadratic model is least.

    The model is L - dL(w) + |w|^2 / 2 with the length in the natural metric of the batch: (a, b) solve
    <d, d> a + <d, v> b = dL(d), <d, v> a + <v, v> b = dL(v), which no choice of charts changes. On a quadratic loss
    that is the method of conjugate gradients. Raises NumericalError if a length is not finite.
    """
    directions = [direction] if last is None else [direction, last]
    products = run.natural_products(directions)
    if not numpy.isfinite(products).all():
        raise NumericalError("the natural length of the step is not finite")
    slopes = numpy.array([slope @ each for each in directions])
    if last is None or not _are_apart(products):
        return Towards(direction, float(slopes[0]), float(products[0, 0]))
    lengths = numpy.sqrt(numpy.diagonal(products))
    parts = numpy.linalg.solve(products / numpy.outer(lengths, lengths), slopes / lengths) / lengths
    joined = parts[0] * direction + parts[1] * last
    return Towards(joined, float(parts @ slopes), float(parts @ products @ parts))


def _are_apart(products: NDArray) -> bool:
    """Whether two directions move the outputs, and not along one line."""
    first, second = numpy.diagonal(products)
    if not (first > 0.0 and second > 0.0):
        return False
    return bool(1.0 - products[0, 1] ** 2 / (first * second) > PARALLEL)
