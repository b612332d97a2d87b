"""The invariance certificate: what was promised, what was measured."""

import math
from collections import Counter
from collections.abc import Sequence

from manifoldnet.laws.record import Check
from manifoldnet.views.page import Cell, Section, number, page, paragraph, table, words

STYLES = {"pass": "pass", "fail": "fail", "deviates": "deviates", "not testable": "untestable"}


def certificate_page(title: str, lead: str, checks: Sequence[Check], made: str) -> str:
    """The checks as a page of their own; `made` is the time that its foot gives."""
    failed = sum(check.failed for check in checks)
    key = {"outcome": "failed" if failed else "passed", "checks": f"{len(checks):,}", "failed": f"{failed:,}"}
    return page(title, lead, key, [Section("certificate", "Invariance certificate", certificate(checks))], made)


def certificate(checks: Sequence[Check]) -> str:
    """A verdict in a sentence, and a table for every metric.

    A control, which the theory does not promise to be the same in all charts, must be seen to deviate.
    """
    if not checks:
        return paragraph("Nothing was checked.")
    metrics = list(dict.fromkeys(check.metric for check in checks))
    parts = [(metric, [check for check in checks if check.metric == metric]) for metric in metrics]
    return paragraph(verdict(checks)) + "".join(_of_metric(metric, found) for metric, found in parts)


def _of_metric(metric: str, checks: Sequence[Check]) -> str:
    """One row for every check of a metric; the outcome stands where a phone shows it."""
    rows = [
        [
            words(check.name),
            Cell(check.outcome, style=STYLES[check.outcome]),
            words("" if check.charts == "-" else check.charts),
            words("the same" if check.promised else "a difference"),
            _measured(check.deviation),
            _measured(check.tolerance),
            words(check.detail),
        ]
        for check in checks
    ]
    headings = ("statement", "outcome", "charts", "promised", "deviation", "tolerance", "remark")
    return table(headings, rows, f"{metric}: largest relative deviations")


def verdict(checks: Sequence[Check]) -> str:
    """How many checks there were, and how they ended.

    >>> verdict([Check("norms", "natural", "affine", True, 1e-15, 1e-9, "pass")])
    'Of 1 check 1 holds what is promised.'
    """
    found: Counter[str] = Counter(check.outcome for check in checks)
    told = [
        f"{found['pass']} {'holds' if found['pass'] == 1 else 'hold'} what is promised",
        f"{found['deviates']} {'is a control' if found['deviates'] == 1 else 'are controls'}, seen to deviate",
        f"{found['not testable']} could not be tested",
        f"{found['fail']} FAILED",
    ]
    kept = [text for text, key in zip(told, ("pass", "deviates", "not testable", "fail"), strict=True) if found[key]]
    return f"Of {len(checks)} {'check' if len(checks) == 1 else 'checks'} {', '.join(kept)}."


def _measured(value: float) -> Cell:
    return number(None if math.isnan(value) else value, ".2g")
