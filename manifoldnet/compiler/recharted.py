"""Affine units whose parameters are written in a smooth chart of the user's."""

from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.stage import Contribution, Linearisation, Points, Reading, Slot, Stage
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.geometry.chart import Chart
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.units import Units, Whole


@final
@attrs.frozen(eq=False)
class RechartedStage(Stage):
    """A stage in affine coordinates, and the chart in which its units' parameters are stored.

    `affine` has a flat vector of its own, unit after unit. A quasi-diagonal tensor is formed in affine
    coordinates and pulled back, so its units keep full blocks here (definition 23 applied to a matrix in
    a chart that is not affine would be another metric).
    """

    affine: Stage
    chart: Chart
    stored: NDArray[numpy.int_]
    group: Whole

    @property
    def slots(self) -> tuple[Slot, ...]:  # type: ignore[override]
        return self.affine.slots

    @property
    def inner_dim(self) -> int:  # type: ignore[override]
        return self.affine.inner_dim

    @property
    def parent_layers(self) -> tuple[str, ...]:
        return self.affine.parent_layers

    def linearise(
        self, theta: NDArray, points: Points, weights: tuple[Any, NDArray] | None = None
    ) -> "RechartedLinearisation":
        parameters = self._affine_parameters(theta)
        return RechartedLinearisation(self, self.affine.linearise(parameters, points), self._frame(parameters))

    def _frame(self, parameters: NDArray) -> NDArray:
        return self.chart.frame(parameters.reshape(self.group.index.shape))

    def _affine_parameters(self, theta: NDArray) -> NDArray:
        return numpy.asarray(self.chart.to_point(theta[self.stored])).reshape(-1)

    def reduced_blocks(self, theta: NDArray, entries: Entries) -> NDArray:
        """The reduced blocks (units, p, p) of averaged entries in affine coordinates, pulled back to the chart."""
        frame = self._frame(self._affine_parameters(theta))
        return frame.swapaxes(1, 2) @ self.in_order(entries.block(), 2) @ frame

    @property
    def may_leave(self) -> bool:  # type: ignore[override]
        return self.affine.may_leave

    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        """The quasi-diagonal reduction of these blocks, which is made in affine coordinates."""
        group = self.affine.group
        assert isinstance(group, Units)
        return self.reduced_blocks(theta, entries_of_blocks(group, self.in_affine_coordinates(theta, blocks)))

    def in_affine_coordinates(self, theta: NDArray, blocks: NDArray) -> NDArray:
        """Blocks of the chart (units, p, p) as the affine stage would have them, ordered as its group's index."""
        group, order = self.affine.group, self._order
        assert isinstance(group, Units)
        inverse = numpy.linalg.inv(self._frame(self._affine_parameters(theta)))
        spread = numpy.zeros((len(blocks), group.width, group.width))
        units = numpy.arange(len(blocks))[:, None, None]
        spread[units, order[:, :, None], order[:, None, :]] = inverse.swapaxes(1, 2) @ blocks @ inverse
        return spread

    @property
    def _order(self) -> NDArray[numpy.int_]:
        """(units, p): where the affine group's index holds each entry of a unit; its padding is left out."""
        assert self.affine.group is not None
        return numpy.argsort(self.affine.group.index, axis=1)[:, : self.group.width]

    def in_order(self, values: NDArray, axes: int) -> NDArray:
        """From the order of the affine group's index to that of the flat vector, on the last `axes` axes."""
        order = self._order
        if axes == 1:
            return numpy.take_along_axis(values, numpy.broadcast_to(order, (*values.shape[:-1], order.shape[1])), -1)
        rows = numpy.take_along_axis(values, order[:, :, None], axis=1)
        return numpy.take_along_axis(rows, order[:, None, :], axis=2)

    def bytes_per_sample(self) -> int:
        return self.affine.bytes_per_sample()

    def pull_bytes_per_sample(self) -> int:
        return self.affine.pull_bytes_per_sample()

    def block_bytes_per_sample(self) -> int:
        return self.affine.block_bytes_per_sample()

    def describe(self) -> str:
        return f"{self.affine.describe()}, parameters in chart {self.chart.name}"


@final
@attrs.frozen(eq=False)
class RechartedLinearisation(Linearisation):
    """Everything about activities is the affine stage's; contractions with parameters are pulled back."""

    stage: RechartedStage
    affine: Linearisation
    frame: NDArray

    @property
    def points(self) -> NDArray:  # type: ignore[override]
        return self.affine.points

    @property
    def to_inner(self) -> Rate:
        return self.affine.to_inner

    def read(self, scale: Scale, outer: bool) -> Reading | None:
        return self.affine.read(scale, outer)

    def push(self, tangent: NDArray, parents: Points, weights: tuple[Any, NDArray] | None = None) -> NDArray:
        group = self.stage.affine.group
        assert group is not None
        affine = (self.frame @ tangent[..., None])[..., 0]
        return self.affine.push(numpy.append(affine, 0.0)[group.index], parents)

    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        return self.affine.pull_covectors(inner)

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        return self.affine.pull_moduli(inner)

    def gradient(self, inner: NDArray) -> NDArray:
        return self._pulled(self.stage.in_order(self.affine.gradient(inner), 1))

    def rows(self, inner: NDArray) -> NDArray:
        return self._pulled(self.stage.in_order(self.affine.rows(inner), 1))

    def block(self, modulus: NDArray) -> NDArray:
        blocks = self.stage.in_order(self.affine.block(modulus), 2)
        return self.frame.swapaxes(1, 2) @ blocks @ self.frame

    def quasi(self, modulus: NDArray) -> Entries:
        # in affine coordinates: the reduction of a sum is not the sum of the reductions
        entries = self.affine.quasi(modulus)
        assert isinstance(entries, Entries)
        return entries

    def diagonal(self, modulus: NDArray) -> NDArray:
        return numpy.diagonal(self.block(modulus), axis1=1, axis2=2)

    def _pulled(self, covectors: NDArray) -> NDArray:
        return (covectors[..., None, :] @ self.frame)[..., 0, :]
