"""`manifoldnet report`: one page about a run that was kept in a directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy
import threadpoolctl  # type: ignore[import-untyped]
import typer

from manifoldnet.cli.failures import CallError, reported
from manifoldnet.cli.job import recorded
from manifoldnet.cli.options import AsJson, Debug
from manifoldnet.cli.output import only_json, print_json, remarks, results
from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DataError
from manifoldnet.experiments.run import in_charts
from manifoldnet.laws.drawn import CHANGES
from manifoldnet.laws.norms import norms
from manifoldnet.laws.promises import is_intrinsic, sees
from manifoldnet.laws.record import Check
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.suite import damped_steps, dampings, verify
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.keeping.directory import SPEC, RunDirectory
from manifoldnet.learning.stream import Batch, Stream
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.names import METRICS, metric_named
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import UnitwiseNatural
from manifoldnet.views.page import now, write_page
from manifoldnet.views.run_report import RunFacts, run_report
from manifoldnet.views.unit_values import unit_values

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run, as `train --run` writes.")]
Output = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Page to write.", show_default="report.html in the directory")
]
Certificate = Annotated[
    bool, typer.Option("--certificate/--no-certificate", help="Check what the theory promises of the metric.")
]
Samples = Annotated[int, typer.Option(metavar="N", min=1, help="Samples that moduli and blocks are averaged over.")]

# Laws are tried in several charts, over many steps; fewer samples than for averages will do.
CHECKED = 60
CHARTS = ("form", "affine", "inputs", "parameters")


def report(
    run: RunPath,
    output: Output = None,
    certificate: Certificate = True,
    samples: Samples = 500,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write one page about a run: network, curves, blocks, certificate.

    The spec of the run is run anew. The page fetches nothing and can be
    sent as it is.

    Example: manifoldnet report runs/digits --output digits.html
    """
    with reported(run, debug):
        with only_json(as_json):
            directory = RunDirectory.open(run)
            path = run / "report.html" if output is None else output
            if not path.parent.is_dir():
                raise CallError(f"--output {path}: there is no folder {path.parent}")
            with threadpoolctl.threadpool_limits(limits=1):
                facts = gathered(directory, samples, certificate)
                write_page(run_report(facts, now()), path)
        checks = [check for part in facts.checks.values() for check in part]
        failed = [check.name for check in checks if check.failed]
        if as_json:
            print_json({"run": str(run), "output": str(path), "checks": len(checks), "failed": failed})
        else:
            results().print(f"written: {path}", soft_wrap=True)


def gathered(directory: RunDirectory, samples: int, certificate: bool) -> RunFacts:
    """All that the report tells of a run; raises RunError where the spec has changed or the run holds no checkpoint."""
    directory.require_same_spec()
    call, _ = recorded(directory.about)
    spec = call.load()
    net = in_charts(spec.network(call.seed), call.charts)
    program = compile(net, backend=call.backend)
    vectors = directory.parameters()
    kind = "best" if "best" in vectors else "theta"
    theta = program.parameters(vectors[kind])
    inputs, targets = _first(spec.data(call.seed), samples)
    rule = _rule(directory.about["metric"])
    whole, measured = _whole(rule)
    tensor = program.metric(whole, theta, inputs, targets, numpy.random.default_rng(call.seed))
    count = len(next(iter(program.points(inputs).values())))
    checks: Mapping[str, Sequence[Check]] = {}
    if certificate:
        rng = numpy.random.default_rng(call.seed)
        begun = program.initialize(rng) if spec.initial is None else spec.initial(program, rng)
        end, start = (Situation.of(net, point, inputs, targets) for point in (theta, begun))
        checks = _checks(end, start, rule, directory.about["damping"])
    return RunFacts(
        title=str(directory.about.get("title", spec.title)),
        net=net,
        program=program,
        theta=theta,
        origin="the best parameters on held-out data" if kind == "best" else "the parameters of the last checkpoint",
        history=directory.history,
        values=unit_values(program, theta, inputs),
        tensor=tensor,
        measured=f"Of {measured}, on {count:,} samples.",
        samples=count,
        checks=checks,
        settings=_settings(directory.about),
        summary=directory.summary,
        spec=(directory.path / SPEC).read_text(encoding="utf-8", errors="replace"),
    )


def _first(data: Any, samples: int) -> Batch:
    """The first samples of data, or the first batch of a stream; raises DataError where it has none."""
    if not isinstance(data, Stream):
        return data.batch(slice(0, samples))
    found = next(data.epoch(), None)
    if found is None:
        raise DataError("the stream of the spec holds no batch, so nothing can be measured")
    return found


def _rule(name: str) -> MetricRule:
    """The run's metric, or, of methods that have no blocks, the unitwise natural one."""
    if name not in METRICS:
        raise CallError(f"the run was trained by a metric of its spec, {name!r}, which has no name here")
    rule = metric_named(name)
    return UnitwiseNatural() if isinstance(rule, Euclidean | AdaGrad) else rule


def _whole(rule: MetricRule) -> tuple[MetricRule, str]:
    """The metric whose blocks are shown: of a reduction, whose blocks tell nothing, the one that is reduced."""
    if isinstance(rule, QuasiDiagonal | Diagonal):
        return rule.metric, f"the {rule.metric.name} metric, which the run reduces to {rule.name}"
    return rule, f"the {rule.name} metric"


def _checks(end: Situation, start: Situation, rule: MetricRule, damping: str | None) -> dict[str, Sequence[Check]]:
    """Norms where the run ended, and every law where it began, by where they were measured.

    Where a run ends there may be nothing left to step along but rounding.
    """
    remarks().print("checking what is promised of the metric", soft_wrap=True)
    here, begun = end.on(slice(0, CHECKED)), start.on(slice(0, CHECKED))
    pairs = [pair for name in CHARTS if (pair := CHANGES[name](here)) is not None]
    kept = [norms(pair, rule) for pair in pairs if is_intrinsic(rule) or sees(rule, pair)]
    own = None if damping is None else damping_from_text(damping)
    # the suite itself goes through the default one and through others that keep the promise
    laws = list(verify(begun, [rule]))
    others = [] if own is None or own in (default_damping(rule), *dampings(rule)) else damped_steps(begun, rule, own)
    return {"At the parameters of this page": kept, "Where training began": [*laws, *others]}


def _settings(about: dict[str, Any]) -> dict[str, str]:
    """Names and values as people read them."""
    call, schedule = about["call"], about["schedule"]
    found = {"metric": about["metric"], "damping": about["damping"] or "none", "begun": about.get("created")}
    found |= {f"schedule: {key}": value for key, value in schedule.items()}
    found |= {key: call[key] for key in ("seed", "charts", "backend") if key in call}
    found |= {f"set {key}": value for key, value in (call.get("settings") or {}).items()}
    found |= {f"data: {key}": value for key, value in (about.get("data") or {}).items()}
    return {key: "–" if value is None else str(value) for key, value in found.items()}


__all__ = ["gathered", "report"]
