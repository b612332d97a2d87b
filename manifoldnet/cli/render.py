"""`manifoldnet render`: draw the network of a spec."""

from pathlib import Path
from typing import Annotated

import typer

from manifoldnet.cli.failures import CallError, reported
from manifoldnet.cli.options import AsJson, Backend, Call, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, results
from manifoldnet.views.dot import checked_suffix
from manifoldnet.views.drawing import render as draw

Output = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Picture to write: .svg, .png, .pdf or .dot.",
        show_default="the spec's name, .svg",
    ),
]


def render(
    spec: SpecPath,
    output: Output = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw the network of a spec.

    Example: manifoldnet render specs/autoencoder.py --output autoencoder.png
    """
    with reported(spec, debug):
        with only_json(as_json):
            path = Path(f"{spec.stem}.svg") if output is None else output
            suffix = checked_suffix(path)
            if not path.parent.is_dir():
                raise CallError(f"--output {path}: there is no folder {path.parent}")
            net = Call.parse(spec, settings, seed, backend).load().network(seed)
            draw(net, path)
        found = {"spec": str(spec), "name": net.name, "output": str(path), "format": suffix.removeprefix(".")}
        if as_json:
            print_json(found)
        else:
            results().print(f"written: {path}", soft_wrap=True)
