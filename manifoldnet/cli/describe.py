"""`manifoldnet describe`: what a network is made of, and what each metric would take."""

from typing import Annotated, Any

import typer
from rich.table import Table

from manifoldnet.cli.choices import Wishes, chosen_schedule
from manifoldnet.cli.failures import reported
from manifoldnet.cli.options import AsJson, Backend, Call, Charts, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, results
from manifoldnet.declare.spec import Spec
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.schedule import Minibatches
from manifoldnet.views.description import describe as description
from manifoldnet.views.text import plural

Samples = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Samples at once, on which memory depends.", show_default="those of a step"),
]


def describe(
    spec: SpecPath,
    samples: Samples = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    charts: Charts = "declared",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show units, manifolds, charts, parameters, and what metrics cost.

    Example: manifoldnet describe specs/autoencoder.py --set replace=false
    """
    with reported(spec, debug):
        with only_json(as_json):
            call = Call.parse(spec, settings, seed, backend, charts)
            loaded = call.load()
            program = call.compile(loaded)
            found = description(program, samples or samples_of_a_step(loaded, seed))
        if as_json:
            print_json(found)
        else:
            show(found)


def samples_of_a_step(spec: Spec, seed: int) -> int:
    """How many samples a step of the spec's schedule takes; one if it has no data."""
    if isinstance(spec.schedule, Minibatches):
        return spec.schedule.batch
    data = spec.data(seed) if spec.has_data else None
    if not isinstance(data, Dataset):
        return 1
    schedule = chosen_schedule(Wishes(), spec, data)
    return schedule.batch if isinstance(schedule, Minibatches) else data.samples


def show(found: dict[str, Any]) -> None:
    """The description for people, 80 columns wide."""
    console = results()
    console.print(f"{found['name']}: {plural(found['parameters'], 'parameter')}")
    for table in (_layers(found), _edges(found), _stages(found), _blocks(found), _metrics(found)):
        console.print()
        console.print(table)


def _layers(found: dict[str, Any]) -> Table:
    table = _table("layer", ">units", "manifold", "chart", "map", ">parameters")
    for layer in found["layers"]:
        chart = "centred" if layer["chart"] is None else layer["chart"]
        count = f"{layer['parameters']:,}" if layer["map"] else ""
        table.add_row(layer["name"], f"{layer['units']:,}", layer["manifold"], chart, layer["map"] or "input", count)
    for output in found["interpretations"]:
        count = f"{output['parameters']:,}" if output["parameters"] else ""
        table.add_row(output["name"], "", "", "", output["interpretation"], count)
    return table


def _edges(found: dict[str, Any]) -> Table:
    table = _table("reader", "reads", "units", "wiring", ">links")
    for node in (*found["layers"], *found["interpretations"]):
        for number, read in enumerate(node["reads"]):
            name = "" if number else node["name"]
            links = f"{read['links']:,}" if "links" in read else ""
            table.add_row(name, read["layer"], read["units"], read.get("wiring", ""), links)
    return table


def _stages(found: dict[str, Any]) -> Table:
    table = _table(">stage", "computes", "how")
    for number, stage in enumerate(found["stages"], start=1):
        table.add_row(str(number), ", ".join(stage["layers"]), stage["plan"])
    return table


def _blocks(found: dict[str, Any]) -> Table:
    table = _table("blocks of", "how")
    for part in found["blocks"]:
        table.add_row(", ".join(part["layers"]), part["plan"])
    return table


def _metrics(found: dict[str, Any]) -> Table:
    table = _table(
        f"metric, {plural(found['samples'], 'sample')} at once", ">memory", ">operations a sample", ">relative"
    )
    least = min(metric["operations_per_sample"] for metric in found["metrics"])
    for metric in found["metrics"]:
        count = metric["operations_per_sample"]
        table.add_row(metric["name"], size_text(metric["memory_bytes"]), f"{count:,}", f"{count / least:,.1f}")
    return table


def _table(*columns: str) -> Table:
    """A table with a rule under its head; columns whose names start with > are flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    return table


def size_text(size: int) -> str:
    """Bytes in the unit that leaves a number below 1024.

    >>> size_text(600), size_text(40_000), size_text(5_000_000_000)
    ('600 B', '39.1 KiB', '4.7 GiB')
    """
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024.0:
            break
        amount, unit = amount / 1024.0, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
