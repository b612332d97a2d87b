"""Runs the cells of a notebook in this process, and keeps what each of them shows."""

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any, final

import attrs
import matplotlib
from matplotlib import pyplot


@final
@attrs.frozen
class Cell:
    """A cell and what it shows: printed text, the last value as HTML or text, and drawings as SVG."""

    kind: str
    source: str
    printed: str = ""
    html: str = ""
    text: str = ""
    drawings: tuple[str, ...] = ()


def run_notebook(path: Path) -> list[Cell]:
    """The cells of a notebook, run in order in one session; what a cell raises is raised, with its file and cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    session: dict[str, Any] = {"__name__": "__main__"}
    found = []
    matplotlib.use("agg")
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        code = cell["cell_type"] == "code"
        found.append(_shown(source, f"{path.name}, cell {number}", session) if code else Cell("markdown", source))
    return found


def _shown(source: str, name: str, session: dict[str, Any]) -> Cell:
    module = ast.parse(source, name)
    last = module.body.pop() if module.body and isinstance(module.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(module, name, "exec"), session)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), name, "eval"), session)
        drawings = tuple(_svg(pyplot.figure(number)) for number in pyplot.get_fignums())
    finally:
        pyplot.close("all")
    # as in a notebook, a semicolon at the end shows nothing
    value = None if source.rstrip().endswith(";") else value
    html = getattr(value, "_repr_html_", str)() or ""
    text = "" if value is None or html or drawings else repr(value)
    return Cell("code", source, printed.getvalue(), html, text, drawings)


def _svg(figure: Any) -> str:
    text = io.StringIO()
    # the same file every time
    with matplotlib.rc_context({"svg.hashsalt": "manifoldnet"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()
