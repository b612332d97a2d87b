"""Every manifold: membership, affine hull, frames, retraction, centred coordinates, metric, samples."""

import copy
from typing import Any

import hypothesis
import numpy
import pytest
import scipy.linalg
from hypothesis import strategies

from manifoldnet.errors import ChartError, DeclarationError, ShapeError
from manifoldnet.geometry import SPD, Interval, Manifold, Positive, Product, Real, Simplex, Sphere
from manifoldnet.numpy.derivatives import jacobian
from tests.geometry.table import IDS, ROWS, Row

STEP = 1e-5
every_manifold = pytest.mark.parametrize("row", ROWS, ids=IDS)


def _points(row: Row, count: int = 6) -> numpy.ndarray:
    return row.manifold.sample(numpy.random.default_rng(11), count)


def _tangents(row: Row, count: int = 6, scale: float = 1.0) -> numpy.ndarray:
    return scale * numpy.random.default_rng(12).normal(size=(count, row.dim))


def _ambient(manifold: Manifold, point: numpy.ndarray, tangent: numpy.ndarray) -> numpy.ndarray:
    """The tangent vectors (..., *shape) that have these numbers in the frame."""
    flat = numpy.einsum("...sd,...d->...s", manifold.frame(point), tangent)
    return flat.reshape(point.shape)


@every_manifold
def test_dimensions_and_names(row: Row) -> None:
    manifold = row.manifold
    assert manifold.shape == row.shape
    assert manifold.size == numpy.prod(row.shape)
    assert (manifold.dim, manifold.hull_dim, manifold.default_chart) == (row.dim, row.hull_dim, row.default)
    assert manifold.frame_is_identity is row.flat
    assert set(row.charts) <= set(manifold.atlas)
    assert all(manifold.atlas[name].name == name for name in manifold.atlas)
    if not isinstance(manifold, Product):
        assert set(row.charts) == set(manifold.atlas)
        assert len(manifold.atlas) >= (4 if row.flat else 2)


@every_manifold
def test_membership(row: Row) -> None:
    manifold = row.manifold
    inside = manifold.contains(row.good)
    assert inside.dtype == bool
    assert inside.tolist() == [True] * len(row.good)
    for point in row.bad:
        assert not manifold.contains(point)
    for value in (numpy.nan, numpy.inf, -numpy.inf):
        point = numpy.array(row.good[0], dtype=float)
        point[(0,) * point.ndim] = value
        assert not manifold.contains(point)
    batch = numpy.broadcast_to(row.good[0], (2, 3, *row.shape))
    assert manifold.contains(batch).shape == (2, 3)


@every_manifold
def test_membership_needs_whole_points(row: Row) -> None:
    with pytest.raises(ShapeError, match=r"have the shape \(\.\.\., .*\); received"):
        row.manifold.contains(numpy.zeros((*row.shape[:-1], row.shape[-1] + 1)))
    with pytest.raises(ShapeError, match=r"received \(\)"):
        row.manifold.contains(0.0)


@every_manifold
def test_explanations_name_the_first_bad_point(row: Row) -> None:
    manifold, good = row.manifold, row.good[0]
    assert manifold.explain([good]).endswith("all points received satisfy this")
    bad = numpy.array(good, dtype=float) * numpy.nan
    text = manifold.explain([good, bad, good])
    assert text.startswith(f"a point of {manifold} has {manifold.requirement}; the point at index (1,) is [")
    assert "\n" not in text
    assert "received (" in manifold.explain(numpy.zeros((1, row.shape[-1] + 1)))


@every_manifold
def test_samples_lie_well_inside(row: Row) -> None:
    points = _points(row, 200)
    assert points.shape == (200, *row.shape)
    assert row.manifold.contains(points).all()
    again = row.manifold.sample(numpy.random.default_rng(11), 200)
    assert (again == points).all()
    assert numpy.unique(points.reshape(200, -1), axis=0).shape[0] == 200
    lengths = numpy.linalg.eigvalsh(row.manifold.riemannian(points))
    assert lengths.min() > 1e-2
    assert lengths.max() < 1e2


