"""Every chart of every manifold: round trips, domains, frames, affine structure, what it refuses."""

from typing import Any

import hypothesis
import numpy
import pytest
from hypothesis import strategies

from manifoldnet import numpy as np
from manifoldnet.geometry import SPD, Chart, Interval, Manifold, Positive, Product, Real, Simplex, Sphere, product_chart
from tests.geometry.table import ROWS

STEP = 1e-5


def _own_charts() -> list[tuple[Manifold, Chart]]:
    """Charts as a user would write them, centred ones, and affine ones that mix components."""
    mixing = numpy.array([[2.0, 1.0], [0.5, -1.0]])
    rng = numpy.random.default_rng(4)
    return [
        (Positive(1), Chart("cube", lambda p: p**3, lambda u: np.cbrt(u), domain=lambda u: (u > 0.0).all(-1))),
        (Real(2), Chart("sheared", _shear, _unshear)),
        (SPD(2), _inverse()),
        (Product(Real(), Positive()), Chart.affine("mixed", Product(Real(), Positive()), mixing, 0.25)),
        (Real(2), Chart.affine("mixed", Real(2), mixing, [1.0, -2.0])),
        (Interval(0, 1, 2), Chart.affine("mixed", Interval(0, 1, 2), mixing, 0.5)),
        (Simplex(3), Chart.affine("mixed", Simplex(3), mixing)),
        (SPD(2), Chart.affine("scaled", SPD(2), [1.0, 2.0, 3.0], 1.0)),
        (
            Real(2),
            Chart(
                "by hand",
                lambda p: 3.0 * p + 1.0,
                lambda u: (u - 1.0) / 3.0,
                scale=3.0 * numpy.eye(2),
                shift=numpy.ones(2),
            ),
        ),
        *[(row.manifold, row.manifold.centred(row.manifold.sample(rng, 1)[0])) for row in ROWS],
    ]


def _inverse() -> Chart:
    return Chart(
        "inverse",
        lambda p: SPD(2).hull(np.linalg.inv(p)),
        lambda u: np.linalg.inv(SPD(2).from_hull(u)),
        domain=lambda u: SPD(2).contains(SPD(2).from_hull(u)),
    )


def _shear(p: Any) -> Any:
    return np.stack([p[..., 0], p[..., 1] + p[..., 0] ** 2], -1)


def _unshear(u: Any) -> Any:
    return np.stack([u[..., 0], u[..., 1] - u[..., 0] ** 2], -1)


NAMED = [(row.manifold, row.manifold.chart(name)) for row in ROWS for name in row.charts]
CHARTS = [(manifold, manifold.chart(chart)) for manifold, chart in NAMED + _own_charts()]
every_chart = pytest.mark.parametrize(("manifold", "chart"), CHARTS, ids=[f"{m} {c.name}" for m, c in CHARTS])


def _points(manifold: Manifold, chart: Chart) -> numpy.ndarray:
    """Six points; near the centre for centred charts, which need not reach across the manifold."""
    points = manifold.sample(numpy.random.default_rng(21), 6)
    if chart.name != "centred":
        return points
    unit = numpy.linalg.inv(numpy.linalg.cholesky(manifold.riemannian(chart.to_point(numpy.zeros(manifold.dim)))))
    return chart.to_point(0.5 * numpy.random.default_rng(22).normal(size=(6, manifold.dim)) @ unit)


@every_chart
def test_round_trips(manifold: Manifold, chart: Chart) -> None:
    points = _points(manifold, chart)
    coordinates = chart.to_coordinates(points)
    assert coordinates.shape == (6, manifold.dim)
    assert coordinates.dtype == numpy.float64
    numpy.testing.assert_allclose(chart.to_point(coordinates), points, rtol=1e-11, atol=1e-12)
    numpy.testing.assert_allclose(chart.to_coordinates(chart.to_point(coordinates)), coordinates, rtol=1e-9, atol=1e-11)
    numpy.testing.assert_array_equal(chart.coordinates_of(points), coordinates)
    numpy.testing.assert_array_equal(chart.point_of(coordinates), chart.to_point(coordinates))


@every_chart
def test_batches_are_points_side_by_side(manifold: Manifold, chart: Chart) -> None:
    points = _points(manifold, chart)
    batch = points.reshape(2, 3, *manifold.shape)
    for function in (chart.to_coordinates, chart.frame, chart.coframe, chart.coordinates_of):
        whole = function(batch)
        assert whole.shape[:2] == (2, 3)
        each = numpy.stack([function(point) for point in points])
        numpy.testing.assert_allclose(whole.reshape(each.shape), each, rtol=1e-12, atol=1e-14)


