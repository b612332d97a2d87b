"""Square-loss: independent Gaussians of variance 1 around the outputs."""

from collections.abc import Sequence
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
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.real import Real


@final
@attrs.frozen
class SquareLoss(Interpretation):
    """Y_k ~ N(a_k, 1), loss 1/2 sum_k (y_k - a_k)^2 in nats, metric the identity (example 1, eq. 118).

    The loss is -ln of the density without its constant (1/2) ln 2 pi per output.
    """

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        """Means may live on any manifold with reference coordinates: all fit."""

    def parameters(self, n: int) -> int:
        return 0

    def initial(self, n: int) -> NDArray:
        return numpy.zeros(0)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return z

    def output_manifold(self, n: int) -> Manifold:
        return Real(n)

    def output_metric(self, point: NDArray) -> NDArray:
        return Real(point.shape[1]).riemannian(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        return 0.5 * ((targets - z) ** 2).sum(axis=1)

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        return Score(z - targets)

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        return Factor(diagonal=np.ones_like(z))

    def rank(self, n: int) -> int:
        return n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return np.ones_like(z)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        samples, n = z.shape
        return z + rng.standard_normal((samples, draws, n)).swapaxes(0, 1)

    def answers(self, point: NDArray) -> NDArray | None:
        return None

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return real_targets(targets, samples, n, name)