@every_manifold
def test_hull_coordinates_are_linear_and_complete(row: Row) -> None:
    manifold = row.manifold
    x, y = _points(row), _points(row)[::-1]
    assert manifold.hull(x).shape == (6, row.hull_dim)
    combined = 0.3 * manifold.hull(x) + 0.7 * manifold.hull(y)
    numpy.testing.assert_allclose(manifold.hull(0.3 * x + 0.7 * y), combined, rtol=1e-14, atol=1e-15)
    numpy.testing.assert_allclose(manifold.from_hull(combined), 0.3 * x + 0.7 * y, rtol=1e-14, atol=1e-15)
    slopes = jacobian(manifold.hull, x, len(row.shape), 1)
    numpy.testing.assert_array_equal(slopes, numpy.broadcast_to(slopes[:1], slopes.shape))


@every_manifold
def test_hull_has_no_superfluous_dimension(row: Row) -> None:
    hull = row.manifold.hull(_points(row, 40))
    assert numpy.linalg.matrix_rank(hull - hull.mean(0)) == row.hull_dim


@every_manifold
def test_frames_are_bases_of_the_tangent_space(row: Row) -> None:
    manifold, x = row.manifold, _points(row)
    frame, coframe = manifold.frame(x), manifold.coframe(x)
    assert frame.shape == (6, manifold.size, row.dim)
    assert coframe.shape == (6, row.dim, manifold.size)
    numpy.testing.assert_allclose(
        coframe @ frame, numpy.broadcast_to(numpy.eye(row.dim), (6, row.dim, row.dim)), atol=1e-14
    )
    assert manifold.frame(x[0]).shape == (manifold.size, row.dim)
    assert manifold.frame(x.reshape(2, 3, *row.shape)).shape == (2, 3, manifold.size, row.dim)
    for axis in numpy.eye(row.dim):
        step = STEP * _ambient(manifold, x, numpy.broadcast_to(axis, (6, row.dim)))
        change = (row.conditions(x + step) - row.conditions(x - step)) / (2.0 * STEP)
        numpy.testing.assert_allclose(change, 0.0, atol=1e-9)
    if row.flat:
        numpy.testing.assert_array_equal(frame, numpy.broadcast_to(numpy.eye(row.dim), frame.shape))


@every_manifold
def test_retraction_is_exact_to_first_order(row: Row) -> None:
    manifold, x, v = row.manifold, _points(row), _tangents(row)
    numpy.testing.assert_allclose(manifold.retract(x, 0.0 * v), x, rtol=1e-13, atol=1e-15)
    slope = (manifold.retract(x, STEP * v) - manifold.retract(x, -STEP * v)) / (2.0 * STEP)
    numpy.testing.assert_allclose(slope, _ambient(manifold, x, v), rtol=1e-7, atol=1e-7)


@every_manifold
@hypothesis.given(strategies.integers(0, 2**32 - 1), strategies.floats(0.0, 2.0))
def test_retraction_stays_on_the_manifold_and_can_be_undone(row: Row, seed: int, length: float) -> None:
    manifold, rng = row.manifold, numpy.random.default_rng(seed)
    x = manifold.sample(rng, 3)
    weights = numpy.linalg.inv(numpy.linalg.cholesky(manifold.riemannian(x)))
    v = numpy.einsum("nji,nj->ni", weights, length * rng.normal(size=(3, row.dim)))
    reached = manifold.retract(x, v)
    assert reached.shape == x.shape
    assert manifold.contains(reached).all()
    numpy.testing.assert_allclose(manifold.tangent_to(x, reached), v, rtol=1e-6, atol=1e-6)


