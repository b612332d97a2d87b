"""Softmax: one class of n, with probabilities proportional to exponentials."""

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
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.simplex import Simplex


@final
@attrs.frozen
class Softmax(Interpretation):
    """P(k) proportional to e^(a_k), or to e^(vartheta_k a_k) with `coefficients=True` (example 1, remark 16, eq. 121).

    The coefficients are output parameters, one per class, that start at 1.
    """

    coefficients: bool = False

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        at_least(2, sum(manifold.size for manifold in manifolds), "Softmax")

    def parameters(self, n: int) -> int:
        return n if self.coefficients else 0

    def initial(self, n: int) -> NDArray:
        return numpy.ones(self.parameters(n))

    def _logits(self, z: NDArray, vartheta: NDArray) -> NDArray:
        return vartheta * z if self.coefficients else z

    def _chained(self, on_logits: NDArray, z: NDArray, vartheta: NDArray) -> tuple[NDArray, NDArray | None]:
        if not self.coefficients:
            return on_logits, None
        return on_logits * vartheta, on_logits * z

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return np.softmax(self._logits(z, vartheta), axis=1)

    def output_manifold(self, n: int) -> Manifold:
        return Simplex(n)

    def output_metric(self, point: NDArray) -> NDArray:
        return Simplex(point.shape[1]).riemannian(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        logits = self._logits(z, vartheta)
        return np.logsumexp(logits, axis=1) - logits[numpy.arange(len(z)), targets]

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        difference = self.point(z, vartheta, scale) - one_hot(targets, z.shape[1])
        return Score(*self._chained(difference, z, vartheta))

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        # sum_k p_k (e_k - p)(e_k - p)^T = diag(p) - p p^T
        p = self.point(z, vartheta, scale)
        root = np.sqrt(p)
        found = Factor(diagonal=root, less=(root, p))
        return Factor(*self._chained(found.outputs, z, vartheta)) if self.coefficients else found

    def rank(self, n: int) -> int:
        return n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        p = self.point(z, vartheta, scale)
        return p * (1.0 - p) * (vartheta**2 if self.coefficients else 1.0)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        return draw_classes(rng, self.point(z, vartheta, scale), draws)

    def answers(self, point: NDArray) -> NDArray | None:
        return point.argmax(axis=1)

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return class_targets(targets, samples, n, name)