@every_chart
@hypothesis.given(strategies.integers(0, 2**32 - 1), strategies.floats(0.1, 3.0))
def test_every_coordinate_of_the_domain_names_a_point(
    manifold: Manifold, chart: Chart, seed: int, spread: float
) -> None:
    coordinates = spread * numpy.random.default_rng(seed).normal(size=(4, manifold.dim))
    inside = numpy.ones(4, dtype=bool) if chart.domain is None else chart.domain(coordinates)
    assert inside.shape == (4,)
    assert manifold.contains(chart.to_point(coordinates[inside])).all()


@every_chart
def test_the_images_of_points_are_in_the_domain(manifold: Manifold, chart: Chart) -> None:
    if chart.domain is not None:
        assert chart.domain(chart.to_coordinates(_points(manifold, chart))).all()


@every_chart
def test_frame_against_finite_differences(manifold: Manifold, chart: Chart) -> None:
    points = _points(manifold, chart)
    frame, coordinates = chart.frame(points), chart.to_coordinates(points)
    assert frame.shape == (6, manifold.size, manifold.dim)
    for i, axis in enumerate(numpy.eye(manifold.dim)):
        change = (chart.to_point(coordinates + STEP * axis) - chart.to_point(coordinates - STEP * axis)) / (2.0 * STEP)
        numpy.testing.assert_allclose(frame[..., i], change.reshape(6, -1), rtol=2e-6, atol=1e-7)


@every_chart
def test_coframe_is_inverse_to_the_frame_and_right_along_curves(manifold: Manifold, chart: Chart) -> None:
    points = _points(manifold, chart)
    coframe = chart.coframe(points)
    assert coframe.shape == (6, manifold.dim, manifold.size)
    identity = numpy.broadcast_to(numpy.eye(manifold.dim), (6, manifold.dim, manifold.dim))
    numpy.testing.assert_allclose(coframe @ chart.frame(points), identity, atol=1e-9)
    unit = numpy.linalg.inv(numpy.linalg.cholesky(manifold.riemannian(points)))
    v = numpy.einsum("nji,nj->ni", unit, numpy.random.default_rng(5).normal(size=(6, manifold.dim)))
    there, back = (chart.to_coordinates(manifold.retract(points, sign * STEP * v)) for sign in (1.0, -1.0))
    expected = numpy.einsum("nks,nsd,nd->nk", coframe, manifold.frame(points), v)
    numpy.testing.assert_allclose((there - back) / (2.0 * STEP), expected, rtol=3e-6, atol=1e-6)


@every_chart
def test_affine_charts_are_affine_and_others_are_not(manifold: Manifold, chart: Chart) -> None:
    x, y = (_points(manifold, chart)[::step] for step in (1, -1))
    middle = chart.to_coordinates(0.5 * x + 0.5 * y)
    straight = 0.5 * chart.to_coordinates(x) + 0.5 * chart.to_coordinates(y)
    assert numpy.allclose(middle, straight, rtol=1e-9, atol=1e-9) is chart.is_affine
    if chart.is_affine:
        expected = manifold.hull(x) @ chart.scale.T + chart.shift
        numpy.testing.assert_allclose(chart.to_coordinates(x), expected, rtol=1e-12, atol=1e-14)
        assert not chart.scale.flags.writeable
    assert chart.is_identity is (chart.name == "identity" and manifold.default_chart is not None)


CLOSED_FORMS = [
    (Real(), "doubled", [1.5], [3.0]),
    (Real(), "arcsinh", [1.0], [numpy.log(1.0 + numpy.sqrt(2.0))]),
    (Real(), "sinh", [1.0], [(numpy.e - 1.0 / numpy.e) / 2.0]),
    (Real(), "cubic", [2.0], [10.0]),
    (Interval(0, 1), "signed", [0.25], [-0.5]),
    (Interval(-1.0, 3.0), "signed", [2.0], [0.5]),
    (Interval(0, 1), "log-odds", [0.75], [numpy.log(3.0)]),
    (Interval(-1, 1), "log-odds", [0.5], [numpy.log(3.0)]),
    (Interval(0, 1), "angle", [0.75], [2.0 * numpy.pi / 3.0]),
    (Interval(0, 1), "probit", [0.8413447460685429], [1.0]),
    (Positive(), "log", [numpy.e], [1.0]),
    (Positive(), "sqrt", [9.0], [3.0]),
    (Positive(), "reciprocal", [4.0], [0.25]),
    (Simplex(3), "identity", [0.2, 0.3, 0.5], [0.2, 0.3]),
    (Simplex(3), "log-ratio", [0.2, 0.4, 0.4], [-numpy.log(2.0), 0.0]),
    (Simplex(3), "square-root", [0.25, 0.01, 0.74], [1.0, 0.2]),
    (Sphere(1), "stereographic-north", [0.8, 0.6], [2.0]),
    (Sphere(1), "stereographic-south", [0.8, 0.6], [0.5]),
    (SPD(2), "identity", [[2.0, 1.0], [1.0, 3.0]], [2.0, 1.0, 3.0]),
    (SPD(2), "log", [[numpy.e, 0.0], [0.0, 1.0]], [1.0, 0.0, 0.0]),
    (SPD(2), "log-cholesky", [[4.0, 2.0], [2.0, 2.0]], [numpy.log(2.0), 0.0, 1.0]),
]


