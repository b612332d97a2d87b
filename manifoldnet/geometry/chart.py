"""Charts: coordinates on a manifold, and the points that they name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import ChartError
from manifoldnet.geometry.arrays import block_diagonal, first_index
from manifoldnet.numpy.derivatives import jacobian
from manifoldnet.numpy.dispatch import Array
from manifoldnet.shown import html_of, svg_of

if TYPE_CHECKING:
    from manifoldnet.geometry.manifold import Manifold
    from manifoldnet.geometry.product import Product

# How far a point may come back from its coordinates, relative to its size, before its chart cannot hold it.
ROUND_TRIP = 1e-6


def _constant(value: Any) -> Array:
    """A read-only float64 copy; None stays None."""
    if value is None:
        return None
    array = numpy.array(value, dtype=numpy.float64)
    array.flags.writeable = False
    return array


@final
@attrs.frozen(eq=False)
class Chart:
    """Coordinates on (an open part of) a manifold, with the way back.

    to_coordinates: points (..., *shape) -> coordinates (..., dim); to_point is its inverse. Both are written
    with `manifoldnet.numpy`, broadcast over leading axes, and check nothing. `domain` says which coordinates
    (..., dim) name a point, None meaning all. An affine chart gives `scale` (dim, dim) and `shift` (dim,):
    coordinates = hull @ scale.T + shift, with the point's affine coordinates `Manifold.hull`. `point_ndim` is
    the number of axes of one point; `Manifold.chart` sets it.

    Raises `ChartError` when the parts do not fit together. Two charts are equal only if they are one object.

    >>> from manifoldnet import numpy as np
    >>> cube = Chart("cube", lambda p: p**3, lambda u: np.cbrt(u))
    >>> cube.frame(numpy.array([2.0])).round(6).tolist()
    [[0.083333]]
    """

    name: str
    to_coordinates: Callable[[Array], Array] = attrs.field(repr=False)
    to_point: Callable[[Array], Array] = attrs.field(repr=False)
    domain: Callable[[Array], Array] | None = attrs.field(default=None, kw_only=True, repr=False)
    scale: Array = attrs.field(default=None, kw_only=True, repr=False, converter=_constant)
    shift: Array = attrs.field(default=None, kw_only=True, repr=False, converter=_constant)
    point_ndim: int = attrs.field(default=1, kw_only=True, repr=False)
    _frame: Array = attrs.field(default=None, kw_only=True, repr=False, converter=_constant)
    _coframe: Array = attrs.field(default=None, kw_only=True, repr=False, converter=_constant)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ChartError(f"a chart received the name {self.name!r}; expected a word, e.g. Chart('cube', ...)")
        for role in ("to_coordinates", "to_point"):
            if not callable(getattr(self, role)):
                raise ChartError(
                    f"chart {self.name!r}: {role} is {getattr(self, role)!r}; expected a function of one array"
                )
        if (self.scale is None) != (self.shift is None):
            raise ChartError(
                f"chart {self.name!r} has only one of scale and shift; expected both for an affine chart, "
                "neither for any other"
            )
        if self.is_affine:
            _inverse(self.name, self.scale, self.shift)

    @classmethod
    def affine(cls, name: str, manifold: Manifold, scale: Array, shift: Array = 0.0) -> Self:
        """The chart whose coordinates are hull @ scale.T + shift.

        `scale` is a number, (dim,) or (dim, dim); `shift` is a number or (dim,). Raises `ChartError` on a
        manifold whose affine hull has more dimensions than itself (a sphere), and for a singular scale.

        >>> from manifoldnet.geometry import Interval
        >>> signed = Chart.affine("signed", Interval(0, 1), 2.0, -1.0)
        >>> signed.to_coordinates(numpy.array([0.75])).tolist()
        [0.5]
        """
        if manifold.hull_dim != manifold.dim:
            raise ChartError(
                f"chart {name!r}: {manifold} has dimension {manifold.dim} and an affine hull of dimension "
                f"{manifold.hull_dim}, so no chart on it is affine; use another of its charts, or coordinates "
                "centred at a point"
            )
        matrix, vector = _square(name, scale, manifold), _vector(name, "shift", shift, manifold)
        to_coordinates, to_point = _affine_functions(name, manifold, matrix, vector)
        return cls(
            name,
            to_coordinates,
            to_point,
            domain=None if manifold.is_whole_hull else lambda u: manifold.contains(to_point(u)),
            scale=matrix,
            shift=vector,
            point_ndim=len(manifold.shape),
            **_constant_frames(manifold, matrix),
        )

    def _repr_html_(self) -> str | None:
        """Its kind, and its graph where points have one dimension."""
        return html_of(self)

    def _repr_svg_(self) -> str | None:
        return svg_of(self)

    @property
    def is_affine(self) -> bool:
        """Whether the coordinates are an affine function of the affine hull's."""
        return self.scale is not None

    @property
    def is_identity(self) -> bool:
        """Whether the coordinates are those of the affine hull."""
        return self.is_affine and not self.shift.any() and bool((self.scale == numpy.eye(len(self.shift))).all())

    def frame(self, point: Array) -> Array:
        """The derivative of `to_point` at each point, (..., size, dim), in flattened reference coordinates.

        Raises `MapError` where `to_point` or `to_coordinates` does not broadcast over leading axes.
        """
        leading, size = self._split(point)
        if self._frame is not None:
            return numpy.broadcast_to(self._frame, leading + self._frame.shape)
        slopes = jacobian(self.to_point, self.to_coordinates(point), 1, self.point_ndim)
        return np.reshape(slopes, (*leading, size, np.shape(slopes)[-1]))

    def coframe(self, point: Array) -> Array:
        """The derivative of `to_coordinates` at each point, (..., dim, size), to be applied to tangent vectors."""
        leading, size = self._split(point)
        if self._coframe is not None:
            return numpy.broadcast_to(self._coframe, leading + self._coframe.shape)
        slopes = jacobian(self.to_coordinates, point, self.point_ndim, 1)
        return np.reshape(slopes, (*leading, np.shape(slopes)[len(leading)], size))

    def _split(self, point: Array) -> tuple[tuple[int, ...], int]:
        axes = np.shape(point)
        cut = len(axes) - self.point_ndim
        return axes[:cut], math.prod(axes[cut:])

    def coordinates_of(self, point: Array) -> Array:
        """The coordinates (..., dim) of points, checked.

        Raises `ChartError` naming the first point that the chart cannot hold: its coordinates are not finite,
        outside the domain, or do not lead back to it.

        >>> from manifoldnet.geometry import Interval
        >>> Interval(0, 1).chart("log-odds").coordinates_of(numpy.array([[0.5], [1.0]]))
        Traceback (most recent call last):
            ...
        manifoldnet.errors.ChartError: chart 'log-odds' cannot hold the point [1.0] at index (1,): ...
        """
        point = numpy.asarray(point, dtype=numpy.float64)
        axes = tuple(range(-self.point_ndim, 0))
        with numpy.errstate(all="ignore"):
            coordinates = self.to_coordinates(point)
            held = self._names_points(coordinates)
            error = numpy.abs(self.to_point(coordinates) - point).max(axis=axes)
            held = held & (error <= ROUND_TRIP * (1.0 + numpy.abs(point).max(axis=axes)))
        if not numpy.all(held):
            index = first_index(~held)
            raise ChartError(
                f"chart {self.name!r} cannot hold the point {point[index].tolist()} at index {index}: its "
                f"coordinates would be {coordinates[index].tolist()}. Expected a point of the open part that the "
                "chart covers; use another chart (the identity chart of a bounded manifold holds its boundary)"
            )
        return coordinates

    def point_of(self, coordinates: Array) -> Array:
        """The points (..., *shape) that coordinates (..., dim) name, checked.

        Raises `ChartError` naming the first coordinates that are not finite or outside the domain.

        >>> from manifoldnet.geometry import Positive
        >>> Positive(1).chart("log").point_of([0.0]).tolist()
        [1.0]
        """
        coordinates = numpy.asarray(coordinates, dtype=numpy.float64)
        with numpy.errstate(all="ignore"):
            held = self._names_points(coordinates)
        if not numpy.all(held):
            index = first_index(~held)
            raise ChartError(
                f"chart {self.name!r}: the coordinates {coordinates[index].tolist()} at index {index} name no "
                "point; expected finite ones inside its domain. Use a chart whose domain is everything"
            )
        return self.to_point(coordinates)

    def _names_points(self, coordinates: Array) -> Array:
        finite = numpy.isfinite(coordinates).all(axis=-1)
        if self.domain is None:
            return finite
        return finite & self.domain(numpy.where(finite[..., None], coordinates, 0.0))


