"""The abstract output interpretation: omega((a_out), vartheta), its metric Omega and its loss."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet import numpy as np
from manifoldnet.errors import DataError, DeclarationError, ManifoldNetError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.dispatch import is_traced

Scale = Literal["value", "log-odds", "log"]


@final
@attrs.frozen(eq=False)
class Factor:
    """Omega^(1/2) domega: rows whose squares sum to the pulled-back metric.

    `outputs` is (rows, samples, n) in the scale the interpretation reads; `parameters` is
    (rows, samples, p) for the output parameters, or None where there are none. Where each row has one entry, that
    of the output with its number, they may be given as `diagonal` (samples, n) instead; and where an outer product is
    taken off that, by its factors `less`, a column and a row, (samples, n) each.

    >>> p = numpy.array([[0.5, 0.25, 0.25]])
    >>> softmax = Factor(diagonal=numpy.sqrt(p), less=(numpy.sqrt(p), p))
    >>> softmax.push(numpy.array([[1.0, 0.0, 0.0]])).round(3).tolist()
    [[0.354], [-0.25], [-0.25]]
    """

    _outputs: NDArray | None = None
    parameters: NDArray | None = None
    diagonal: NDArray | None = None
    less: tuple[NDArray, NDArray] | None = None

    @property
    def is_diagonal(self) -> bool:
        """Whether each row has one entry among the outputs."""
        return self.diagonal is not None and self.less is None

    @property
    def rows(self) -> int:
        """How many rows there are for each sample."""
        if self._outputs is not None:
            return len(self._outputs)
        assert self.diagonal is not None
        return self.diagonal.shape[1]

    @property
    def outputs(self) -> NDArray:
        """The rows as an array."""
        if self._outputs is not None:
            return self._outputs
        assert self.diagonal is not None
        rows = diagonal_rows(self.diagonal)
        return rows if self.less is None else rows - self.less[0].T[:, :, None] * self.less[1]

    def push(self, moved: NDArray, own: NDArray | None = None) -> NDArray:
        """The rows applied to how numbers (samples, n) and output parameters (p,) move, (rows, samples).

        Sums over samples and n alone where the rows are known by their diagonal.
        """
        if self.diagonal is None:
            found = np.einsum("rsn,sn->rs", self.outputs, moved)
        elif self.less is None:
            found = (self.diagonal * moved).T
        else:
            column, row = self.less
            found = (self.diagonal * moved - column * (row * moved).sum(axis=1, keepdims=True)).T
        return found if self.parameters is None or own is None else found + self.parameters @ own


@final
@attrs.frozen(eq=False)
class Score:
    """The differential of the loss of each sample: `outputs` (samples, n), `parameters` (samples, p) or None.

    `modulus` may give what `Interpretation.modulus` does, from what the score has computed already.
    """

    outputs: NDArray
    parameters: NDArray | None = None
    modulus: Callable[[], NDArray] | None = None


class Interpretation(abc.ABC):
    """How output activities are read, and how far apart two readings are.

    Everything is said about numbers z (samples, n): the reference coordinates of the n = units x size
    output activities, on the `scale` that the interpretation reads: their values, the log-odds of
    their position in an interval, or the logarithms of their absolute values. The compiler
    multiplies by the derivative of z, so that nothing is lost to rounding where units saturate.
    """

    @property
    @abc.abstractmethod
    def scales(self) -> tuple[Scale, ...]:
        """The scales it can read, the better conditioned first; "value" is always available."""

    @abc.abstractmethod
    def check(self, manifolds: Sequence[Manifold]) -> None:
        """Raise DeclarationError unless it can read units on these manifolds, one for each unit."""

    @abc.abstractmethod
    def parameters(self, n: int) -> int:
        """How many output parameters vartheta it has when it reads n numbers; they live in R^p."""

    @abc.abstractmethod
    def initial(self, n: int) -> NDArray:
        """The output parameters (p,) that a network starts from."""

    @abc.abstractmethod
    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """omega as a point of the output manifold, in its reference coordinates, (samples, ...).

        Differentiable: written with `manifoldnet.numpy`, and it takes one vartheta (p,) or one a sample.
        """

    @abc.abstractmethod
    def output_manifold(self, n: int) -> Manifold:
        """The output manifold O, of which `point` gives points, when it reads n numbers."""

    @abc.abstractmethod
    def output_metric(self, point: NDArray) -> NDArray:
        """Omega at points (samples, *shape) of the output manifold, in its frame there, (samples, dim, dim)."""

    @abc.abstractmethod
    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        """l(omega, y) for each sample, in nats, (samples,)."""

    @abc.abstractmethod
    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        """dl/dz and dl/dvartheta for each sample: the NEGATIVE of eq. 7."""

    @abc.abstractmethod
    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        """Rows U with sum_rows U^T U = (domega)^T Omega (domega) (eqs. 117-124 for the ordinary ones)."""

    @abc.abstractmethod
    def rank(self, n: int) -> int:
        """How many rows `factor` has for each sample."""

    @final
    def has_diagonal(self, n: int) -> bool:
        """Whether each row of `factor` has one entry, where n numbers are read."""
        try:
            # structure alone counts: numbers that zeros do not suit are not looked at
            with numpy.errstate(all="ignore"):
                found = self.factor(numpy.zeros((1, n)), self.initial(n), self.scales[0])
        except ManifoldNetError:
            # an interpretation of one's own that zeros do not suit says no more about its structure
            return False
        return found.is_diagonal and found.parameters is None

    @abc.abstractmethod
    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """The diagonal (samples, n) of the pulled-back metric: the direct term of eq. 27."""

    @abc.abstractmethod
    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        """`draws` targets for each sample from omega, (draws, samples, ...); eq. 100.

        Draws are taken sample by sample, so that splitting a batch leaves them the same. Raises
        DeclarationError where omega is not a distribution.
        """

    @abc.abstractmethod
    def answers(self, point: NDArray) -> NDArray | None:
        """The most likely targets at points of the output manifold, or None where no answer is simply right."""

    @abc.abstractmethod
    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        """The targets as an array the loss accepts; raises DataError that says what was expected."""


def real_targets(targets: Any, samples: int, n: int, name: str) -> NDArray:
    """Targets as reals (samples, n); one number a sample may be given without its axis."""
    values = numeric_targets(targets, name)
    if n == 1 and values.shape == (samples,):
        values = values[:, None]
    if values.shape != (samples, n):
        raise DataError(
            f"targets of {name!r} have shape (samples, outputs) = ({samples}, {n}), received {values.shape}"
        )
    check_finite(values, name)
    return values


def class_targets(targets: Any, samples: int, classes: int, name: str) -> NDArray:
    """Targets as class indices (samples,) in 0..classes-1."""
    values = numpy.asarray(targets)
    if values.shape != (samples,):
        hint = ": one-hot rows become indices by .argmax(axis=1)" if values.shape == (samples, classes) else ""
        raise DataError(
            f"targets of {name!r} are class indices of shape (samples,) = ({samples},), "
            f"received shape {values.shape}{hint}"
        )
    indices = values.astype(int) if values.dtype.kind in "iuf" and not numpy.isnan(values).any() else None
    if indices is None or (indices != values).any():
        raise DataError(
            f"targets of {name!r} are class indices, received dtype {values.dtype} with values {values[:3]}"
        )
    outside = (indices < 0) | (indices >= classes)
    if outside.any():
        row = int(numpy.argmax(outside))
        raise DataError(
            f"targets of {name!r} are class indices in 0..{classes - 1}, received {indices[row]} in row {row}"
        )
    return indices


def numeric_targets(targets: Any, name: str) -> NDArray:
    """Targets as an array of floats, of whatever shape; raises DataError if they are no numbers."""
    try:
        return numpy.asarray(targets, dtype=numpy.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"targets of {name!r} are numbers, received {type(targets).__name__}: {error}") from error


def check_finite(values: NDArray, name: str) -> None:
    """Raise DataError that says where the first target is that is not finite."""
    bad = ~numpy.isfinite(values)
    if bad.any():
        row, *columns = (int(i) for i in numpy.argwhere(bad)[0])
        place = f"row {row}, column {', '.join(map(str, columns))}" if columns else f"row {row}"
        raise DataError(f"targets of {name!r} hold {values[bad][0]} in {place}")


def at_least(count: int, numbers: int, name: str) -> None:
    """Raise DeclarationError unless an interpretation reads at least `count` numbers."""
    if numbers < count:
        raise DeclarationError(f"{name} reads at least {count} outputs, received {numbers}")


def diagonal_rows(values: NDArray) -> NDArray:
    """(samples, n) as n rows (n, samples, n), each with one entry."""
    samples, n = values.shape
    if is_traced(values):
        return numpy.eye(n)[:, None, :] * values.T[:, :, None]
    rows = numpy.zeros((n, samples, n))
    rows[numpy.arange(n), :, numpy.arange(n)] = values.T
    return rows


def flat_vector(values: ArrayLike) -> NDArray:
    """A number or array as a flat float64 vector."""
    return numpy.asarray(values, dtype=numpy.float64).reshape(-1)
