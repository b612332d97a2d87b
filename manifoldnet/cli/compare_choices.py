"""What `compare` was asked to compare, from the call, the spec, or the defaults."""

from typing import final

import attrs

from manifoldnet.cli.failures import CallError
from manifoldnet.cli.options import Call
from manifoldnet.cli.settings import names_in
from manifoldnet.declare.spec import Spec
from manifoldnet.experiments import paper
from manifoldnet.experiments.plan import BUDGETS, Plan, dampings
from manifoldnet.experiments.run import data_of, schedule_of
from manifoldnet.experiments.task import CHARTS
from manifoldnet.metrics.names import METRICS


@final
@attrs.frozen
class Wishes:
    """What the call says of the comparison; None where it says nothing."""

    metrics: str | None
    charts: str
    seeds: int
    steps: int | None
    seconds: float | None
    budget: str | None
    damping: str | None


def planned(call: Call, spec: Spec, wishes: Wishes, of_paper: bool) -> Plan:
    """The comparison that a call asks for; raises CallError where it makes no sense."""
    schedule = schedule_of(spec, data_of(spec, call.seed))
    budget, amount = _budget(wishes, schedule.steps, of_paper)
    metrics = _metrics(wishes, spec, budget)
    damping = wishes.damping or ("paper" if of_paper else "default")
    try:
        damped = dampings(metrics, None if damping == "default" else damping, schedule)
    except ValueError as error:
        raise CallError(str(error)) from error
    return Plan(
        spec=spec,
        dampings=damped,
        charts=names_in(wishes.charts, "--charts", CHARTS),
        seeds=range(call.seed, call.seed + wishes.seeds),
        budget=budget,
        amount=amount,
        backend=call.backend,
    )


def _budget(wishes: Wishes, usual: int, of_paper: bool) -> tuple[str, float | None]:
    given = [name for name in ("steps", "seconds", "budget") if getattr(wishes, name) is not None]
    if len(given) > 1:
        raise CallError(f"--{given[0]} and --{given[1]} are two budgets: give one of --steps, --seconds and --budget")
    if wishes.seconds is not None:
        if not 0.0 < wishes.seconds < float("inf"):
            raise CallError(f"--seconds takes a positive number, received {wishes.seconds}")
        return "seconds", wishes.seconds
    if wishes.steps is not None:
        return "steps", wishes.steps
    budget = wishes.budget or ("paper" if of_paper else None)
    if budget is None:
        return "steps", usual
    if budget not in BUDGETS:
        raise CallError(f"--budget takes {' or '.join(BUDGETS)}, received {budget!r}")
    return budget, None


def _metrics(wishes: Wishes, spec: Spec, budget: str) -> list[str]:
    usual = getattr(spec.module, "methods", paper.METHODS)
    if wishes.metrics == "all":
        usual = tuple(paper.STEPS if budget == "table1" else METRICS)
    metrics = list(usual) if wishes.metrics in (None, "all") else names_in(wishes.metrics or "", "--metrics", METRICS)
    missing = [name for name in metrics if name not in paper.STEPS]
    if budget == "table1" and missing:
        raise CallError(f"--budget table1: the paper's table 1 has no steps for {', '.join(missing)}; use --steps")
    return metrics
