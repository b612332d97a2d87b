"""Running Graphviz: the system's `dot`, or the complete one in the wheel `graphviz-pure`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import graphviz

from manifoldnet.errors import ManifoldNetError, MissingExtraError
from manifoldnet.learning.files import written_whole

SUFFIXES = (".svg", ".png", ".pdf", ".dot")
INSTALL = "install Graphviz (https://graphviz.org/download) or the package graphviz-pure (pip install graphviz-pure)"


class DrawingError(ManifoldNetError, RuntimeError):
    """Graphviz could not draw a picture, or does not write files of that kind."""


def find_dot() -> str:
    """The program that draws: `dot`, else `graphviz-pure` beside this Python or on the path.

    Raises MissingExtraError that says what to install.
    """
    beside = str(Path(sys.executable).parent)
    for name, place in (("dot", None), ("graphviz-pure", beside), ("graphviz-pure", None)):
        found = shutil.which(name, path=place)
        if found is not None:
            return found
    raise MissingExtraError(f"no program `dot` draws here: {INSTALL}")


def write_picture(graph: graphviz.Digraph, path: str | Path) -> Path:
    """Write a graph as .svg, .png, .pdf or .dot text, by the suffix of `path`; the whole file or none.

    Raises DrawingError for another suffix and where Graphviz fails, MissingExtraError where there is none.
    """
    place = Path(path)
    suffix = checked_suffix(place)
    with written_whole(place) as temporary:
        if suffix == ".dot":
            temporary.write_text(graph.source, encoding="utf-8")
        else:
            _run(find_dot(), suffix.removeprefix("."), graph.source, temporary)
    return place


def picture_text(graph: graphviz.Digraph) -> str:
    """A graph as SVG text that can stand inside a page, without the XML declaration.

    Raises DrawingError where Graphviz fails, MissingExtraError where there is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.svg")
        _run(find_dot(), "svg", graph.source, path)
        text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :].strip()


def checked_suffix(path: Path) -> str:
    """The suffix of a picture's file, in lower case; raises DrawingError that lists those there are."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DrawingError(f"{path} does not say what to draw: its name must end in {', '.join(SUFFIXES)}")
    return suffix


def _run(program: str, form: str, source: str, target: Path) -> None:
    # at the usual 96 dots an inch, small letters of a bitmap are hard to read
    resolution = ["-Gdpi=160"] if form == "png" else []
    command = [program, "-Kdot", f"-T{form}", *resolution, "-o", str(target)]
    done = subprocess.run(command, input=source.encode(), capture_output=True)
    if done.returncode or not target.is_file():
        raise DrawingError(f"{Path(program).stem} could not draw {form}: {_reason(program, form, done.stderr)}")


def _reason(program: str, form: str, said: bytes) -> str:
    if form == "pdf" and "graphviz-pure" in Path(program).name:
        return "that takes Graphviz itself (https://graphviz.org/download); .svg and .png need nothing more"
    return said.decode(errors="replace").strip() or "it wrote nothing"
