"""`manifoldnet render`: draw the network of a spec."""

from pathlib import Path
from typing import Annotated, Any

import graphviz
import typer

from manifoldnet.cli.failures import CallError, reported
from manifoldnet.cli.options import AsJson, Backend, Call, Charts, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, results
from manifoldnet.cli.trained import RunPath, given_parameters
from manifoldnet.compiler.compile import compile
from manifoldnet.declare.network import Network
from manifoldnet.declare.spec import Spec
from manifoldnet.experiments.run import data_of, in_charts
from manifoldnet.views.dot import checked_suffix, write_picture
from manifoldnet.views.drawing import drawing
from manifoldnet.views.unit_drawing import unit_drawing
from manifoldnet.views.unit_values import MODULI, unit_values

Output = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Picture to write: .svg, .png, .pdf or .dot.",
        show_default="the spec's name, .svg",
    ),
]


Units = Annotated[
    bool, typer.Option("--units", help="Draw every unit: darker for a larger modulus, links as wide as their weights.")
]
Colour = Annotated[str, typer.Option(metavar="fisher|backpropagated", help="By which modulus units are coloured.")]

# Moduli are averages: more samples change them little.
SAMPLES = 1000


def render(
    spec: SpecPath,
    output: Output = None,
    units: Units = False,
    colour: Colour = "fisher",
    run: RunPath = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    charts: Charts = "declared",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw the network of a spec.

    With --units, or --run, every unit with its modulus, averaged over
    the spec's data.

    Example: manifoldnet render specs/autoencoder.py --output autoencoder.png
    """
    with reported(spec, debug):
        with only_json(as_json):
            path = Path(f"{spec.stem}.svg") if output is None else output
            suffix = checked_suffix(path)
            if not path.parent.is_dir():
                raise CallError(f"--output {path}: there is no folder {path.parent}")
            if colour not in MODULI:
                raise CallError(f"--colour: no modulus is called {colour!r}: there are {', '.join(MODULI)}")
            call = Call.parse(spec, settings, seed, backend, charts)
            loaded = call.load()
            net = in_charts(loaded.network(seed), charts)
            found = {"spec": str(spec), "name": net.name, "output": str(path), "format": suffix.removeprefix(".")}
            if units or run is not None:
                graph, shown = _by_units(call, loaded, net, run, colour)
                found |= shown
            else:
                graph = drawing(net)
            write_picture(graph, path)
        if as_json:
            print_json(found)
        else:
            results().print(f"written: {path}", soft_wrap=True)


def _by_units(
    call: Call, spec: Spec, net: Network, run: Path | None, colour: str
) -> tuple[graphviz.Digraph, dict[str, Any]]:
    program = compile(net, backend=call.backend)
    given = given_parameters(spec, program, call.seed, run)
    inputs, _ = data_of(spec, call.seed).batch(slice(0, SAMPLES))
    values = unit_values(program, given.theta, inputs, colour)  # type: ignore[arg-type]
    shown = {
        "modulus": colour,
        "samples": values.samples,
        "parameters": given.origin,
        "moduli": {name: part.tolist() for name, part in values.moduli.items()},
    }
    return unit_drawing(net, program, values, given.origin), shown
