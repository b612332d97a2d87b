"""Digits against seconds, of curves that were kept: `python -m tests.benchmarks.curves FILE...`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.benchmarks.digits import WANTED, Curve

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "digits-against-seconds.svg"


def kept(path: Path) -> list[Curve]:
    """The curves of a file that `--keep` wrote."""
    return [Curve(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def drawn(runs: Sequence[Sequence[Curve]], titles: Sequence[str]) -> Figure:
    """A column a run: the loss and the accuracy on held-out data against seconds of steps, medians over seeds."""
    figure = Figure(figsize=(5.2 * len(runs), 8.0), layout="constrained")
    columns = figure.subplots(2, len(runs), squeeze=False).T
    for (losses, accuracies), curves, title in zip(columns, runs, titles, strict=True):
        for number, name in enumerate(_shown(curves)):
            own = [curve for curve in curves if curve.method == name]
            style = {
                "label": name,
                "color": colormaps["tab20"](7 * number % 20),
                "linestyle": "--" if name.startswith("adam") else "-",
                "linewidth": 1.3,
            }
            losses.loglog(*_medians(own, [curve.losses for curve in own]), **style)
            accuracies.semilogx(*_medians(own, [curve.accuracies for curve in own]), **style)
        _labelled(losses, accuracies, title)
    return figure


def _shown(curves: Sequence[Curve]) -> list[str]:
    """All methods; of Adam, the rate that is first at the accuracy wanted and the one that has the lowest loss."""
    names = list(dict.fromkeys(curve.method for curve in curves))
    adam = [name for name in names if name.startswith("adam")]
    own = {name: [curve for curve in curves if curve.method == name] for name in adam}
    first = min(adam, key=lambda name: numpy.median([curve.reached * curve.seconds for curve in own[name]]))
    lowest = min(adam, key=lambda name: numpy.median([min(curve.losses) for curve in own[name]]))
    return [name for name in names if name not in adam or name in (first, lowest)]


def _medians(curves: Sequence[Curve], scores: Sequence[Sequence[float]]) -> tuple[NDArray, NDArray]:
    seconds = numpy.median([curve.seconds for curve in curves])
    return seconds * numpy.array(curves[0].steps), numpy.median(scores, axis=0)


def _labelled(losses: Axes, accuracies: Axes, title: str) -> None:
    losses.set(title=title, ylabel="nats a sample, held out")
    accuracies.axhline(WANTED, color="0.6", linewidth=0.8)
    accuracies.set(xlabel="seconds of steps", ylabel="fraction right, held out", ylim=(0.85, 1.0))
    accuracies.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)


def main() -> None:
    """Draw one column a file, with the file's name above it."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    if not paths:
        raise SystemExit("name files that `python -m tests.benchmarks.digits --keep FILE` wrote")
    PICTURE.parent.mkdir(exist_ok=True)
    drawn([kept(path) for path in paths], [path.stem for path in paths]).savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