@pytest.mark.parametrize(("manifold", "name", "point", "coordinates"), CLOSED_FORMS)
def test_closed_forms(manifold: Manifold, name: str, point: Any, coordinates: Any) -> None:
    found = manifold.chart(name).to_coordinates(numpy.array(point))
    numpy.testing.assert_allclose(found, coordinates, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("manifold", "name"),
    [(Interval(0, 1), "angle"), (Interval(-2, 5, 3), "angle"), (Positive(2), "log"), (Real(2), "identity")],
)
def test_charts_in_which_the_declared_metric_is_the_identity(manifold: Manifold, name: str) -> None:
    points = manifold.sample(numpy.random.default_rng(1), 5)
    frame = manifold.chart(name).frame(points)
    metric = numpy.swapaxes(frame, -1, -2) @ manifold.riemannian(points) @ frame
    numpy.testing.assert_allclose(metric, numpy.broadcast_to(numpy.eye(manifold.dim), metric.shape), atol=1e-13)


def test_a_chart_of_ones_own_is_told_the_shape_of_a_point() -> None:
    assert _inverse().point_ndim == 1
    assert SPD(2).chart(_inverse()).point_ndim == 2
    cube = Chart("cube", lambda p: p**3, lambda u: np.cbrt(u))
    assert Real().chart(cube) is cube


def test_badly_scaled_but_invertible_charts_are_accepted() -> None:
    chart = Chart.affine("units", Real(2), [1e-20, 1e20])
    numpy.testing.assert_allclose(chart.to_point(chart.to_coordinates(numpy.ones(2))), numpy.ones(2), rtol=1e-15)


def test_product_atlas_holds_every_combination_once() -> None:
    both = Product(Positive(), Interval(0, 1))
    names = list(both.atlas)
    assert len(names) == len(both.atlas) == len(set(names)) == 20
    assert names[0] == "identity"
    assert "identity|identity" not in both.atlas
    assert "log" not in both.atlas
    assert both.chart("log|angle") is both.chart("log|angle")
    assert both.chart("identity").is_identity
    assert both.chart("identity|signed").is_affine
    assert not both.chart("log|identity").is_affine
    assert "identity" not in Product(Real(), Sphere(1)).atlas


def test_product_chart_takes_charts_of_ones_own() -> None:
    both = Product(SPD(2), Real())
    chart = product_chart("own", both, [_inverse(), Chart.affine("far", Real(), 2.0, 1.0)])
    points = both.sample(numpy.random.default_rng(0), 4)
    numpy.testing.assert_allclose(chart.point_of(chart.coordinates_of(points)), points, rtol=1e-12)
    assert chart.frame(points).shape == (4, 5, 4)


def test_far_away_coordinates_stay_finite() -> None:
    """Charts saturate without overflow or NaN, as pre-activations of size 1e3 require."""
    far = numpy.array([[-1e3], [1e3]])
    assert Interval(0, 1).chart("log-odds").to_point(far).tolist() == [[0.0], [1.0]]
    assert Interval(0, 1).chart("probit").to_point(far).tolist() == [[0.0], [1.0]]
    numpy.testing.assert_allclose(Real().chart("cubic").to_point(1e300 * far), [[-1e101], [1e101]], rtol=1e-12)
    assert Simplex(2).chart("log-ratio").to_point(far).tolist() == [[0.0, 1.0], [1.0, 0.0]]


# 16 s alone, for some two hundred compilations; on a machine with much other work it has taken more than two minutes
@pytest.mark.jax
@pytest.mark.timeout(400)
def test_jax_computes_the_same_under_jit() -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    with jax.enable_x64(True):
        for manifold, chart in CHARTS:
            points = _points(manifold, chart)
            for function in (
                chart.to_coordinates,
                lambda x, c=chart: c.to_point(c.to_coordinates(x)),
                chart.frame,
                chart.coframe,
            ):
                result = jax.jit(function)(jax.numpy.asarray(points))
                numpy.testing.assert_allclose(
                    result, function(points), rtol=1e-9, atol=1e-10, err_msg=f"{manifold} {chart}"
                )
