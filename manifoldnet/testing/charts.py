"""A chart is a diffeomorphism with the derivatives that it says."""

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ChartError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold

STEP = 1e-5
ROUND_TRIP = 1e-9
SLOPE = 1e-6


def check_chart(
    chart: Chart | str, manifold: Manifold, points: NDArray | None = None, samples: int = 20, seed: int = 0
) -> None:
    """Raise AssertionError, with the point, unless coordinates and points lead to each other and frames are derivatives.

    `points` (samples, *shape) are looked at, or random ones of the manifold. Also: that coordinates of a batch are those
    of its points one by one, that points are on the manifold, that the domain holds the coordinates, and that an affine
    chart is affine and another is not.
    """
    chosen = manifold.chart(chart)
    given = manifold.sample(numpy.random.default_rng(seed), samples) if points is None else numpy.asarray(points, float)
    name = f"chart {chosen.name!r} of {manifold}"
    try:
        coordinates = chosen.coordinates_of(given)
        back = chosen.point_of(coordinates)
    except ChartError as error:
        raise AssertionError(str(error)) from error
    _close(back, given, ROUND_TRIP, f"{name}: to_point(to_coordinates(point))", given)
    _close(chosen.to_coordinates(back), coordinates, ROUND_TRIP, f"{name}: to_coordinates(to_point(u))", given)
    one_by_one = numpy.stack([chosen.to_coordinates(point) for point in given])
    _close(one_by_one, coordinates, ROUND_TRIP, f"{name}: coordinates of single points and of a batch", given)
    if not manifold.contains(back).all():
        raise AssertionError(f"{name}: to_point leads off the manifold: {manifold.explain(back)}")
    _check_frames(chosen, coordinates, given, name)
    _check_affine(chosen, manifold, given, coordinates, name)


def _check_frames(chart: Chart, coordinates: NDArray, points: NDArray, name: str) -> None:
    slopes = []
    for direction in numpy.eye(coordinates.shape[-1]):
        ahead, behind = (chart.to_point(coordinates + sign * STEP * direction) for sign in (1.0, -1.0))
        slopes.append(((ahead - behind) / (2.0 * STEP)).reshape(len(points), -1))
    frame = chart.frame(points)
    _close(frame, numpy.stack(slopes, axis=-1), SLOPE, f"{name}: frame against central differences of to_point", points)
    identity = numpy.broadcast_to(numpy.eye(coordinates.shape[-1]), (len(points), *[coordinates.shape[-1]] * 2))
    _close(chart.coframe(points) @ frame, identity, SLOPE, f"{name}: coframe @ frame", points)


def _check_affine(chart: Chart, manifold: Manifold, points: NDArray, coordinates: NDArray, name: str) -> None:
    if not chart.is_affine or manifold.hull_dim != manifold.dim:
        return
    expected = manifold.hull(points) @ chart.scale.T + chart.shift
    _close(coordinates, expected, ROUND_TRIP, f"{name}: the affine function that it says it is", points)


def _close(found: NDArray, expected: NDArray, tolerance: float, what: str, points: NDArray) -> None:
    found, expected = (numpy.asarray(values, float).reshape(len(points), -1) for values in (found, expected))
    size = 1.0 + numpy.abs(expected).max(axis=1)
    gaps = numpy.abs(found - expected).max(axis=1) / size
    worst = int(numpy.argmax(numpy.where(numpy.isnan(gaps), numpy.inf, gaps)))
    if not gaps[worst] <= tolerance:
        raise AssertionError(
            f"{what} deviates by {gaps[worst]:.1e} (at most {tolerance:.0e} expected) at the point "
            f"{points[worst].tolist()}: found {found[worst].tolist()}, expected {expected[worst].tolist()}"
        )
