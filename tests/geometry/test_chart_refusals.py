"""What charts refuse, and what the messages name."""

from typing import Any

import numpy
import pytest

from manifoldnet import numpy as np
from manifoldnet.errors import ChartError, DeclarationError
from manifoldnet.geometry import SPD, Chart, Interval, Manifold, Positive, Product, Real, Simplex, Sphere, product_chart

REFUSED = [
    (Interval(0, 1), "log-odds", [0.0]),
    (Interval(0, 1), "log-odds", [1.0]),
    (Interval(0, 1), "angle", [0.0]),
    (Interval(0, 1), "angle", [1.0]),
    (Interval(-1, 1), "probit", [1.0]),
    (Interval(0, 1), "identity", [1.5]),
    (Interval(0, 1), "signed", [-0.5]),
    (Positive(), "sqrt", [0.0]),
    (Positive(), "log", [-1.0]),
    (Positive(), "reciprocal", [0.0]),
    (Positive(), "identity", [0.0]),
    (Real(), "sinh", [1e3]),
    (Real(), "identity", [numpy.inf]),
    (Simplex(3), "log-ratio", [0.0, 0.5, 0.5]),
    (Simplex(3), "square-root", [0.5, 0.5, 0.0]),
    (Simplex(3), "identity", [0.5, 0.5, 0.5]),
    (Sphere(2), "stereographic-north", [0.0, 0.0, 1.0]),
    (Sphere(2), "stereographic-south", [0.0, 0.0, -1.0]),
    (SPD(2), "identity", [[1.0, 2.0], [2.0, 1.0]]),
    (SPD(2), "log", [[1.0, 2.0], [2.0, 1.0]]),
    (Product(Real(), Interval(0, 1)), "identity|angle", [5.0, 1.0]),
]


@pytest.mark.parametrize(("manifold", "name", "bad"), REFUSED)
def test_points_that_a_chart_cannot_hold_are_named(manifold: Manifold, name: str, bad: Any) -> None:
    good = manifold.sample(numpy.random.default_rng(1), 3)
    points = numpy.stack([good[0], numpy.array(bad), good[1]])
    with pytest.raises(ChartError) as caught:
        manifold.chart(name).coordinates_of(points)
    text = str(caught.value)
    assert text.startswith(f"chart {name!r} cannot hold the point {numpy.array(bad).tolist()} at index (1,): ")
    assert "use another chart" in text


def test_a_point_beyond_the_reach_of_centred_coordinates_is_refused() -> None:
    chart = Sphere(2).centred([0.0, 0.0, 1.0])
    assert chart.coordinates_of([0.6, 0.0, 0.8]).shape == (2,)
    with pytest.raises(ChartError, match=r"chart 'centred' cannot hold the point \[0\.6, 0\.0, -0\.8\] at index \(\)"):
        chart.coordinates_of([0.6, 0.0, -0.8])


@pytest.mark.parametrize("name", ["identity", "signed"])
def test_zero_one_data_have_coordinates(name: str) -> None:
    points = numpy.array([[0.0], [1.0]])
    assert numpy.isfinite(Interval(0, 1).chart(name).coordinates_of(points)).all()


@pytest.mark.parametrize(
    ("manifold", "name", "bad"),
    [
        (Interval(0, 1), "identity", [1.5]),
        (Interval(0, 1), "angle", [numpy.pi]),
        (Positive(), "sqrt", [-1.0]),
        (Simplex(3), "identity", [0.8, 0.3]),
        (Simplex(3), "square-root", [1.5, 1.5]),
        (Simplex(3), "square-root", [0.5, -0.1]),
        (SPD(2), "identity", [1.0, 2.0, 1.0]),
        (Real(), "identity", [numpy.nan]),
        (Product(Real(), Interval(0, 1)), "identity", [3.0, 1.5]),
    ],
)
def test_coordinates_that_name_no_point_are_refused(manifold: Manifold, name: str, bad: list[float]) -> None:
    chart = manifold.chart(name)
    coordinates = numpy.stack(
        [chart.to_coordinates(manifold.sample(numpy.random.default_rng(1), 1))[0], numpy.array(bad)]
    )
    with pytest.raises(ChartError, match=rf"chart '{name}': the coordinates \[.*\] at index \(1,\) name no point"):
        chart.point_of(coordinates)


def test_unknown_charts_are_refused_with_the_known_names() -> None:
    names = ", ".join(map(repr, Positive().atlas))
    assert names.startswith("'identity', 'log', ")
    with pytest.raises(ChartError, match=f"has no chart 'logg'; expected one of {names}, or a Chart of your own"):
        Positive().chart("logg")
    with pytest.raises(ChartError, match="has no chart 3"):
        Positive().chart(3)  # type: ignore[arg-type]
    with pytest.raises(ChartError, match=r"has no chart 'identity'; expected one of 'stereographic-north'"):
        Sphere(2).chart("identity")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Real(2).chart(Chart("first", lambda p: p[..., :1], lambda u: u)),
            r"coordinates of shape \(3, 1\); expected \(3, 2\)",
        ),
        (
            lambda: Real().chart(Chart("false", lambda p: p**3, np.cbrt, scale=numpy.eye(1), shift=numpy.zeros(1))),
            "chart 'false' says that it is affine, but",
        ),
        (lambda: Chart("", np.exp, np.log), "a chart received the name ''"),
        (lambda: Chart("half", np.exp, None), "chart 'half': to_point is None; expected a function"),
        (lambda: Chart("half", np.exp, np.log, scale=numpy.eye(1)), "chart 'half' has only one of scale and shift"),
        (
            lambda: Chart("flat", np.exp, np.log, scale=2.0, shift=0.0),
            r"scale has the shape \(\) and shift \(\); expected \(dim, dim\)",
        ),
        (lambda: Chart.affine("zero", Real(2), 0.0), r"chart 'zero': scale \[\[0\.0, .* has no inverse"),
        (lambda: Chart.affine("thin", Real(2), [[0.1, 0.2], [0.2, 0.4]]), "chart 'thin': scale .* has no inverse"),
        (lambda: Chart.affine("nan", Real(1), numpy.nan), "chart 'nan': scale .* is not finite"),
        (
            lambda: Chart.affine("long", Real(2), [1.0, 2.0, 3.0]),
            r"scale has the shape \(3,\); expected a number or one for each of the 2",
        ),
        (
            lambda: Chart.affine("wide", Real(2), numpy.eye(3)),
            r"scale has the shape \(3, 3\); expected a number, \(2,\) or \(2, 2\)",
        ),
        (lambda: Chart.affine("far", Real(2), 1.0, [1.0] * 3), r"shift has the shape \(3,\)"),
        (
            lambda: Chart.affine("round", Sphere(2), 1.0),
            "has dimension 2 and an affine hull of dimension 3, so no chart on it is affine",
        ),
        (
            lambda: product_chart("one", Product(Real(), Real()), [Real().chart("doubled")]),
            "received 1 charts; expected one for each of the 2",
        ),
    ],
)
def test_wrong_charts_say_what_was_received(make: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()
