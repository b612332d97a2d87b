"""Pages: well-formed, self-contained, with a name for everything, and what they say is what they were given."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

import manifoldnet as mn
from manifoldnet.laws.record import Check
from manifoldnet.views.certificate import certificate, certificate_page, verdict
from manifoldnet.views.drawing import drawing
from manifoldnet.views.page import Cell, Section, number, page, table, words
from manifoldnet.views.page_picture import page_picture

CHECKS = [
    Check("norms", "natural", "affine", True, 2e-15, 1e-9, "pass"),
    Check("steps <1>", "natural", "affine", True, 0.5, 1e-9, "fail", "h & y"),
    Check("steps", "euclidean", "affine", False, 0.25, 1e-3, "deviates"),
    Check("flow", "natural", "-", True, math.nan, math.nan, "not testable", "singular"),
]


def parsed(text: str) -> ElementTree.Element:
    """A page that is written so that it is XML too: every element closed, every attribute quoted, text escaped."""
    body = text.removeprefix("<!DOCTYPE html>\n")
    # scripts and styles are text of HTML's own kind
    return ElementTree.fromstring(re.sub(r"(?s)<(style|script)>.*?</\1>", "", body))


def assert_whole(text: str) -> ElementTree.Element:
    """Well-formed; no id twice; every link inside leads somewhere; nothing is fetched; every picture and table has a name."""
    root = parsed(text)
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    for node in root.iter():
        tag = node.tag.rpartition("}")[2]
        assert tag not in ("link", "iframe", "img", "object", "embed", "base")
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            value = node.get(name)
            assert value is None or (value.startswith("#") and value[1:] in ids), (tag, name, value)
        if tag == "svg":
            assert node.get("aria-label") or node.find("{http://www.w3.org/2000/svg}title") is not None
        if tag == "table":
            assert node.find("caption") is not None and node.find(".//th[@scope='col']") is not None
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"(?i)url\(|@import|https?:|//\w+\.\w+/|fetch\(|XMLHttp", outside.replace("://www.w3.org", ""))
    assert root.get("lang") == "en" and root.find(".//main") is not None and len(root.findall(".//h1")) == 1
    assert 'name="viewport"' in text
    return root


def test_a_page() -> None:
    cells = [[words("a <b>"), number(1.5), Cell("bad & worse", style="fail")]]
    body = table(["name", "size", "remark"], cells, "some things", chosen=0)
    text = page('a "title" & more', "lead", {"loss": "1 <bit>"}, [Section("things", "Things", body)], "today")
    root = assert_whole(text)
    assert root.findtext(".//h1") == 'a "title" & more' and root.findtext(".//dd") == "1 <bit>"
    assert [node.text for node in root.findall(".//td")] == ["1.5", "bad & worse"]
    assert root.find(".//tr[@class='chosen']") is not None
    scrolled = root.find(".//div[@role='region']")
    assert scrolled is not None and scrolled.get("tabindex") == "0" and scrolled.get("aria-label") == "some things"


def test_pictures_say_what_their_nodes_are() -> None:
    net = mn.Network("a & b")
    h = net.layer("h<1>", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
    net.interpret(mn.SquareLoss(), parents=[h])
    twice = page_picture(drawing(net), "one", "layers", "first") + page_picture(drawing(net), "two", "layers", "second")
    root = assert_whole(page("two", "", {}, [Section("s", "S", twice)], ""))
    told = [node.get("data-told") for node in root.iter() if node.get("data-told")]
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    assert "h<1>, 2 units, Interval(-1, 1), identity chart, affine, tanh, 8 parameters" in told
    assert "x to h<1>, dense, 6 links" in told
    svg = "{http://www.w3.org/2000/svg}"
    titles = [node.text for node in root.iter(f"{svg}title")]
    assert set(told) == set(titles)
    assert not list(root.iter(f"{svg}a"))


def test_a_certificate_tells_promise_and_measurement() -> None:
    assert verdict(CHECKS) == (
        "Of 4 checks 1 holds what is promised, 1 is a control, seen to deviate, 1 could not be tested, 1 FAILED."
    )
    root = assert_whole(certificate_page("checks", "of a network", CHECKS, "today"))
    rows = [[cell.text or "" for cell in row] for row in root.findall(".//tbody/tr")]
    assert rows[1] == ["steps <1>", "fail", "affine", "the same", "0.5", "1e-09", "h & y"]
    # a table for each metric
    captions = ["".join(node.itertext()) for node in root.iter("caption")]
    assert [caption.partition(":")[0] for caption in captions] == ["natural", "euclidean"]
    assert rows[3][1:6] == ["deviates", "affine", "a difference", "0.25", "0.001"]
    assert rows[2][1:6] == ["not testable", "", "the same", "–", "–"]
    assert root.findtext(".//dd") == "failed"
    assert certificate([]) == "<p>Nothing was checked.</p>"


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0, "0"), (1e-12, "1e-12"), (123456.0, "1.235e+05")])
def test_numbers(value: float | None, text: str) -> None:
    assert number(value).text == text and number(value).is_number
