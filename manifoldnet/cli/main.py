"""The command `manifoldnet`."""

from importlib.metadata import version
from typing import Annotated

import typer

from manifoldnet.cli.compare import compare
from manifoldnet.cli.describe import describe
from manifoldnet.cli.new import new
from manifoldnet.cli.render import render
from manifoldnet.cli.report import report
from manifoldnet.cli.train import train
from manifoldnet.cli.verify import verify_command

app = typer.Typer(
    name="manifoldnet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"manifoldnet {version('manifoldnet')}")
        raise typer.Exit


@app.callback()
def manifoldnet(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Neural networks on manifolds, trained by intrinsic metrics.

    Example: manifoldnet train specs/digits.py
    """


for command in (new, train, compare, describe, render, report):
    app.command()(command)
app.command("verify")(verify_command)


def main() -> None:
    """Run the command line."""
    app()
