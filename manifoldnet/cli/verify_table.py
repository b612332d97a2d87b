"""The table that `verify` prints: what was promised, what was measured."""

from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from rich.console import Console
from rich.table import Table

from manifoldnet.laws.record import Check, Outcome

OUTCOMES: tuple[str, ...] = get_args(Outcome)
WORDS = {"pass": "as promised", "fail": "FAIL", "deviates": "deviates, as it should", "not testable": "not testable"}


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """A table for each metric, why rows are not testable below it, and how many rows there are of each outcome."""
    for metric, rows in groupby(checks, key=lambda check: check.metric):
        console.print(_table(metric, list(rows)))
        console.print()
    counts = tally(checks)
    console.print(
        f"{counts['pass']} as promised, {counts['deviates']} seen to deviate as they should, "
        f"{counts['not testable']} not testable, {counts['fail']} failed"
    )


def tally(checks: Sequence[Check]) -> dict[str, int]:
    """How many checks have each outcome."""
    return {outcome: sum(check.outcome == outcome for check in checks) for outcome in OUTCOMES}


def _table(metric: str, checks: Sequence[Check]) -> Table:
    table = Table(
        title=metric, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column("statement", ratio=1)
    table.add_column("charts", no_wrap=True)
    table.add_column("deviation", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for check in checks:
        deviation = "" if check.outcome == "not testable" else f"{check.deviation:.1e}"
        charts = "" if check.charts == "-" else check.charts
        table.add_row(_told(check), charts, deviation, WORDS[check.outcome], style="bold" if check.failed else None)
    return table


def _told(check: Check) -> str:
    """The statement; where it failed also where and by how much, where it is not testable why."""
    if check.failed:
        side = "at most" if check.promised else "more than"
        return f"{check.name} ({side} {check.tolerance:.0e} expected; {check.detail})".replace("; )", ")")
    return f"{check.name} ({check.detail})" if check.outcome == "not testable" else check.name