def _square(name: str, scale: Array, manifold: Manifold) -> Array:
    array, dim = numpy.asarray(scale, dtype=numpy.float64), manifold.dim
    if array.ndim < 2:
        return numpy.diag(_vector(name, "scale", array, manifold))
    if array.shape != (dim, dim):
        raise ChartError(
            f"chart {name!r}: scale has the shape {array.shape}; expected a number, ({dim},) or ({dim}, {dim}) for "
            f"{manifold}"
        )
    return array


def _vector(name: str, role: str, value: Array, manifold: Manifold) -> Array:
    array = numpy.asarray(value, dtype=numpy.float64)
    if array.shape not in ((), (manifold.dim,)):
        raise ChartError(
            f"chart {name!r}: {role} has the shape {array.shape}; expected a number or one for each of the "
            f"{manifold.dim} coordinates of {manifold}"
        )
    return numpy.broadcast_to(array, (manifold.dim,))


def _inverse(name: str, scale: Array, shift: Array) -> Array:
    """The inverse of a scale. Raises `ChartError` where there is none or the shapes do not agree."""
    if scale.ndim != 2 or scale.shape[0] != scale.shape[1] or shift.shape != scale.shape[:1]:
        raise ChartError(
            f"chart {name!r}: scale has the shape {scale.shape} and shift {shift.shape}; expected (dim, dim) and "
            "(dim,). Chart.affine also takes a number, or one scale for each coordinate"
        )
    if not (numpy.isfinite(scale).all() and numpy.isfinite(shift).all()):
        raise ChartError(f"chart {name!r}: scale {scale.tolist()} or shift {shift.tolist()} is not finite")
    try:
        inverse = numpy.linalg.inv(scale)
    except numpy.linalg.LinAlgError:
        inverse = numpy.zeros_like(scale)
    if numpy.abs(scale @ inverse - numpy.eye(len(shift))).max() > ROUND_TRIP:
        raise ChartError(
            f"chart {name!r}: scale {scale.tolist()} has no inverse, so several points would share their "
            "coordinates; expected an invertible matrix"
        )
    return inverse


