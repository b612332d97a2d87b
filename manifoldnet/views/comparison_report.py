"""The report of a comparison: a table of methods and their curves on one page."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifoldnet.declare.network import Network
from manifoldnet.experiments.statistics import Figures, Group
from manifoldnet.views.drawing import drawing
from manifoldnet.views.line_chart import Series, line_chart
from manifoldnet.views.page import Cell, Section, facts, number, page, paragraph, table, words
from manifoldnet.views.page_picture import page_picture

# No loss below this (bits) is told from another.
LEAST = 1e-4


def comparison_report(title: str, net: Network, groups: Sequence[Group], settings: Mapping[str, Any], made: str) -> str:
    """The page as HTML text. Losses are bits per sample; curves are means over seeds; `made` is the time of its foot."""
    picture = page_picture(
        drawing(net), "layers", f"the layers of {net.name}", "The network that all methods start from."
    )
    sections = [
        Section("methods", "Methods", _methods(groups)),
        Section("curves", "Curves", _curves(groups)),
        Section("network", "The network", picture),
        Section("settings", "Settings", facts({k: str(v) for k, v in settings.items()}, "Settings of the comparison")),
    ]
    runs = sum(len(group.runs) for group in groups)
    best = min((g for g in groups if g.loss.mean is not None), key=lambda g: g.loss.mean or 0.0, default=None)
    key = {"least loss": "–" if best is None else f"{best.metric}, {best.charts}"}
    key |= {"methods": str(len({group.metric for group in groups})), "runs": f"{runs:,}"}
    failures = sum(len(group.failures) for group in groups)
    key |= {"failed runs": f"{failures:,}"} if failures else {}
    return page(title, f"{net.name}: methods, charts and seeds compared", key, sections, made)


def _methods(groups: Sequence[Group]) -> str:
    if not groups:
        return paragraph("No run has ended.")
    rows = [
        [
            words(group.metric),
            words(group.charts),
            words(group.damping),
            *_spread(group.loss, ".4g"),
            _mean(group.accuracy, ".2%"),
            _mean(group.steps, ",.0f"),
            _mean(group.seconds, ",.3g"),
            number(len(group.runs), ","),
        ]
        for group in groups
    ]
    headings = ("method", "charts", "damping", "bits", "±", "accuracy", "steps", "seconds", "runs")
    told = table(headings, rows, "Bits per sample at the end, mean and standard deviation over seeds")
    failed = [one for group in groups for one in group.failures]
    return told + "".join(
        paragraph(f"failed: {one.task.metric}, {one.task.charts}, seed {one.task.seed}: {one.error}", "note")
        for one in failed
    )


def _spread(found: Figures, form: str) -> tuple[Cell, Cell]:
    return number(found.mean, form), number(found.deviation, ".2g")


def _mean(found: Figures | None, form: str) -> Cell:
    return number(None if found is None else found.mean, form)


def _curves(groups: Sequence[Group]) -> str:
    parts = []
    metrics = list(dict.fromkeys(group.metric for group in groups))
    for charts in dict.fromkeys(group.charts for group in groups):
        for against in ("steps", "seconds"):
            series = []
            for group in groups:
                if group.charts == charts and group.runs:
                    grid, losses = group.curves(against)
                    mean = losses.clip(min=LEAST).mean(axis=0)
                    series.append(Series(group.metric, grid, mean, style=metrics.index(group.metric)))
            title = f"{charts} form: loss against {against}" if charts != "declared" else f"loss against {against}"
            chart = line_chart(series, against, "loss per sample (bits)", title, size=(480, 290))
            parts.append(f"<figure>{chart}<figcaption>{title}</figcaption></figure>")
    return f'<div class="pair">{"".join(parts)}</div>' if parts else paragraph("No run has ended.")
