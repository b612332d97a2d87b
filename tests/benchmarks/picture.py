"""The stored sweeps as a picture, with the fitted slopes: `python -m tests.benchmarks.picture`."""

from pathlib import Path
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks import record

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "growth.svg"


def drawn(sweeps: list[dict[str, Any]]) -> Figure:
    """One panel a sweep: what was measured, and the fitted power of each part of a step beside the paper's claim."""
    names = list(dict.fromkeys(line["sweep"] for line in sweeps))
    figure = Figure(figsize=(9.0, 7.2), layout="constrained")
    for axes, name in zip(figure.subplots(2, -(-len(names) // 2)).flat, names, strict=False):
        _panel(axes, name, [line for line in sweeps if line["sweep"] == name])
    return figure


def _panel(axes: Axes, name: str, lines: list[dict[str, Any]]) -> None:
    for number, line in enumerate(lines):
        sizes, times = numpy.array(line["sizes"]), 1e3 * numpy.array(line["seconds"])
        slope, level = numpy.polyfit(numpy.log(sizes), numpy.log(times), 1)
        label = f"{line['metric']}: {slope:.2f} (claim {line['claim']:.0f})"
        axes.loglog(sizes, times, "osD^"[number % 4], color=f"C{number}", markersize=5)
        axes.loglog(sizes, numpy.exp(level) * sizes**slope, color=f"C{number}", linewidth=1.2, label=label)
    axes.set_xticks(lines[0]["sizes"], [f"{size:,}" for size in lines[0]["sizes"]])
    axes.minorticks_off()
    axes.set(xlabel=name, ylabel="milliseconds")
    top = axes.get_ylim()[1]
    # room for the legend above the lines
    axes.set_ylim(top=top * 6.0)
    axes.legend(fontsize=7.5, loc="upper left", frameon=False)


def write(path: Path = PICTURE) -> None:
    """Draw the run stored last; raises LookupError where none is stored."""
    run = record.last()
    if run is None:
        raise LookupError("no run is stored: python -m tests.benchmarks --store")
    path.parent.mkdir(exist_ok=True)
    drawn(run["sweeps"]).savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    write()
