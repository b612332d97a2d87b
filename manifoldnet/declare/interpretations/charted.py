"""An interpretation whose output metric is written in a chart of its output manifold."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.interpretations.interpretation import Factor, Interpretation, Scale, Score
from manifoldnet.declare.interpretations.output_map import square_root
from manifoldnet.errors import NumericalError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.derivatives import jacobian
from manifoldnet.numpy.dispatch import holds


@final
@attrs.frozen(eq=False)
class Charted(Interpretation):
    """The same interpretation with omega and Omega in the coordinates of a chart of the output manifold.

    domega comes from the chart's coordinates of omega by automatic differentiation, and Omega from the chart's
    frame, so that nothing is shared with the closed forms; a network cannot tell the difference. `point` still
    gives reference coordinates. Raises NumericalError where the chart cannot hold an output, which a
    saturated one may be.
    """

    interpretation: Interpretation
    chart: Chart

    @property
    def scales(self) -> tuple[Scale, ...]:
        return self.interpretation.scales

    def check(self, manifolds: Sequence[Manifold]) -> None:
        self.interpretation.check(manifolds)

    def parameters(self, n: int) -> int:
        return self.interpretation.parameters(n)

    def initial(self, n: int) -> NDArray:
        return self.interpretation.initial(n)

    def point(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return self.interpretation.point(z, vartheta, scale)

    def output_manifold(self, n: int) -> Manifold:
        return self.interpretation.output_manifold(n)

    def output_metric(self, point: NDArray) -> NDArray:
        return self.interpretation.output_metric(point)

    def loss(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> NDArray:
        return self.interpretation.loss(z, vartheta, targets, scale)

    def score(self, z: NDArray, vartheta: NDArray, targets: NDArray, scale: Scale) -> Score:
        return self.interpretation.score(z, vartheta, targets, scale)

    def factor(self, z: NDArray, vartheta: NDArray, scale: Scale) -> Factor:
        n = z.shape[1]
        joint = np.concatenate([z, np.broadcast_to(vartheta, (len(z), vartheta.size))], axis=1)
        moved = jacobian(lambda v: self._coordinates(v[..., :n], v[..., n:], scale), joint, 1, 1)
        rows = (self._root(z, vartheta, scale) @ moved).swapaxes(0, 1)
        if not holds(np.isfinite(rows)):
            raise NumericalError(
                f"chart {self.chart.name!r} of the output manifold cannot hold the outputs: they lie on its edge to "
                "rounding. Use a chart that holds them, or the interpretation's own"
            )
        return Factor(rows[..., :n], rows[..., n:] if vartheta.size else None)

    def _coordinates(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return self.chart.to_coordinates(np.asarray(self.interpretation.point(z, vartheta, scale)))

    def _root(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        """R (samples, dim, dim) with R^T R = Omega in the chart's coordinates."""
        point = self.interpretation.point(z, vartheta, scale)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            own = self.output_metric(point)
            # from the chart's coordinates to the frame in which the manifold writes tangents
            turn = self.output_manifold(z.shape[1]).coframe(point) @ self.chart.frame(point)
            omega = turn.swapaxes(-1, -2) @ own @ turn
        if not holds(np.isfinite(omega)):
            return numpy.full(omega.shape, numpy.nan)
        return square_root(omega)

    def rank(self, n: int) -> int:
        return self.output_manifold(n).dim

    def modulus(self, z: NDArray, vartheta: NDArray, scale: Scale) -> NDArray:
        return (self.factor(z, vartheta, scale).outputs ** 2).sum(axis=0)

    def sample(self, rng: numpy.random.Generator, z: NDArray, vartheta: NDArray, scale: Scale, draws: int) -> NDArray:
        return self.interpretation.sample(rng, z, vartheta, scale, draws)

    def answers(self, point: NDArray) -> NDArray | None:
        return self.interpretation.answers(point)

    def check_targets(self, targets: Any, samples: int, n: int, name: str) -> NDArray:
        return self.interpretation.check_targets(targets, samples, n, name)
