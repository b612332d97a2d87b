"""What a manifold is: a set of points in reference coordinates, with charts, frames and retractions."""

import abc
import math
from collections.abc import Mapping

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import ChartError, ShapeError
from manifoldnet.geometry.arrays import first_index
from manifoldnet.geometry.chart import Chart
from manifoldnet.numpy.dispatch import Array, is_traced

# Absolute tolerance of membership, for points and entries of size one: what a few rounded operations may
# cost, and no more.
TOLERANCE = 1e-9
# The same for numbers of 32 bits, of which rounding leaves seven digits.
COARSE = 1e-5


def tolerance(point: Array) -> float:
    """How far from a manifold rounding may leave a point, by the bits of its numbers.

    >>> tolerance(numpy.zeros(3)), tolerance(numpy.zeros(3, dtype=numpy.float32))
    (1e-09, 1e-05)
    """
    return COARSE if getattr(point, "dtype", None) == numpy.float32 else TOLERANCE


class Manifold(abc.ABC):
    """A set of points, each an array of a fixed `shape` in reference coordinates.

    Every method is batched over leading axes. Tangent vectors at a point are written with `dim` numbers, in
    `frame(point)`. Charts name points by `dim` coordinates.
    """

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one point in reference coordinates."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """The dimension of the manifold."""

    @property
    def size(self) -> int:
        """The number of reference coordinates of one point."""
        return math.prod(self.shape)

    @property
    @abc.abstractmethod
    def requirement(self) -> str:
        """What a point must satisfy, as the end of the sentence "a point has ..."."""

    @abc.abstractmethod
    def _holds(self, point: Array) -> Array:
        """Membership (...) of points (..., *shape), in which what is not finite has been replaced by zero.

        Written with `manifoldnet.numpy`: compiled steps ask it too.
        """

    def contains(self, point: Array) -> Array:
        """Whether each point (..., *shape) is on the manifold, within 1e-9: boolean, shape (...). NaN never is.

        Numbers of 32 bits may be 1e-5 away.
        Raises `ShapeError` where the last axes are not those of a point.

        >>> from manifoldnet.geometry import Interval
        >>> Interval(0, 1).contains([[0.0], [1.5]]).tolist()
        [True, False]
        """
        if not is_traced(point):
            point = numpy.asarray(point)
            point = point if point.dtype == numpy.float32 else point.astype(numpy.float64, copy=False)
        if point.shape[point.ndim - len(self.shape) :] != self.shape or point.ndim < len(self.shape):
            raise ShapeError(
                f"points of {self} have the shape (..., {', '.join(map(str, self.shape))}); received {point.shape}"
            )
        finite = np.isfinite(point).all(axis=tuple(range(-len(self.shape), 0)))
        with numpy.errstate(all="ignore"):
            return finite & self._holds(np.where(np.isfinite(point), point, 0.0))

    def explain(self, point: Array) -> str:
        """One line: what a point must satisfy and what the first bad one is, for the messages of errors.

        >>> from manifoldnet.geometry import Positive
        >>> Positive(1).explain([[1.0], [-2.0]])
        'a point of Positive(n=1) has positive entries; the point at index (1,) is [-2.0]'
        """
        rule = f"a point of {self} has {self.requirement}"
        try:
            bad = ~self.contains(point)
        except ShapeError as error:
            return f"{rule}; {error}"
        if not bad.any():
            return f"{rule}; all points received satisfy this"
        index = first_index(bad)
        return f"{rule}; the point at index {index} is {numpy.asarray(point, dtype=numpy.float64)[index].tolist()}"

    @property
    @abc.abstractmethod
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts; read-only."""

    @property
    @abc.abstractmethod
    def default_chart(self) -> str | None:
        """The chart used where none is chosen; None where none covers every point (centred frames serve)."""

    def chart(self, name_or_chart: str | Chart) -> Chart:
        """The chart of that name, or a chart of the caller's own, told the shape of a point here.

        Raises `ChartError`, listing the names of the atlas, for a name that is not one of them.

        >>> from manifoldnet.geometry import Positive
        >>> Positive(1).chart("log").name
        'log'
        """
        if isinstance(name_or_chart, Chart):
            return self._adopt(name_or_chart)
        if not isinstance(name_or_chart, str) or name_or_chart not in self.atlas:
            raise ChartError(
                f"{self} has no chart {name_or_chart!r}; expected one of "
                f"{', '.join(map(repr, self.atlas))}, or a Chart of your own"
            )
        return self.atlas[name_or_chart]

    def _adopt(self, chart: Chart) -> Chart:
        """A caller's chart, after a look at what it makes of three points."""
        points = self.sample(numpy.random.default_rng(0), 3)
        with numpy.errstate(all="ignore"):
            coordinates = chart.to_coordinates(points)
        if np.shape(coordinates) != (3, self.dim):
            raise ChartError(
                f"chart {chart.name!r} turns points of shape {points.shape} into coordinates of shape "
                f"{np.shape(coordinates)}; expected {(3, self.dim)} on {self}"
            )
        if chart.is_affine and not np.isclose(coordinates, self.hull(points) @ chart.scale.T + chart.shift).all():
            raise ChartError(
                f"chart {chart.name!r} says that it is affine, but its coordinates are not hull @ scale.T + shift on "
                f"{self}; leave scale and shift away, or use Chart.affine"
            )
        return chart if chart.point_ndim == len(self.shape) else attrs.evolve(chart, point_ndim=len(self.shape))

    @property
    @abc.abstractmethod
    def hull_dim(self) -> int:
        """The dimension of the affine hull of the points."""

    @property
    @abc.abstractmethod
    def is_whole_hull(self) -> bool:
        """Whether every point of the affine hull is a point of the manifold."""

    @abc.abstractmethod
    def hull(self, point: Array) -> Array:
        """Affine coordinates (..., hull_dim) of points (..., *shape), linear in them and differentiable."""

    @abc.abstractmethod
    def from_hull(self, hull: Array) -> Array:
        """The points (..., *shape) with these affine coordinates (..., hull_dim); inverse of `hull`."""

    @property
    @abc.abstractmethod
    def frame_is_identity(self) -> bool:
        """Whether `frame` is the identity everywhere, so that multiplying by it can be skipped."""

    @abc.abstractmethod
    def frame(self, point: Array) -> Array:
        """A basis of the tangent space at each point, (..., size, dim), in flattened reference coordinates."""

    @abc.abstractmethod
    def coframe(self, point: Array) -> Array:
        """The numbers of a tangent vector in the frame, (..., dim, size): coframe @ frame is the identity."""

    @abc.abstractmethod
    def retract(self, point: Array, tangent: Array) -> Array:
        """The point reached from `point` along `tangent` (..., dim): on the manifold, and exact to first order."""

    @abc.abstractmethod
    def tangent_to(self, point: Array, other: Array) -> Array:
        """The tangent (..., dim) along which `retract` reaches `other`, where there is one."""

    def centred(self, point: Array) -> Chart:
        """Coordinates centred at one point: zero there, with `frame(point)` as frame, and `retract` to go back.

        Raises `ShapeError` for anything but one point, `ChartError` for one that is not on the manifold.

        >>> from manifoldnet.geometry import Positive
        >>> Positive(1).centred([2.0]).to_point(numpy.array([[0.0], [2.0]])).round(3).tolist()
        [[2.0], [5.437]]
        """
        point = numpy.asarray(point, dtype=numpy.float64)
        if point.shape != self.shape:
            raise ShapeError(
                f"centred coordinates on {self} need one point of shape {self.shape}; received {point.shape}"
            )
        if not self.contains(point):
            raise ChartError(f"no coordinates can be centred there: {self.explain(point)}")
        if self.is_whole_hull:
            return Chart.affine("centred", self, 1.0, -self.hull(point))
        return Chart(
            "centred",
            lambda other: self.tangent_to(point, other),
            lambda tangent: self.retract(point, tangent),
            point_ndim=len(self.shape),
        )

    @abc.abstractmethod
    def riemannian(self, point: Array) -> Array | None:
        """The metric that the manifold declares, in `frame(point)`, (..., dim, dim); None if it declares none."""

    @abc.abstractmethod
    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Random points well inside, (count, *shape), to probe maps with and to start parameters from."""

    @property
    @abc.abstractmethod
    def centre(self) -> float:
        """The middle of the reference coordinates, for initial weights: of an interval its mid-point, else zero."""

    @property
    @abc.abstractmethod
    def scale(self) -> float:
        """The spread of the reference coordinates about `centre`: of an interval half its width, else one."""
