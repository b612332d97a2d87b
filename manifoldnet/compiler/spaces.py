"""The spaces of a network in their charts: activities with frames, parameters with steps."""

import abc
from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import NumericalError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold


@final
@attrs.frozen(eq=False, slots=False)
class ActivitySpace:
    """Points (..., size) of an activity manifold, with the frame in which tangents and covectors are written.

    The frame comes from the chart, or from the manifold at each point where there is no global chart. Of an input
    layer's points nobody asks how anything depends on them.
    """

    manifold: Manifold
    chart: Chart | None
    layer: str
    is_input: bool = False

    @cached_property
    def dim(self) -> int:
        return self.manifold.dim

    @cached_property
    def size(self) -> int:
        return self.manifold.size

    @cached_property
    def is_trivial(self) -> bool:
        """Whether coordinates are the reference coordinates, so that frames are the identity."""
        return self.manifold.frame_is_identity and self.chart is not None and self.chart.is_identity

    def shaped(self, points: NDArray) -> NDArray:
        return points.reshape(*points.shape[:-1], *self.manifold.shape)

    def frame(self, points: NDArray) -> NDArray:
        """d point/d coordinates, (samples, units, size, dim); raises NumericalError where a unit has none."""
        owner = self.manifold if self.chart is None else self.chart
        # a saturated unit stands at infinity in some charts: looked at afterwards, and told by name
        with numpy.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._finite(owner.frame(self.shaped(points)), points)

    def coframe(self, points: NDArray) -> NDArray:
        """d coordinates/d point, (samples, units, dim, size), a left inverse of the frame; raises as `frame`."""
        owner = self.manifold if self.chart is None else self.chart
        with numpy.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._finite(owner.coframe(self.shaped(points)), points)

    def _finite(self, derivative: NDArray, points: NDArray) -> NDArray:
        if numpy.isfinite(derivative).all() or not numpy.isfinite(points).all():
            return derivative
        sample, unit = numpy.argwhere(~numpy.isfinite(derivative).all(axis=(-2, -1)))[0]
        chart = "its manifold's own coordinates" if self.chart is None else f"its chart {self.chart.name!r}"
        raise NumericalError(
            f"unit {self.layer}[{unit}] is at {points[sample, unit].tolist()} on sample {sample}, where {chart} cannot hold "
            "it: a saturated unit. Give the layer a chart that reaches so far, such as chart='identity', or smaller weights"
        )

    @cached_property
    def reads_chart(self) -> bool:
        """Whether affine units read this space through its chart, which they do if it is affine."""
        return self.chart is not None and self.chart.is_affine

    def reading(self, points: NDArray) -> NDArray:
        """What affine units read, (..., hull_dim): affine coordinates, or else the affine hull."""
        if self.is_trivial:
            return points
        hull = self.manifold.hull(self.shaped(points))
        if not self.reads_chart:
            return hull
        assert self.chart is not None and self.chart.scale is not None and self.chart.shift is not None
        return hull @ self.chart.scale.T + self.chart.shift

    def reading_frame(self, points: NDArray) -> NDArray | None:
        """d reading/d coordinates, (..., hull_dim, dim), or None where it is the identity."""
        if self.reads_chart:
            return None
        columns = numpy.moveaxis(self.frame(points), -1, -2)
        return numpy.moveaxis(self.manifold.hull(self.shaped(columns)), -1, -2)


class ParameterSpace(abc.ABC):
    """What the stored numbers (units, stored) of a layer's parameters mean."""

    manifold: Manifold
    stored: int
    dim: int

    @abc.abstractmethod
    def points(self, stored: NDArray) -> NDArray:
        """The points, in flattened reference coordinates, (units, size)."""

    @abc.abstractmethod
    def frame(self, stored: NDArray) -> NDArray | None:
        """d point/d tangent (units, size, dim), or None where it is the identity."""

    @abc.abstractmethod
    def coframe(self, stored: NDArray) -> NDArray | None:
        """d tangent/d point (units, dim, size), or None where it is the identity."""

    @abc.abstractmethod
    def riemannian(self, stored: NDArray) -> NDArray | None:
        """The metric that the manifold declares, on tangents (units, dim, dim), or None if it declares none."""

    @abc.abstractmethod
    def step(self, stored: NDArray, tangent: NDArray) -> NDArray:
        """The stored numbers after a step along `tangent` (units, dim)."""

    @abc.abstractmethod
    def store(self, points: NDArray) -> NDArray:
        """The stored numbers of points (units, *shape)."""


@final
@attrs.frozen(eq=False)
class StoredPoints(ParameterSpace):
    """Points in reference coordinates; tangents in the manifold's frame there; steps by its retraction."""

    manifold: Manifold

    @property
    def stored(self) -> int:  # type: ignore[override]
        return self.manifold.size

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.manifold.dim

    def points(self, stored: NDArray) -> NDArray:
        return stored

    def frame(self, stored: NDArray) -> NDArray | None:
        if self.manifold.frame_is_identity:
            return None
        return self.manifold.frame(self._shaped(stored))

    def coframe(self, stored: NDArray) -> NDArray | None:
        if self.manifold.frame_is_identity:
            return None
        return self.manifold.coframe(self._shaped(stored))

    def riemannian(self, stored: NDArray) -> NDArray | None:
        return self.manifold.riemannian(self._shaped(stored))

    def step(self, stored: NDArray, tangent: NDArray) -> NDArray:
        return self.manifold.retract(self._shaped(stored), tangent).reshape(stored.shape)

    def store(self, points: NDArray) -> NDArray:
        return points.reshape(len(points), self.stored)

    def _shaped(self, stored: NDArray) -> NDArray:
        return stored.reshape(len(stored), *self.manifold.shape)


@final
@attrs.frozen(eq=False)
class StoredCoordinates(ParameterSpace):
    """Coordinates in a chart; tangents and additive steps in the same coordinates."""

    manifold: Manifold
    chart: Chart

    @property
    def stored(self) -> int:  # type: ignore[override]
        return self.manifold.dim

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.manifold.dim

    def points(self, stored: NDArray) -> NDArray:
        return self.chart.to_point(stored).reshape(len(stored), self.manifold.size)

    def frame(self, stored: NDArray) -> NDArray | None:
        return None if self._is_trivial else self.chart.frame(self.chart.to_point(stored))

    def coframe(self, stored: NDArray) -> NDArray | None:
        return None if self._is_trivial else self.chart.coframe(self.chart.to_point(stored))

    @property
    def _is_trivial(self) -> bool:
        # the identity chart of a curved manifold has fewer coordinates than its points have numbers
        return self.chart.is_identity and self.manifold.frame_is_identity

    def riemannian(self, stored: NDArray) -> NDArray | None:
        points = self.chart.to_point(stored)
        declared = self.manifold.riemannian(points)
        if declared is None:
            return None
        # from the chart's coordinates to the frame in which the manifold writes tangents
        turn = self.manifold.coframe(points) @ self.chart.frame(points)
        return turn.swapaxes(-1, -2) @ declared @ turn

    def step(self, stored: NDArray, tangent: NDArray) -> NDArray:
        return stored + tangent

    def store(self, points: NDArray) -> NDArray:
        return numpy.asarray(self.chart.to_coordinates(points))
