"""Spherical: one class of n, with probabilities proportional to squares."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.interpretations.categorical import draw_classes, one_hot
from manifoldnet.declare.interpretations.interpretation import (
    Factor,
    Interpretation,
    Scale,
    Score,
    at_least,
    class_targets,
)
from manifoldnet.errors import OutputError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.numpy.dispatch import holds

REMEDY = "A link such as mn.softplus or mn.logistic, unlike mn.relu, never gives exact zeros"


@final
@attrs.frozen
class Spherical(Interpretation):
    """P(k) = a_k^2 / S with S = sum a^2 (example 1, eq. 124).

    Where links can say log|a| without underflow (logistic, softplus) it reads that, else values.
    """

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("log", "value")

    def check(self, manifolds: Sequence[Manifold]) -> None:
        at_least(2, sum(manifold.size for manifold in manifolds), "Spherical")

    def parameters(self, n: int) -> int:
        return 0

    def initial(self, n: int) -> NDArray:
        return numpy.zeros(0)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        if scale == "log":
            return np.softmax(2.0 * z, axis=1)
        return _unit(z) ** 2

    def output_manifold(self, n: int) -> Manifold:
        return Simplex(n)

    def output_metric(self, point: NDArray) -> NDArray:
        return Simplex(point.shape[1]).riemannian(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        chosen = z[numpy.arange(len(z)), targets]
        if scale == "log":
            return np.logsumexp(2.0 * z, axis=1) - 2.0 * chosen
        _check_pole(z, targets)
        return -2.0 * np.log(np.abs(_unit(z)[numpy.arange(len(z)), targets]))

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        hot = one_hot(targets, z.shape[1])
        if scale == "log":
            return Score(2.0 * (self.point(z, vartheta, scale) - hot))
        _check_pole(z, targets)
        squares = (z**2).sum(axis=1, keepdims=True)
        return Score(2.0 * z / squares - 2.0 * hot / np.where(hot == 1.0, z, 1.0))

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        if scale == "log":
            p = self.point(z, vartheta, scale)
            root = 2.0 * np.sqrt(p)
            return Factor(diagonal=root, less=(root, p))
        # the projection across a is its own square root
        unit, size = _unit(z), 2.0 / np.linalg.norm(z, axis=1)[:, None]
        return Factor(diagonal=size * np.ones_like(z), less=(size * unit, unit))

    def rank(self, n: int) -> int:
        return n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        p = self.point(z, vartheta, scale)
        if scale == "log":
            return 4.0 * p * (1.0 - p)
        return 4.0 * (1.0 - p) / (z**2).sum(axis=1, keepdims=True)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        return draw_classes(rng, self.point(z, vartheta, scale), draws)

    def answers(self, point: NDArray) -> NDArray | None:
        return point.argmax(axis=1)

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return class_targets(targets, samples, n, name)


def _unit(z: NDArray) -> NDArray:
    if not holds(z.any(axis=1)):
        sample = int(numpy.argmin(z.any(axis=1)))
        raise OutputError(
            "Spherical: ", "exactly 0 on sample {sample}, which no class can be read from. " + REMEDY, sample
        )
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _check_pole(z: NDArray, targets: NDArray) -> None:
    """A class whose output is exactly zero has probability zero: its loss is infinite, and says nothing of where to go."""
    chosen = z[numpy.arange(len(z)), targets]
    if not holds(chosen != 0.0):
        sample = int(numpy.argmax(chosen == 0.0))
        after = "exactly 0 on sample {sample}, whose class it is, so that the loss is infinite. " + REMEDY
        raise OutputError("Spherical: ", after, sample, int(targets[sample]))