@every_manifold
def test_declared_metric_is_that_of_the_distance(row: Row) -> None:
    """To second order the squared distance to a neighbour is the squared length of the step."""
    manifold, x = row.manifold, _points(row, 3)
    metric = manifold.riemannian(x)
    assert metric.shape == (3, row.dim, row.dim)
    for point, matrix in zip(x, metric, strict=True):
        for v in _tangents(row, 3):
            there, back = (manifold.retract(point, sign * 1e-3 * v) for sign in (1.0, -1.0))
            squared = (row.distance2(point, there) + row.distance2(point, back)) / 2e-6
            numpy.testing.assert_allclose(squared, v @ matrix @ v, rtol=3e-4)


@every_manifold
def test_centred_coordinates(row: Row) -> None:
    manifold, x = row.manifold, _points(row)
    chart = manifold.centred(x[0])
    numpy.testing.assert_allclose(chart.to_coordinates(x[0]), numpy.zeros(row.dim), atol=1e-14)
    numpy.testing.assert_allclose(chart.to_point(numpy.zeros(row.dim)), x[0], rtol=1e-13, atol=1e-15)
    numpy.testing.assert_allclose(chart.frame(x[0]), manifold.frame(x[0]), atol=1e-12)
    v = _tangents(row, scale=0.3)
    numpy.testing.assert_allclose(chart.to_point(v), manifold.retract(x[0], v), rtol=1e-12, atol=1e-14)
    numpy.testing.assert_allclose(chart.to_coordinates(chart.to_point(v)), v, rtol=1e-9, atol=1e-11)
    assert chart.is_affine is manifold.is_whole_hull


@every_manifold
def test_centred_coordinates_need_one_point_of_the_manifold(row: Row) -> None:
    with pytest.raises(ShapeError, match=r"need one point of shape .*; received \(2, "):
        row.manifold.centred(_points(row, 2))
    with pytest.raises(ChartError, match=r"no coordinates can be centred there: a point of .* is \[.*nan"):
        row.manifold.centred(_points(row)[0] * numpy.nan)


@every_manifold
def test_manifolds_are_values(row: Row) -> None:
    list(row.manifold.atlas)
    twin = copy.deepcopy(row.manifold)
    assert twin == row.manifold
    assert hash(twin) == hash(row.manifold)
    assert list(twin.atlas) == list(row.manifold.atlas)
    with pytest.raises(AttributeError):
        row.manifold.anything = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        row.manifold.atlas["new"] = None  # type: ignore[index]


def test_spread_of_reference_coordinates() -> None:
    assert (Interval(-1.5, 0.5).centre, Interval(-1.5, 0.5).scale) == (-0.5, 1.0)
    assert (Interval(0, 1).centre, Interval(0, 1).scale) == (0.5, 0.5)
    for manifold in (Real(), Positive(), Simplex(3), Sphere(2), SPD(2), Product(Interval(0, 1))):
        assert (manifold.centre, manifold.scale) == (0.0, 1.0)


def test_retractions_in_closed_form() -> None:
    rng = numpy.random.default_rng(0)
    p, v = 0.3, 0.1
    odds = p / (1 - p) * numpy.exp(v / (p * (1 - p)))
    numpy.testing.assert_allclose(Interval(0, 1).retract(numpy.array([p]), numpy.array([v])), [odds / (1 + odds)])
    numpy.testing.assert_allclose(Positive().retract(numpy.array([2.0]), numpy.array([3.0])), [2.0 * numpy.exp(1.5)])
    x, v = numpy.array([0.2, 0.3, 0.5]), numpy.array([0.1, -0.3])
    grown = x * numpy.exp(numpy.array([0.1, -0.3, 0.2]) / x)
    numpy.testing.assert_allclose(Simplex(3).retract(x, v), grown / grown.sum())
    north = numpy.array([0.0, 0.0, 1.0])
    reached = Sphere(2).retract(north, numpy.array([3.0, 4.0]))
    numpy.testing.assert_allclose(reached[2], 1.0 / numpy.sqrt(26.0))
    x = SPD(3).sample(rng, 1)[0]
    v = rng.normal(size=6)
    root, inverse = scipy.linalg.sqrtm(x), scipy.linalg.inv(scipy.linalg.sqrtm(x))
    direction = SPD(3).from_hull(v)
    expected = root @ scipy.linalg.expm(inverse @ direction @ inverse) @ root
    numpy.testing.assert_allclose(SPD(3).retract(x, v), expected, rtol=1e-11)


