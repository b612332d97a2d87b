"""What a comparison has found, as a table for people and as plain data."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from manifoldnet.experiments import paper
from manifoldnet.experiments.statistics import Figures, Group

# where a terminal is narrower it wraps the lines, which reads better than columns cut short
TABLE_WIDTH = 104


def group_data(group: Group, with_paper: bool) -> dict[str, Any]:
    """One method in one kind of charts, as `--json` has it."""
    found: dict[str, Any] = {
        "metric": group.metric,
        "charts": group.charts,
        "damping": None if group.damping == "none" else group.damping,
        "runs": len(group.runs),
        "seeds": [run.task.seed for run in group.runs],
        "loss_bits": _figures(group.loss),
        "steps": _figures(group.steps),
        "cancelled_steps": [run.cancelled for run in group.runs],
        "worsened": [run.task.seed for run in group.runs if run.is_worse],
        "seconds": _figures(group.seconds),
        "failures": [{"seed": failed.task.seed, "error": failed.error} for failed in group.failures],
    }
    if group.accuracy is not None:
        found["validation_accuracy"] = _figures(group.accuracy)
    cited = paper.BITS.get((group.metric, group.charts)) if with_paper else None
    if cited is not None:
        found["paper"] = {"mean": cited[0], "std": cited[1], "steps": list(paper.STEPS[group.metric])}
    return found


def print_table(console: Console, groups: Sequence[Group], with_paper: bool) -> None:
    """Mean and standard deviation of the bits at the end, the steps and the time, beside the paper's."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    accuracy = any(group.accuracy is not None for group in groups)
    table.add_column("method", no_wrap=True)
    table.add_column("charts", no_wrap=True)
    headings = ["bits", *(["paper"] if with_paper else []), *(["accuracy"] if accuracy else []), "steps"]
    headings += [*(["paper"] if with_paper else []), "seconds", "runs"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for group in groups:
        table.add_row(*_cells(group, with_paper, accuracy))
    console.width = max(console.width, TABLE_WIDTH)
    console.print(table)
    for failed in [failed for group in groups for failed in group.failures]:
        task = failed.task
        console.print(f"failed: {task.metric}, {task.charts}, seed {task.seed}: {failed.error}", soft_wrap=True)
    for worse in [run for group in groups for run in group.runs if run.is_worse]:
        task = worse.task
        console.print(
            f"worse: {task.metric}, {task.charts}, seed {task.seed}: the loss began at {worse.began:.4g} bits and ended at "
            f"{'infinity' if worse.loss is None else format(worse.loss, '.4g')}",
            soft_wrap=True,
        )


def _cells(group: Group, with_paper: bool, accuracy: bool) -> list[str]:
    cells = [group.metric, group.charts, _text(group.loss)]
    cited, steps = paper.BITS.get((group.metric, group.charts)), paper.STEPS.get(group.metric)
    if with_paper:
        cells.append("" if cited is None else f"{cited[0]:.1f} ± {cited[1]:.1f}")
    if accuracy:
        cells.append("" if group.accuracy is None or group.accuracy.mean is None else f"{group.accuracy.mean:.2%}")
    cells.append("" if group.steps.mean is None else f"{group.steps.mean:,.0f}")
    if with_paper:
        cells.append("" if steps is None else _range(*steps))
    cells += ["" if group.seconds.mean is None else f"{group.seconds.mean:.1f}", str(len(group.runs))]
    return cells


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,}-{most:,}"


def _text(figures: Figures) -> str:
    if figures.mean is None:
        return "not finite" if figures.values else "failed"
    mean = _number(figures.mean)
    return mean if figures.deviation is None else f"{mean} ± {_number(figures.deviation)}"


def _number(value: float) -> str:
    """Two decimals, and two digits where those would be all zeros.

    >>> _number(35.912), _number(0.00042), _number(0.0)
    ('35.91', '0.00042', '0.00')
    """
    return f"{value:.2f}" if value == 0.0 or abs(value) >= 0.1 else f"{value:.2g}"


def _figures(figures: Figures) -> dict[str, Any]:
    return {"mean": figures.mean, "std": figures.deviation, "values": figures.values}
