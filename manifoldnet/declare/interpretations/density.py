"""An interpretation from nothing but a log-density over a finite support: its Fisher metric is derived."""

from collections.abc import Callable, Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.interpretations.categorical import draw_classes
from manifoldnet.declare.interpretations.interpretation import (
    Factor,
    Interpretation,
    Scale,
    Score,
    flat_vector,
    numeric_targets,
)
from manifoldnet.errors import DataError, DeclarationError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.numpy.derivatives import jacobian


def _support(values: ArrayLike) -> NDArray:
    support = numpy.asarray(values, dtype=numpy.float64)
    if support.ndim == 0 or len(support) < 2 or not numpy.isfinite(support).all():
        raise DeclarationError(f"a support is at least two finite values, one a row, received {values!r}")
    return support


@final
@attrs.frozen(eq=False)
class Density(Interpretation):
    """P(Y = y) = exp(log_density(outputs, y)) over the rows y of a finite `support`.

    `log_density(outputs, y)` receives the output activities (..., n) and values (..., *value_shape),
    is written with `manifoldnet.numpy` and broadcasts; it must sum to one over the support. With
    `parameters` (the starting vartheta) it is called as `log_density(outputs, y, vartheta)`.
    The Fisher metric is the exact expectation of the outer products of scores (eq. 102). Targets are
    values of the support.
    """

    log_density: Callable[..., NDArray]
    support: NDArray = attrs.field(converter=_support)
    starting: NDArray = attrs.field(default=(), alias="parameters", converter=flat_vector)

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        probe = numpy.concatenate(
            [manifold.sample(numpy.random.default_rng(0), 3).reshape(3, -1) for manifold in manifolds], axis=1
        )
        values = numpy.asarray(self._log_probabilities(probe, self.starting))
        if values.shape != (3, len(self.support)):
            raise DeclarationError(
                f"log_density must broadcast over samples and support to shape (3, {len(self.support)}), "
                f"received {values.shape}"
            )
        totals = numpy.exp(values).sum(axis=1)
        if not numpy.allclose(totals, 1.0, rtol=1e-6):
            raise DeclarationError(
                f"the probabilities of a log-density sum to 1 over its support, received {totals[0]:.6g} at "
                f"outputs {probe[0]}"
            )

    def parameters(self, n: int) -> int:
        return self.starting.size

    def initial(self, n: int) -> NDArray:
        return self.starting

    def _call(self, z: NDArray, y: NDArray, vartheta: NDArray) -> NDArray:
        return self.log_density(z, y, vartheta) if self.starting.size else self.log_density(z, y)

    def _log_probabilities(self, z: NDArray, vartheta: NDArray) -> NDArray:
        return self._call(z[:, None, :], self.support[None], vartheta[..., None, :])

    def _scores(self, z: NDArray, y: NDArray, vartheta: NDArray) -> NDArray:
        """d ln p(y) / d (z, vartheta), over whatever leading axes z (..., n) and y have in common."""
        n = z.shape[-1]
        joint = np.concatenate([z, np.broadcast_to(vartheta, (*z.shape[:-1], vartheta.size))], axis=-1)
        return jacobian(lambda v: self._call(v[..., :n], y, v[..., n:]), joint, 1, 0)

    def _split(self, rows: NDArray, n: int) -> tuple[NDArray, NDArray | None]:
        return rows[..., :n], rows[..., n:] if self.starting.size else None

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """The probabilities of the support, (samples, len(support))."""
        return np.exp(self._log_probabilities(z, vartheta))

    def output_manifold(self, n: int) -> Manifold:
        return Simplex(len(self.support))

    def output_metric(self, point: NDArray) -> NDArray:
        return Simplex(len(self.support)).riemannian(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        return -np.asarray(self._call(z, targets, vartheta))

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        return Score(*self._split(-self._scores(z, targets, vartheta), z.shape[1]))

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        count = len(self.support)
        y = numpy.broadcast_to(self.support[:, None], (count, len(z), *self.support.shape[1:]))
        scores = self._scores(np.broadcast_to(z, (count, *z.shape)), y, vartheta)
        weights = np.sqrt(self.point(z, vartheta, scale)).T
        return Factor(*self._split(weights[:, :, None] * scores, z.shape[1]))

    def rank(self, n: int) -> int:
        return len(self.support)

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return (self.factor(z, vartheta, scale).outputs ** 2).sum(axis=0)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        return np.take(self.support, draw_classes(rng, self.point(z, vartheta, scale), draws), axis=0)

    def answers(self, point: NDArray) -> NDArray | None:
        return None

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        values = numeric_targets(targets, name)
        expected = (samples, *self.support.shape[1:])
        if values.shape != expected:
            raise DataError(f"targets of {name!r} have shape {expected}, received {values.shape}")
        axes = tuple(range(2, values.ndim + 1))
        known = (values[:, None] == self.support).all(axis=axes).any(axis=1)
        if not known.all():
            row = int(numpy.argmin(known))
            raise DataError(f"targets of {name!r} are values of its support; row {row} holds {values[row]}")
        return values
