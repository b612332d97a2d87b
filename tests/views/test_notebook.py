"""What notebooks show, and the curves that need no library."""

import math
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.learning.history import History, Record
from manifoldnet.views.history_chart import history_chart
from manifoldnet.views.line_chart import Axis, Series, line_chart, linear_ticks, log_ticks, number_text


def whole(text: str) -> xml.etree.ElementTree.Element:
    """HTML written so that it is XML too: every element is closed."""
    return xml.etree.ElementTree.fromstring(text)


def small() -> mn.Network:
    net = mn.Network("small <&>")
    net.interpret(mn.SquareLoss(), [net.layer("y", 2, mn.Affine(), [net.input("x", size=3)])])
    return net


def test_a_network_shows_its_picture() -> None:
    net = small()
    assert whole(net._repr_svg_() or "").tag.endswith("svg")
    assert net._repr_html_() == net._repr_svg_()


def test_a_network_that_cannot_be_drawn_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    half = mn.Network("half <&>")
    half.input("x")
    assert half._repr_svg_() is None
    assert "no interpretation" in (whole(half._repr_html_() or "").findtext("small") or "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "pip install graphviz-pure" in (small()._repr_html_() or "")


def test_charts() -> None:
    text = mn.Interval(0, 1).chart("log-odds")._repr_html_() or ""
    assert "smooth, not affine" in text and whole(text).find(".//{http://www.w3.org/2000/svg}polyline") is not None
    affine = mn.Chart.affine("turned", mn.Real(2), [[0.0, 1.0], [-1.0, 0.0]], 3.0)
    text = affine._repr_html_() or ""
    assert re.search(r"\[\[ ?0\., +1\.\],\s+\[-1\., +0\.\]\]", text) and "svg" not in text
    assert mn.Sphere(2).chart("stereographic-north")._repr_svg_() is None
    assert whole(mn.SPD(2).chart("log")._repr_html_() or "") is not None


def test_tensors() -> None:
    program = mn.compile(small())
    inputs = numpy.random.default_rng(0).standard_normal((20, 3))
    text = program.metric(mn.Backpropagated(), program.parameters(numpy.ones(8)), inputs)._repr_html_() or ""
    cells = [cell.text for cell in whole(text).iter() if cell.tag in ("th", "td")]
    facts = dict(zip(cells[::2], cells[1::2], strict=True))
    assert (facts["structure"], facts["parameters"], facts["units"]) == ("Blocks", "8", "2")
    assert facts["blocks of full rank"] == "2 of 2"
    natural = program.metric(mn.Natural(), program.parameters(numpy.ones(8)), inputs)
    assert "blocks of full rank" in (natural._repr_html_() or "")


def test_histories() -> None:
    history = History(
        (Record(1, 2.0, 0.1, 0.5), Record(2, math.log(2.0), 0.1, 1.0, validation_loss=1.5, accuracy=0.75))
    )
    text = history._repr_html_() or ""
    assert "2 steps in 1 s, loss 1 bits, on held-out data 2.164 bits, accuracy 75.0%" in text
    assert whole(text).find(".//{http://www.w3.org/2000/svg}desc") is not None
    assert History(())._repr_html_() == "<p>a history without records</p>" and History(())._repr_svg_() is None


def marks(picture: str) -> list[str]:
    return re.findall(r"<circle [^>]*class=\"mark\"><title>([^<]*)</title>", picture)


def test_curves_say_their_numbers() -> None:
    named = {"a & b": History((Record(1, 4.0, 0.1, 0.0), Record(2, 2.0, 0.1, 0.0)))}
    picture = history_chart(named)
    assert marks(picture) == [
        "a &amp; b: step 1, loss per sample (bits) 5.771",
        "a &amp; b: step 2, loss per sample (bits) 2.885",
    ]
    assert "5.77 at step 1, 2.89 at 2, least 2.89" in picture
    long = line_chart([Series("", numpy.arange(5000), numpy.arange(5000.0) ** 2)], "x", "y", "long")
    assert len(marks(long)) == 40 and marks(long)[-1] == "x 4999, y 2.499e+07"
    points = re.search(r'points="([^"]*)"', long)
    assert points is not None and len(points[1].split()) == 400


def test_long_names_of_a_legend_have_rows_of_their_own() -> None:
    """At 7 a letter of 13, more than sans-serifs take on average, no name reaches into the mark of the next."""
    for names in (["a", "b", "c"], ["quasi-diagonal-backpropagated", "euclidean", "natural"]):
        series = [Series(name, [1.0, 2.0], [1.0, 2.0]) for name in names]
        picture = line_chart(series, "steps", "loss", "curves", size=(480, 290))
        found = [re.search(rf'<text x="([^"]*)" y="([^"]*)"[^>]*>{name}</text>', picture) for name in names]
        places = [(float(one[1]), float(one[2])) for one in found if one is not None]
        assert len(places) == 3
        for (x, y), name, (next_x, next_y) in zip(places, names, places[1:], strict=False):
            assert next_y > y or x + 7.0 * len(name) < next_x - 32
        height = float(picture.split('viewBox="0 0 480 ')[1].split('"')[0])
        assert max(y for _, y in places) <= height


@pytest.mark.parametrize(
    "values",
    [[], [math.nan, math.inf], [1.0], [0.0, 0.0], [-1.0, 1.0], [1e-300, 1e300], [5.0, 5.0 + 1e-13], [math.nan, 2.0]],
)
def test_any_numbers_are_drawn(values: list[float]) -> None:
    picture = line_chart([Series("odd", numpy.arange(len(values)), values)], "x", "y", "odd")
    whole(picture)
    places = [float(number) for number in re.findall(r'c[xy]="([^"]*)"', picture)]
    assert all(math.isfinite(place) for place in places)
    assert ("no finite numbers" in picture) == (not numpy.isfinite(values).any())


def test_places_and_ticks() -> None:
    axis = Axis(0.1, 1000.0, 300.0, 0.0, True)
    assert axis.place(numpy.array([0.1, 10.0, 1000.0])).round(6).tolist() == [300.0, 150.0, 0.0]
    assert axis.ticks == [0.1, 1.0, 10.0, 100.0, 1000.0]
    for low, high in [(0.0, 1.0), (3.0, 3.5), (-2e-5, 7e-5), (0.0, 12345.0)]:
        ticks = linear_ticks(low, high)
        assert 4 <= len(ticks) <= 11 and low <= ticks[0] and ticks[-1] <= high * (1 + 1e-9)
    assert log_ticks(2.0, 3.0) == linear_ticks(2.0, 3.0)
    assert [number_text(value) for value in (150.0, 1e5, -0.25, 2.5e-7)] == ["150", "1e5", "-0.25", "2.5e-7"]
