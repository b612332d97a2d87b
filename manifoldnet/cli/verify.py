"""`manifoldnet verify`: what the theory promises of a spec's network, and what is measured."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, final

import attrs
import numpy
import threadpoolctl  # type: ignore[import-untyped]
import typer

from manifoldnet.cli.failures import CallError, reported
from manifoldnet.cli.options import AsJson, Backend, Call, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, remarks, results
from manifoldnet.cli.page_option import ReportPath, check_report
from manifoldnet.cli.settings import names_in
from manifoldnet.cli.verify_table import print_checks, tally
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import Spec
from manifoldnet.experiments.run import data_of
from manifoldnet.laws.record import Check
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.suite import CHARTS, verify
from manifoldnet.linalg.damping import Damping
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import METRICS, metric_named
from manifoldnet.views.certificate import certificate_page
from manifoldnet.views.page import now, write_page
from manifoldnet.views.text import plural

# Laws hold on any data: so many samples show them, and a network on thousands would take hours.
SAMPLES = 256
BROKEN = 1
FORMS = ("sigmoid", "tanh")

Metrics = Annotated[
    str | None,
    typer.Option("--metric", metavar="A,B,...", help="Metrics, by name.", show_default="all of them"),
]
ChartNames = Annotated[
    str | None,
    typer.Option(
        "--charts",
        metavar="A,B,...",
        help=f"Only laws that change charts, in these ways: {', '.join(CHARTS)}.",
        show_default="every law, in all of them",
    ),
]
DampingText = Annotated[
    str | None,
    typer.Option("--damping", metavar="TEXT", help="Damp steps by this alone.", show_default="none, and several"),
]
Samples = Annotated[str, typer.Option(metavar="N|all", help="How many samples, the first ones of the data.")]


@final
@attrs.frozen(eq=False)
class Bench:
    """What is to be verified, on which samples."""

    spec: Spec
    situation: Situation
    of_samples: int
    rules: Sequence[MetricRule]
    charts: Sequence[str] | None
    damping: Damping | None


def verify_command(
    spec: SpecPath,
    metric: Metrics = None,
    charts: ChartNames = None,
    damping: DampingText = None,
    samples: Samples = str(SAMPLES),
    report: ReportPath = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check the paper's statements on the network of a spec.

    A row is a statement, a metric, and a drawn change of charts. What is promised must hold to the tolerance; what is not
    (plain backpropagation, AdaGrad, diagonal metrics, Tikhonov damping) must be seen to deviate. Exit code 1 when a
    row fails.

    Example: manifoldnet verify specs/skip.py --metric backpropagated
    """
    with reported(spec, debug):
        with only_json(as_json):
            check_report(report)
            call = Call.parse(spec, settings, seed, backend)
            bench = prepare(call, metric, charts, damping, samples)
            checks = list(carry_out(bench))
            if report is not None:
                write_page(certificate_page(bench.spec.title, lead(call, bench), checks, now()), report)
        passed = not any(check.failed for check in checks)
        if as_json:
            print_json({**summary(call, bench, checks), "report": None if report is None else str(report)})
        else:
            print_checks(results(), checks)
            if report is not None:
                results().print(f"written {report}", soft_wrap=True)
    if not passed:
        raise typer.Exit(BROKEN)


def prepare(call: Call, metric: str | None, charts: str | None, damping: str | None, samples: str) -> Bench:
    """Load the spec and settle what to verify; parameters and data are those that `train` would start with."""
    rules = [metric_named(name) for name in (METRICS if metric is None else names_in(metric, "--metric", METRICS))]
    names = None if charts is None else drawn_charts(charts)
    wished = chosen_damping(damping)
    if call.precision != "float64":
        raise CallError(f"--backend {call.backend}: statements are verified to more digits than 32 bits have")
    spec = call.load()
    data, rng = data_of(spec, call.seed), numpy.random.default_rng(call.seed)
    program = call.compile(spec)
    theta = program.initialize(rng) if spec.initial is None else spec.initial(program, rng)
    inputs, targets = data.batch(slice(0, sample_count(samples, data.samples)))
    situation = Situation.of(spec.network(call.seed), theta, inputs, targets, call.seed, call.backend)
    return Bench(spec, situation, data.samples, rules, names, wished)


def drawn_charts(text: str) -> list[str]:
    """Ways to change charts, by name; sigmoid and tanh, as `train --charts` has them, are both the change of form.

    >>> drawn_charts("tanh,affine,form")
    ['form', 'affine']
    """
    names = names_in(text, "--charts", (*CHARTS, *FORMS))
    return list(dict.fromkeys("form" if name in FORMS else name for name in names))


def lead(call: Call, bench: Bench) -> str:
    """What was verified, in a sentence for the head of its page."""
    metrics = ", ".join(rule.name for rule in bench.rules)
    samples = "sample" if bench.situation.samples == 1 else "samples"
    of = f"{bench.situation.samples:,} of {bench.of_samples:,} {samples}"
    settings = ", ".join(f"{key} {value}" for key, value in {**call.settings, "seed": call.seed}.items())
    return f"{call.path}, {of}, {settings}, backend {call.backend}; metrics {metrics}"


def chosen_damping(text: str | None) -> Damping | None:
    """The damping that a text names; raises CallError where it names none."""
    try:
        return None if text is None else damping_from_text(text)
    except ValueError as error:
        raise CallError(str(error)) from error


def sample_count(text: str, there: int) -> int:
    """How many of the samples that there are; raises CallError for anything but a number or "all"."""
    if text == "all":
        return there
    if not text.isdecimal() or int(text) < 1:
        raise CallError(f'--samples takes a number of samples or "all", received {text!r}')
    return min(there, int(text))


def carry_out(bench: Bench) -> Iterator[Check]:
    """The checks, one after another, with what is under way on stderr."""
    console = remarks()
    used, there = bench.situation.samples, bench.of_samples
    of = "" if used == there else f" of {there:,}"
    console.print(f"{bench.spec.title}: {plural(len(bench.rules), 'metric')} on {used:,}{of} samples", soft_wrap=True)
    found = 0
    with threadpoolctl.threadpool_limits(limits=1), console.status("") as status:
        for number, rule in enumerate(bench.rules, start=1):
            for check in verify(bench.situation, [rule], bench.charts, bench.damping):
                found += 1
                status.update(f"metric {number} of {len(bench.rules)}, {rule.name}: {plural(found, 'check')}")
                yield check


def summary(call: Call, bench: Bench, checks: Sequence[Check]) -> dict[str, Any]:
    """The certificate as plain data."""
    return {
        "passed": not any(check.failed for check in checks),
        "spec": str(call.path),
        "settings": call.settings,
        "seed": call.seed,
        "backend": call.backend,
        "samples": bench.situation.samples,
        "of_samples": bench.of_samples,
        "outcomes": tally(checks),
        "checks": [attrs.asdict(check) for check in checks],
    }
