"""Gaussian outputs whose variance is learned: as an output parameter, or as further outputs."""

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
    diagonal_rows,
    real_targets,
)
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.product import Product
from manifoldnet.geometry.real import Real

HALF_LOG_2PI = 0.5 * numpy.log(2.0 * numpy.pi)


def _log_loss(error: NDArray, log_scale: NDArray) -> NDArray:
    return (0.5 * (error * np.exp(-log_scale)) ** 2 + log_scale + HALF_LOG_2PI).sum(axis=1)


def _normal(rng: numpy.random.Generator, mean: NDArray, log_scale: NDArray, draws: int) -> NDArray:
    samples, n = mean.shape
    return mean + np.exp(log_scale) * rng.standard_normal((samples, draws, n)).swapaxes(0, 1)


def _means_and_deviations(n: int) -> Manifold:
    return Product(Real(n), Positive(n))


def _fisher(point: NDArray) -> NDArray:
    """1/s^2 on a mean and 2/s^2 on a standard deviation s, for points (samples, 2 n)."""
    n = point.shape[1] // 2
    weights = numpy.repeat([1.0, 2.0], n) / np.tile(point[:, n:], 2) ** 2
    return weights[..., None] * numpy.eye(2 * n)


@final
@attrs.frozen
class Gaussian(Interpretation):
    """Y_k ~ N(a_k, e^(2 vartheta_k)), with the log standard deviations as output parameters (remark 16).

    Loss -ln density in nats, constant included. `shared=True` learns one scale for all outputs. The
    Fisher metric is e^(-2 vartheta_k) on a mean and 2 on a log-scale.
    """

    shared: bool = False
    log_scale: float = 0.0

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        """Means may live on any manifold with reference coordinates: all fit."""

    def parameters(self, n: int) -> int:
        return 1 if self.shared else n

    def initial(self, n: int) -> NDArray:
        return numpy.full(self.parameters(n), self.log_scale)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """Means and standard deviations side by side, (samples, 2 n)."""
        return np.concatenate([z, np.exp(vartheta) + np.zeros_like(z)], axis=1)

    def output_manifold(self, n: int) -> Manifold:
        return _means_and_deviations(n)

    def output_metric(self, point: NDArray) -> NDArray:
        return _fisher(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        return _log_loss(targets - z, vartheta + np.zeros_like(z))

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        standardised = (z - targets) * np.exp(-vartheta)
        on_scale = 1.0 - standardised**2
        return Score(standardised * np.exp(-vartheta), on_scale.sum(axis=1, keepdims=True) if self.shared else on_scale)

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        samples, n = z.shape
        means = diagonal_rows(np.broadcast_to(np.exp(-vartheta), z.shape))
        scales = diagonal_rows(numpy.full((samples, n), numpy.sqrt(2.0)))
        if self.shared:
            scales = scales.sum(axis=2, keepdims=True)
        return Factor(
            np.concatenate([means, numpy.zeros((n, samples, n))]),
            np.concatenate([numpy.zeros((n, samples, self.parameters(n))), scales]),
        )

    def rank(self, n: int) -> int:
        return 2 * n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return np.broadcast_to(np.exp(-2.0 * vartheta), z.shape)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        return _normal(rng, z, vartheta + np.zeros_like(z), draws)

    def answers(self, point: NDArray) -> NDArray | None:
        return None

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return real_targets(targets, samples, n, name)


@final
@attrs.frozen
class HeteroscedasticGaussian(Interpretation):
    """Y_k ~ N(mean_k, e^(2 s_k)): the first half of the outputs are means, the second half log-scales s.

    Loss -ln density in nats, constant included; the Fisher metric is e^(-2 s_k) on means, 2 on log-scales.
    """

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        total = sum(manifold.size for manifold in manifolds)
        if total % 2:
            raise DeclarationError(
                f"HeteroscedasticGaussian reads as many log-scales as means, received {total} outputs: "
                "give the means first, then one log-scale for each"
            )

    def parameters(self, n: int) -> int:
        return 0

    def initial(self, n: int) -> NDArray:
        return numpy.zeros(0)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """Means and standard deviations side by side, (samples, n)."""
        means, log_scales = np.split(z, 2, axis=1)
        return np.concatenate([means, np.exp(log_scales)], axis=1)

    def output_manifold(self, n: int) -> Manifold:
        return _means_and_deviations(n // 2)

    def output_metric(self, point: NDArray) -> NDArray:
        return _fisher(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        means, log_scales = np.split(z, 2, axis=1)
        return _log_loss(targets - means, log_scales)

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        means, log_scales = np.split(z, 2, axis=1)
        standardised = (means - targets) * np.exp(-log_scales)
        return Score(np.concatenate([standardised * np.exp(-log_scales), 1.0 - standardised**2], axis=1))

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        return Factor(diagonal=np.sqrt(self.modulus(z, vartheta, scale)))

    def rank(self, n: int) -> int:
        return n

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        _, log_scales = np.split(z, 2, axis=1)
        return np.concatenate([np.exp(-2.0 * log_scales), np.full_like(log_scales, 2.0)], axis=1)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        means, log_scales = np.split(z, 2, axis=1)
        return _normal(rng, means, log_scales, draws)

    def answers(self, point: NDArray) -> NDArray | None:
        return None

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return real_targets(targets, samples, n // 2, name)
