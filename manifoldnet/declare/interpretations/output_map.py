"""An interpretation of the user's own: a map onto an output manifold, its metric and a loss."""

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
    check_finite,
    flat_vector,
    numeric_targets,
)
from manifoldnet.errors import DataError, DeclarationError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.derivatives import jacobian
from manifoldnet.numpy.dispatch import holds


@final
@attrs.frozen(eq=False)
class OutputMap(Interpretation):
    """omega(outputs) on any manifold O with a metric Omega and a loss; it need not be a distribution.

    `omega(outputs)` takes the output activities (..., n) to points (..., *manifold.shape);
    `loss(point, target)` gives nats (...); `metric(point)` gives Omega (..., size, size) on flattened
    reference coordinates, and by default is the metric that the manifold declares. With `parameters`
    (the starting vartheta, remark 16) omega is called as `omega(outputs, vartheta)`.
    All are written with `manifoldnet.numpy` and broadcast over leading axes.
    """

    omega: Callable[..., NDArray]
    manifold: Manifold
    pointwise_loss: Callable[[NDArray, NDArray], NDArray] = attrs.field(alias="loss")
    metric: Callable[[NDArray], NDArray] | None = None
    starting: NDArray = attrs.field(default=(), alias="parameters", converter=flat_vector)

    @property
    def scales(self) -> tuple[Scale, ...]:
        return ("value",)

    def check(self, manifolds: Sequence[Manifold]) -> None:
        probe = numpy.concatenate(
            [manifold.sample(numpy.random.default_rng(0), 3).reshape(3, -1) for manifold in manifolds], axis=1
        )
        point = numpy.asarray(self._omega(probe, self.starting))
        if point.shape != (3, *self.manifold.shape) or not self.manifold.contains(point).all():
            raise DeclarationError(
                f"omega must return points of {self.manifold}, of shape (..., {self.manifold.shape}); "
                f"at outputs {probe[0]} it returned shape {point.shape}: {point[0]}"
            )
        self._root(point)

    def parameters(self, n: int) -> int:
        return self.starting.size

    def initial(self, n: int) -> NDArray:
        return self.starting

    def _omega(self, z: NDArray, vartheta: NDArray) -> NDArray:
        return self.omega(z, vartheta) if self.starting.size else self.omega(z)

    def _joint(self, z: NDArray, vartheta: NDArray) -> NDArray:
        return np.concatenate([z, np.broadcast_to(vartheta, (len(z), vartheta.size))], axis=1)

    def _split(self, rows: NDArray, n: int) -> tuple[NDArray, NDArray | None]:
        return rows[..., :n], rows[..., n:] if self.starting.size else None

    def _root(self, point: NDArray) -> NDArray:
        """R (samples, rows, size) with R^T R = Omega on tangent vectors in reference coordinates."""
        if self.metric is not None:
            size = self.manifold.size
            omega = np.asarray(self.metric(point))
            if omega.shape != (len(point), size, size):
                raise DeclarationError(f"metric must return shape (..., {size}, {size}), received {omega.shape}")
            return square_root(omega)
        declared = self.manifold.riemannian(point)
        if declared is None:
            raise DeclarationError(f"{self.manifold} declares no metric: give OutputMap(metric=...)")
        return square_root(declared) @ self.manifold.coframe(point)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return np.asarray(self._omega(z, vartheta))

    def output_manifold(self, n: int) -> Manifold:
        return self.manifold

    def output_metric(self, point: NDArray) -> NDArray:
        root = self._root(point) @ self.manifold.frame(point)
        return root.swapaxes(-1, -2) @ root

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        return np.asarray(self.pointwise_loss(self._omega(z, vartheta), targets))

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        n = z.shape[1]
        rows = jacobian(
            lambda v: self.pointwise_loss(self._omega(v[..., :n], v[..., n:]), targets), self._joint(z, vartheta), 1, 0
        )
        return Score(*self._split(rows, n))

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        n, shape = z.shape[1], self.manifold.shape
        rows = jacobian(lambda v: self._omega(v[..., :n], v[..., n:]), self._joint(z, vartheta), 1, len(shape))
        flat = rows.reshape(len(z), self.manifold.size, -1)
        root = self._root(self.point(z, vartheta, scale))
        return Factor(*self._split((root @ flat).swapaxes(0, 1), n))

    def rank(self, n: int) -> int:
        return self.manifold.size if self.metric is not None else self.manifold.dim

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return (self.factor(z, vartheta, scale).outputs ** 2).sum(axis=0)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        raise DeclarationError(
            f"OutputMap onto {self.manifold} is not a distribution, so no targets can be drawn from it: use a metric "
            "other than the Monte Carlo ones"
        )

    def answers(self, point: NDArray) -> NDArray | None:
        return None

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        values = numeric_targets(targets, name)
        if values.shape[:1] != (samples,):
            raise DataError(f"targets of {name!r} hold {samples} samples, received shape {values.shape}")
        check_finite(values, name)
        return values


def square_root(omega: NDArray) -> NDArray:
    """R (..., n, n) with R^T R = omega (..., n, n); DeclarationError for what is not positive semi-definite."""
    values, vectors = np.linalg.eigh(omega)
    if not holds(values >= -1e-9 * np.abs(values).max()):
        raise DeclarationError(f"Omega must be positive semi-definite, received an eigenvalue {values.min():.3g}")
    return np.sqrt(np.maximum(values, 0.0))[..., :, None] * vectors.swapaxes(-1, -2)
