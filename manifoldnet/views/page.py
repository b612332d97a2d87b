"""One self-contained page: nothing is fetched; for a phone, a printer, a keyboard and a screen reader."""

import datetime
import html
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import final

import attrs

from manifoldnet.learning.files import written_whole

LIBRARIES = ("manifoldnet", "numpy", "scipy", "autograd", "networkx")


@final
@attrs.frozen
class Section:
    """A part of a page with a heading of its own; `body` is HTML."""

    name: str
    heading: str
    body: str


@final
@attrs.frozen
class Cell:
    """A cell of a table: text, or a number (set to the right), perhaps of a class that gives it a colour."""

    text: str
    is_number: bool = False
    style: str = ""


def page(title: str, lead: str, key: Mapping[str, str], sections: Sequence[Section], made: str) -> str:
    """The whole page: a title, a line about it, the few numbers that matter, and the sections with links to each.

    >>> text = page("a run", "digits", {"loss": "0.1 bits"}, [Section("net", "The network", "<p>small</p>")], "2020-02-29")
    >>> text.startswith("<!DOCTYPE html>"), '<a href="#net">The network</a>' in text, "http" in text
    (True, True, False)
    """
    assets = importlib.resources.files("manifoldnet.views") / "assets"
    style, script = ((assets / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    links = "".join(f'<li><a href="#{one.name}">{html.escape(one.heading)}</a></li>' for one in sections)
    numbers = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in key.items())
    parts = "".join(
        f'<section id="{one.name}" aria-labelledby="{one.name}-heading">'
        f'<h2 id="{one.name}-heading">{html.escape(one.heading)}</h2>{one.body}</section>'
        for one in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{html.escape(title)}</title><style>\n{style}</style></head><body>"
        '<a class="skip" href="#main">Skip to the content</a>'
        f'<header><h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p></header>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
        f'<main id="main"><dl class="key">{numbers}</dl>{parts}</main>'
        f"<footer><p>Written {html.escape(made)} by {html.escape(versions())}.</p></footer>"
        f"<script>\n{script}</script></body></html>\n"
    )


def versions() -> str:
    """The versions of this package and of those that it computes with."""
    return ", ".join([*(f"{name} {version(name)}" for name in LIBRARIES), f"Python {python_version()}"])


def now() -> str:
    """The time, in UTC, as the foot of a page gives it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def write_page(text: str, path: str | Path) -> Path:
    """Write a page, whole or not at all."""
    place = Path(path)
    with written_whole(place) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return place


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str, chosen: int | None = None) -> str:
    """A table that scrolls by itself where it is wider than the page; the first cell of a row is its heading.

    `chosen` is the number of a row that is marked.
    """
    filled = [list(row) for row in rows]
    numeric = [all(row[k].is_number for row in filled) and bool(filled) for k in range(len(headings))]
    head = "".join(
        f'<th scope="col"{_class("n" if is_number else "")}>{html.escape(heading)}</th>'
        for heading, is_number in zip(headings, numeric, strict=True)
    )
    body = "".join(
        f"<tr{_class('chosen' if number == chosen else '')}>{_row(row)}</tr>" for number, row in enumerate(filled)
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(caption)}"><table>'
        f"<caption><span>{html.escape(caption)}</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[Cell]) -> str:
    first, *rest = cells
    found = [f'<th scope="row">{html.escape(first.text)}</th>']
    found += [
        f"<td{_class(' '.join(filter(None, ['n' if c.is_number else '', c.style])))}>{html.escape(c.text)}</td>"
        for c in rest
    ]
    return "".join(found)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def facts(values: Mapping[str, str], caption: str) -> str:
    """Names and what goes with them."""
    return table(("name", "value"), ([Cell(name), Cell(value)] for name, value in values.items()), caption)


def paragraph(text: str, style: str = "") -> str:
    """Plain text as a paragraph."""
    return f"<p{_class(style)}>{html.escape(text)}</p>"


def folded(summary: str, body: str) -> str:
    """Something that is opened when it is wanted; paper shows it open."""
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def words(text: str) -> Cell:
    """A cell of text."""
    return Cell(text)


def number(value: float | None, form: str = ",.4g") -> Cell:
    """A cell with a number; a dash where there is none.

    >>> number(1234.5678).text, number(None).text
    ('1,235', '–')
    """
    return Cell("–" if value is None else format(value, form), is_number=True)