def test_sphere_frames_are_orthonormal_everywhere() -> None:
    axes = numpy.concatenate([numpy.eye(4), -numpy.eye(4), Sphere(3).sample(numpy.random.default_rng(1), 50)])
    frame = Sphere(3).frame(axes)
    numpy.testing.assert_allclose(
        numpy.swapaxes(frame, -1, -2) @ frame, numpy.broadcast_to(numpy.eye(3), (58, 3, 3)), atol=1e-14
    )
    numpy.testing.assert_allclose(numpy.einsum("ns,nsd->nd", axes, frame), 0.0, atol=1e-15)


def test_products_are_flat_lists_of_factors() -> None:
    nested = Product(Product(Real(2), SPD(2)), Sphere(1))
    assert nested == Product(Real(2), SPD(2), Sphere(1))
    x = numpy.random.default_rng(0).normal(size=(5, 8))
    parts = nested.parts(x)
    assert [part.shape for part in parts] == [(5, 2), (5, 2, 2), (5, 2)]
    numpy.testing.assert_array_equal(nested.join(parts), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Real(0), "Real received n=0; expected a whole number, at least 1"),
        (lambda: Real(2.5), r"Real received n=2\.5"),
        (lambda: Positive(True), "Positive received n=True"),
        (lambda: Simplex(1), "Simplex received n=1; expected a whole number, at least 2"),
        (lambda: Sphere("two"), "Sphere received n='two'"),
        (lambda: SPD(-1), "SPD received n=-1"),
        (lambda: Interval(1, 0), r"Interval received low=1\.0 and high=0\.0; expected finite bounds"),
        (lambda: Interval(0, numpy.inf), "For one bound only use Positive"),
        (lambda: Interval("a", 1), "Interval received the bound 'a'; expected a finite number"),
        (lambda: Interval(0, 1, 0), "Interval received n=0"),
        (lambda: Product(), "Product received nothing; expected one or more manifolds"),
        (lambda: Product(Real(), 3), r"Product received \[3\]; expected"),
    ],
)
def test_wrong_declarations_say_what_was_received(make: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


@pytest.mark.jax
@pytest.mark.timeout(60)
@every_manifold
def test_jax_computes_the_same_under_jit(row: Row) -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    manifold, x, v = row.manifold, _points(row), _tangents(row, scale=0.2)
    functions = (
        manifold.retract,
        lambda p, t: manifold.tangent_to(p, manifold.retract(p, t)),
        lambda p, t: manifold.riemannian(p),
    )
    with jax.enable_x64(True):
        for function in functions:
            result = jax.jit(function)(jax.numpy.asarray(x), jax.numpy.asarray(v))
            numpy.testing.assert_allclose(result, function(x, v), rtol=1e-10, atol=1e-12)


@every_manifold
def test_points_rounded_to_32_bits_are_still_points(row: Row) -> None:
    """Of that kind, where rounding leaves seven digits; written in 64 bits again they are as wrong as they look."""
    assert row.manifold.contains(_points(row, 200).astype(numpy.float32)).all()


def test_rounding_to_32_bits_shows_in_64() -> None:
    # 0.6^2 + 0.8^2 = 1, and 3e-8 more once both are rounded
    point = numpy.array([0.6, 0.8], dtype=numpy.float32)
    assert Sphere(1).contains(point) and not Sphere(1).contains(point.astype(numpy.float64))
    assert not Sphere(1).contains(numpy.array([0.6, 0.8001], dtype=numpy.float32))
