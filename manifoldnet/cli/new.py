"""`manifoldnet new`: a spec to begin with."""

import importlib.resources
import re
from pathlib import Path
from typing import Annotated

import typer

from manifoldnet.cli.failures import CallError, reported
from manifoldnet.cli.options import AsJson, Debug
from manifoldnet.cli.output import only_json, print_json, results
from manifoldnet.learning.files import written_whole

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Of the network; the file is NAME.py, or a path that ends in .py.")
]


def new(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Write a commented spec that trains at once, to change as you like.

    Example: manifoldnet new wine && manifoldnet train wine.py
    """
    path = Path(name if name.endswith(".py") else f"{name}.py")
    with reported(path, debug):
        with only_json(as_json):
            written = start_spec(path)
        if as_json:
            print_json({"spec": str(written)})
        else:
            results().print(f"written: {written}\nnext:    manifoldnet train {written}", soft_wrap=True)


def start_spec(path: Path) -> Path:
    """Write the starting spec, named after its file; raises CallError where something is there already."""
    if not re.fullmatch(r"[A-Za-z0-9][\w .-]*", path.stem):
        raise CallError(
            f"NAME is made of letters, digits, spaces, - and _, and begins with a letter or digit: {path.stem!r}"
        )
    if not path.parent.is_dir():
        raise CallError(f"{path}: there is no folder {path.parent}")
    if path.exists():
        raise CallError(f"{path} is there already: choose another name, or take it away first")
    template = importlib.resources.files("manifoldnet.cli") / "assets" / "start.py.txt"
    text = template.read_text(encoding="utf-8").replace("NAME", path.stem)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
