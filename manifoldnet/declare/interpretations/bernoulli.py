"""Bernoulli: independent 0/1 outputs whose probabilities are the activities."""

from collections.abc import Callable, Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.interpretations.interpretation import (
    Factor,
    Interpretation,
    Scale,
    Score,
    real_targets,
)
from manifoldnet.errors import DataError, DeclarationError
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold

# The exponential of this is finite, and its reciprocal not subnormal.
_FINITE = 700.0


@final
@attrs.frozen
class Bernoulli(Interpretation):
    """P(Y_k = 1) = p_k with p = (a - low)/(high - low), metric 1/(p(1-p)) (example 1, eq. 117).

    It reads log-odds, in which the loss ln(1 + e^z) - y z and the modulus p(1-p) are finite however
    far a unit saturates.
    """

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("log-odds",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        for unit, manifold in enumerate(manifolds):
            if not isinstance(manifold, Interval):
                raise DeclarationError(
                    f"Bernoulli reads units on an Interval(low, high), such as those of mn.Affine(mn.logistic) or "
                    f"mn.Affine(mn.tanh); the unit it reads at position {unit} lives on {manifold}"
                )

    def parameters(self, n: int) -> int:
        return 0

    def initial(self, n: int) -> NDArray:
        return numpy.zeros(0)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return np.expit(z)

    def output_manifold(self, n: int) -> Manifold:
        return Interval(0.0, 1.0, n)

    def output_metric(self, point: NDArray) -> NDArray:
        return Interval(0.0, 1.0, point.shape[1]).riemannian(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        # y softplus(-z) + (1 - y) softplus(z), of which ln(1 + e^-|z|) is the common part: no terms that cancel
        above = np.maximum(z, 0.0)
        wrong = targets * (above - z) + (1.0 - targets) * above
        return wrong.sum(axis=1) + np.softplus_tails(z)

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        wrong, modulus = (_by_odds if isinstance(z, numpy.ndarray) else _by_decay)(z, targets)
        return Score(wrong, modulus=modulus)

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        # the root of p (1 - p), which outlives it where units saturate
        half = np.exp(-0.5 * np.abs(z))
        return Factor(diagonal=half / (1.0 + half * half))

    def rank(self, n: int) -> int:
        return n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        # p (1 - p), the same on both sides of zero
        odds = np.exp(-np.abs(z))
        root = 1.0 + odds
        root *= root
        odds /= root
        return odds

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        samples, n = z.shape
        return (rng.random((samples, draws, n)) < np.expit(z)[:, None]).swapaxes(0, 1).astype(float)

    def answers(self, point: NDArray) -> NDArray | None:
        return (point > 0.5).astype(numpy.float64)

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        values = real_targets(targets, samples, n, name)
        outside = (values < 0.0) | (values > 1.0)
        if outside.any():
            row, column = (int(i) for i in numpy.argwhere(outside)[0])
            raise DataError(
                f"targets of {name!r} (Bernoulli) are 0/1 arrays, received {values[row, column]} in row {row}, "
                f"column {column}"
            )
        return values


def _by_odds(z: NDArray, targets: NDArray) -> tuple[NDArray, Callable[[], NDArray]]:
    """p - y and p (1 - p): as (1 - y) p - y (1 - p), of which no digits are lost to saturation where y is 0 or 1."""
    odds_against = numpy.exp(-numpy.maximum(z, -_FINITE))
    wrong = 1.0 - targets
    wrong -= targets * odds_against
    whole = 1.0 + odds_against
    wrong /= whole
    return wrong, lambda: odds_against / whole / whole


def _by_decay(z: Any, targets: Any) -> tuple[Any, Callable[[], Any]]:
    """The same, where what compiles shares e^-|z| with the loss: p = (c + (1 - c) e^-|z|) / (1 + e^-|z|), c = [z >= 0]."""
    decay, above = np.exp(-np.abs(z)), z >= 0.0
    whole = 1.0 + decay
    return ((above - targets) + (~above - targets) * decay) / whole, lambda: decay / whole / whole