def _affine_functions(
    name: str, manifold: Manifold, scale: Array, shift: Array
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    inverse, trivial = _inverse(name, scale, shift), bool((scale == numpy.eye(manifold.dim)).all())

    def to_coordinates(point: Array) -> Array:
        hull = manifold.hull(point)
        return (hull if trivial else hull @ scale.T) + shift

    def to_point(coordinates: Array) -> Array:
        hull = coordinates - shift
        return manifold.from_hull(hull if trivial else hull @ inverse.T)

    return to_coordinates, to_point


def _constant_frames(manifold: Manifold, scale: Array) -> dict[str, Array]:
    """The derivatives of an affine chart: those of `from_hull` and `hull`, read off their values at unit vectors."""
    units = numpy.eye(manifold.hull_dim)
    columns = manifold.from_hull(units) - manifold.from_hull(0.0 * units)
    points = numpy.eye(manifold.size).reshape(manifold.size, *manifold.shape)
    return {
        "frame": columns.reshape(manifold.hull_dim, manifold.size).T @ numpy.linalg.inv(scale),
        "coframe": scale @ manifold.hull(points).T,
    }


def product_chart(name: str, manifold: Product, charts: Sequence[Chart]) -> Chart:
    """One chart for each factor of a product, their coordinates one after another; affine if all are.

    Raises `ChartError` if their number is not the number of factors.

    >>> from manifoldnet.geometry import Positive, Product, Real
    >>> both = Product(Real(1), Positive(1))
    >>> mixed = product_chart("mixed", both, [Real(1).chart("doubled"), Positive(1).chart("log")])
    >>> mixed.to_coordinates(numpy.array([3.0, 1.0])).tolist()
    [6.0, 0.0]
    """
    if len(charts) != len(manifold.factors):
        raise ChartError(
            f"chart {name!r} received {len(charts)} charts; expected one for each of the {len(manifold.factors)} "
            f"factors of {manifold}"
        )
    charts = [factor.chart(chart) for factor, chart in zip(manifold.factors, charts, strict=True)]
    cuts = numpy.cumsum([factor.dim for factor in manifold.factors])[:-1]

    def to_coordinates(point: Array) -> Array:
        return np.concatenate([c.to_coordinates(p) for c, p in zip(charts, manifold.parts(point), strict=True)], -1)

    def to_point(coordinates: Array) -> Array:
        parts = np.split(coordinates, cuts, axis=-1)
        return manifold.join([c.to_point(u) for c, u in zip(charts, parts, strict=True)])

    def domain(coordinates: Array) -> Array:
        parts = zip(charts, np.split(coordinates, cuts, axis=-1), strict=True)
        return numpy.logical_and.reduce([c.domain(u) for c, u in parts if c.domain is not None])

    everywhere = all(chart.domain is None for chart in charts)
    return Chart(
        name, to_coordinates, to_point, domain=None if everywhere else domain, **_product_affine(manifold, charts)
    )


def _product_affine(manifold: Product, charts: Sequence[Chart]) -> dict[str, Array]:
    if not all(chart.is_affine for chart in charts):
        return {}
    scale = block_diagonal([chart.scale for chart in charts])
    shift = numpy.concatenate([chart.shift for chart in charts])
    return {"scale": scale, "shift": shift, **_constant_frames(manifold, scale)}
