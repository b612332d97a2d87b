"""`manifoldnet compare`: methods side by side, in several charts and from several seeds."""

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Any, final

import attrs
import typer

from manifoldnet.cli.compare_choices import Wishes, planned
from manifoldnet.cli.compare_progress import ComparisonWatch, Pace
from manifoldnet.cli.compare_summary import group_data, print_table
from manifoldnet.cli.failures import INTERRUPTED, CallError, reported
from manifoldnet.cli.options import AsJson, Backend, Call, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, remarks, results
from manifoldnet.cli.page_option import ReportPath, check_report
from manifoldnet.experiments import paper
from manifoldnet.experiments.comparison import carry_out
from manifoldnet.experiments.executors import open_executor
from manifoldnet.experiments.plan import Plan, measured_seconds
from manifoldnet.experiments.results_file import ResultsFile
from manifoldnet.experiments.statistics import Group, grouped
from manifoldnet.experiments.task import Result, Task
from manifoldnet.extras import extra_module
from manifoldnet.views.comparison_report import comparison_report
from manifoldnet.views.page import now, write_page

Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help='Methods, or "all".',
        show_default="the spec's `methods`, or those of the paper's table 2",
    ),
]
ChartNames = Annotated[str, typer.Option("--charts", metavar="A,B,...", help="Of sigmoid, tanh and declared.")]
Seeds = Annotated[int, typer.Option(metavar="N", help="How many seeds, counted from --seed.", min=1)]
Steps = Annotated[int | None, typer.Option(metavar="N", help="So many steps for each method.", min=1)]
Seconds = Annotated[float | None, typer.Option(metavar="S", help="So many seconds for each method.")]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="paper|table1",
        help="paper: the time of 10,000 steps of backpropagation, measured first; table1: the paper's table 1.",
        show_default="paper for the paper's auto-encoder, elsewhere the steps of the spec",
    ),
]
DampingText = Annotated[
    str | None,
    typer.Option(
        "--damping",
        metavar="TEXT|paper",
        help="For all methods but backpropagation; paper is tikhonov:1e-4, default what train takes.",
        show_default="paper for the paper's auto-encoder, elsewhere default",
    ),
]
ResultsPath = Annotated[
    Path | None, typer.Option("--results", metavar="FILE.jsonl", help="Keep results there, and go on from them.")
]
FiguresPath = Annotated[
    Path | None, typer.Option("--figures", metavar="DIR", help="Draw figures there (extra `plot`).")
]
Jobs = Annotated[int | None, typer.Option(metavar="N", help="Runs at a time.", min=1, show_default="one a processor")]
Address = Annotated[
    str | None, typer.Option("--executor", metavar="ADDRESS", help="Run on the Dask scheduler there (extra `dask`).")
]


@final
@attrs.define(eq=False)
class Findings:
    """Results so far, and whether all of them are there."""

    results: list[Result] = attrs.field(factory=list)
    seconds: float | None = None
    interrupted: bool = False


def compare(
    spec: SpecPath,
    metrics: Metrics = None,
    charts: ChartNames = "sigmoid,tanh",
    seeds: Seeds = 3,
    steps: Steps = None,
    seconds: Seconds = None,
    budget: Budget = None,
    damping: DampingText = None,
    results_file: ResultsPath = None,
    figures: FiguresPath = None,
    report: ReportPath = None,
    jobs: Jobs = None,
    executor: Address = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare methods on the network of a spec.

    Every method starts from the same points of the same networks.
    Ctrl-C shows what is there and exits with 130; with --results
    the same command goes on from there.

    Example: manifoldnet compare specs/autoencoder.py --seeds 20 --results a.jsonl
    """
    wishes = Wishes(metrics, charts, seeds, steps, seconds, budget, damping)
    with reported(spec, debug):
        with only_json(as_json):
            call = Call.parse(spec, settings, seed, backend)
            loaded = call.load()
            of_paper = paper.is_papers(loaded.network(seed))
            plan = planned(call, loaded, wishes, of_paper)
            check_report(report)
            drawing = None if figures is None else extra_module("manifoldnet.views.matplotlib.comparison", "plot")
            found = carry_out_plan(plan, kept_in(results_file), jobs or os.cpu_count() or 1, executor)
            groups = grouped(found.results)
            if report is not None:
                text = comparison_report(loaded.title, loaded.network(seed), groups, settings_of(call, plan), now())
                write_page(text, report)
            drawn = [] if drawing is None else drawing.draw_figures(groups, figures, loaded.title)
        if as_json:
            told = summary(call, plan, found, groups, of_paper, [*map(str, drawn)])
            print_json({**told, "report": None if report is None else str(report)})
        else:
            print_table(results(), groups, of_paper)
            for path in [*drawn, *([] if report is None else [report])]:
                results().print(f"written {path}", soft_wrap=True)
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)


def settings_of(call: Call, plan: Plan) -> dict[str, object]:
    """What the report says the comparison was of."""
    budget = plan.budget if plan.amount is None else f"{plan.amount:,g} {plan.budget}"
    seeds = f"{plan.seeds[0]} to {plan.seeds[-1]}" if len(plan.seeds) > 1 else plan.seeds[0]
    return {**call.settings, "each method": budget, "seeds": seeds, "backend": call.backend}


def kept_in(path: Path | None) -> ResultsFile | None:
    """The file of results, whose remarks are passed on; its folder is made where there is none."""
    if path is None:
        return None
    if path.is_dir():
        raise CallError(f"--results {path} is a folder: give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = ResultsFile(path)
    for remark in kept.remarks:
        remarks().print(remark, soft_wrap=True)
    return kept


def carry_out_plan(plan: Plan, kept: ResultsFile | None, jobs: int, address: str | None) -> Findings:
    """Carry out a plan, and stop where Ctrl-C says so."""
    everything = {task.identity: task for task in [*plan.yardsticks(), *plan.tasks(1.0)]}
    before = {} if kept is None else kept.done(everything.values())
    found = Findings(list(before.values()))
    waiting = [task for identity, task in everything.items() if identity not in before]
    try:
        # the executor is left by the exception, so that it does not wait for what is under way
        with open_executor(min(jobs, max(1, len(waiting))), address, plan.backend) as (executor, at_once):
            done = f", {len(before)} of them done before" if before else ""
            remarks().print(f"{plan.spec.title}: {len(everything)} runs{done}", soft_wrap=True)
            _carry_out(plan, executor, at_once, kept, waiting, found)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _carry_out(
    plan: Plan, executor: Executor, at_once: int, kept: ResultsFile | None, waiting: list[Task], found: Findings
) -> None:
    """Yardsticks first; `found` is filled as results come, and has all of them in the plan's order at the end."""
    with ComparisonWatch(remarks(), Pace(waiting, at_once)) as watch:

        def observe(result: Result) -> None:
            found.results.append(result)
            watch.see(result)

        yardsticks = carry_out(plan.yardsticks(), executor, at_once, kept, observe)
        found.seconds = measured_seconds(yardsticks) if yardsticks else None
        found.results = carry_out(plan.tasks(found.seconds), executor, at_once, kept, observe)


def summary(
    call: Call, plan: Plan, found: Findings, groups: Sequence[Group], of_paper: bool, drawn: list[str]
) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "spec": str(call.path),
        "title": plan.spec.title,
        "settings": call.settings,
        "backend": call.backend,
        "charts": plan.charts,
        "seeds": list(plan.seeds),
        "budget": {"kind": plan.budget, "amount": plan.amount, "measured_seconds": found.seconds},
        "interrupted": found.interrupted,
        "methods": [group_data(group, of_paper) for group in groups],
        "figures": drawn,
    }
