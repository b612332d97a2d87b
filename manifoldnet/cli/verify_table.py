"""The table that `verify` prints: what was promised, what was measured."""

from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from rich.console import Console
from rich.table import Table

from manifoldnet.laws.record import Check, Outcome

OUTCOMES: tuple[str, ...] = get_args(Outcome)
WORDS = {"pass": "holds", "fail": "FAILS", "deviates": "deviates", "not testable": "not testable"}


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """A table for each metric, with notes on rows that failed or could not be tested, and a count of outcomes."""
    for metric, rows in groupby(checks, key=lambda check: check.metric):
        _print_metric(console, metric, list(rows))
    counts = tally(checks)
    console.print(
        f"{counts['pass']} hold as promised, {counts['deviates']} deviate as expected, "
        f"{counts['not testable']} not testable, {counts['fail']} failed"
    )


def _print_metric(console: Console, metric: str, checks: Sequence[Check]) -> None:
    notes = list(dict.fromkeys(_note(check) for check in checks if _note(check)))
    console.print(_table(metric, checks, notes))
    for number, note in enumerate(notes, start=1):
        console.print(f"({number}) {note}")
    console.print()


def tally(checks: Sequence[Check]) -> dict[str, int]:
    """How many checks have each outcome."""
    return {outcome: sum(check.outcome == outcome for check in checks) for outcome in OUTCOMES}


def _table(metric: str, checks: Sequence[Check], notes: Sequence[str]) -> Table:
    table = Table(
        title=metric, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column("statement", ratio=1)
    table.add_column("charts", no_wrap=True)
    table.add_column("deviation", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for check in checks:
        deviation = "" if check.outcome == "not testable" else f"{check.deviation:.1e}"
        charts, note = "" if check.charts == "-" else check.charts, _note(check)
        outcome = WORDS[check.outcome] + (f" ({notes.index(note) + 1})" if note else "")
        table.add_row(check.name, charts, deviation, outcome, style="bold" if check.failed else None)
    return table


def _note(check: Check) -> str:
    """Why a row is not testable; what was expected where it failed, and where it was missed most; else nothing."""
    if check.outcome == "not testable":
        return check.detail
    if not check.failed:
        return ""
    expected = f"{'at most' if check.promised else 'more than'} {check.tolerance:.0e} was expected"
    return f"{expected}; {check.detail}" if check.detail else expected
