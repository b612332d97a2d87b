"""The option `--report FILE`: one page about what a command found."""

from pathlib import Path
from typing import Annotated

import typer

from manifoldnet.cli.failures import CallError

ReportPath = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write one page about it, .html.")]


def check_report(path: Path | None) -> None:
    """Raise CallError unless a page can be put there, before the work begins."""
    if path is not None and not path.parent.is_dir():
        raise CallError(f"--report {path}: there is no folder {path.parent}")
    if path is not None and path.is_dir():
        raise CallError(f"--report {path} is a folder: give the name of a file")
