"""Figures of a comparison, as PNG files; needs the extra `plot`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from manifoldnet.experiments.statistics import Group

# No loss below this (bits) is told from another.
LEAST = 1e-4
PAIR = ("diagonal-gauss-newton", "quasi-diagonal-backpropagated")
# What rewriting sigmoids as tanhs changes even without damping.
NOT_INVARIANT = {"euclidean", "adagrad", "diagonal-gauss-newton"}


def draw_figures(groups: Sequence[Group], folder: Path, title: str) -> list[Path]:
    """Write what can be drawn of these groups into a folder, and return the files.

    Loss against steps and against seconds, one panel for each kind of charts; where both are there, the method with and
    without the non-diagonal terms, and each invariant method in sigmoid and tanh form. Lines are means over
    seeds, bands reach from the least to the greatest. Without any run that ended well there is nothing to draw.
    """
    drawn = [group for group in groups if group.runs]
    if not drawn:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    found = [
        _by_charts(drawn, "steps", folder / "loss-against-steps.png", title),
        _by_charts(drawn, "seconds", folder / "loss-against-seconds.png", title),
    ]
    pair = [group for group in drawn if group.metric in PAIR]
    if {group.metric for group in pair} == set(PAIR):
        found.append(_by_charts(pair, "steps", folder / "non-diagonal-terms.png", f"{title}: non-diagonal terms"))
    both = [group for group in drawn if group.metric not in NOT_INVARIANT]
    if len({group.charts for group in both}) > 1:
        found.append(_by_method(both, folder / "sigmoid-and-tanh.png", f"{title}: invariance"))
    return found


def _by_charts(groups: Sequence[Group], against: str, path: Path, title: str) -> Path:
    charts = list(dict.fromkeys(group.charts for group in groups))
    metrics = list(dict.fromkeys(group.metric for group in groups))
    figure = Figure(figsize=(5.2 * len(charts), 5.6), layout="constrained")
    axes = list(figure.subplots(1, len(charts), sharex=True, sharey=True, squeeze=False)[0])
    for panel, name in zip(axes, charts, strict=True):
        for group in groups:
            if group.charts == name:
                _line(panel, group, against, *_style(metrics.index(group.metric)), label=group.metric)
        _finish(panel, name, against)
    return _save(figure, axes, path, title)


def _by_method(groups: Sequence[Group], path: Path, title: str) -> Path:
    metrics = list(dict.fromkeys(group.metric for group in groups))
    charts = list(dict.fromkeys(group.charts for group in groups))
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.8), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharey=True, squeeze=False).reshape(-1))
    for panel, metric in zip(axes, metrics, strict=False):
        for group in groups:
            if group.metric == metric:
                _line(panel, group, "steps", *_style(charts.index(group.charts)), label=group.charts)
        _finish(panel, metric, "steps")
    for panel in axes[len(metrics) :]:
        panel.set_visible(False)
    return _save(figure, axes[: len(metrics)], path, title)


def _style(number: int) -> tuple[str, str]:
    """Colours and dashes, so that lines which coincide are seen to be two."""
    colours: Callable = matplotlib.colormaps["tab10"]
    return to_hex(colours(number % 10)), ("-", "--", "-.", ":")[number % 4]


def _line(panel: Axes, group: Group, against: str, colour: str, dashes: str, label: str) -> None:
    grid, losses = group.curves(against)
    floored = losses.clip(min=LEAST)
    panel.plot(grid, floored.mean(axis=0), dashes, color=colour, label=label, linewidth=1.6)
    if len(losses) > 1:
        panel.fill_between(grid, floored.min(axis=0), floored.max(axis=0), color=colour, alpha=0.15, linewidth=0)


def _finish(panel: Axes, title: str, against: str) -> None:
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.0, 0.4)))
    panel.set_title(title)
    panel.set_xlabel(against)
    panel.grid(alpha=0.3)
    place = panel.get_subplotspec()
    if place is None or place.is_first_col():
        panel.set_ylabel("loss per sample (bits)")


def _save(figure: Figure, axes: Sequence[Axes], path: Path, title: str) -> Path:
    entries = {label: line for panel in axes for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    columns = min(3, len(entries))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path
