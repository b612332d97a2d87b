"""`manifoldnet train`: train the network of a spec with an intrinsic metric."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, final

import attrs
import numpy
import threadpoolctl  # type: ignore[import-untyped]
import typer
from rich.table import Table

from manifoldnet.cli.choices import Wishes, chosen_damping, chosen_metric, chosen_schedule
from manifoldnet.cli.failures import INTERRUPTED, reported
from manifoldnet.cli.options import AsJson, Backend, Call, Charts, Debug, Seed, Settings, SpecPath
from manifoldnet.cli.output import only_json, print_json, remarks, results
from manifoldnet.cli.progress import Watch, bits, watch
from manifoldnet.cli.saving import check_output, save_parameters
from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import Spec
from manifoldnet.errors import SpecError
from manifoldnet.learning.compiled import compiled_descent
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import FullBatch, Minibatches
from manifoldnet.learning.train import Schedule
from manifoldnet.learning.train import train as run_training
from manifoldnet.learning.validation import score

Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Whose steps are taken, such as natural or euclidean; a wrong name lists them all.",
        show_default="the spec's, or quasi-diagonal-backpropagated",
    ),
]
DampingText = Annotated[
    str | None,
    typer.Option(
        "--damping",
        metavar="TEXT",
        help="tikhonov:1e-4, intrinsic:0.03, floor:0.1+least-norm, none and so on.",
        show_default="the spec's, or one that fits the metric",
    ),
]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="How many steps.", show_default="the spec's")]
Batch = Annotated[str | None, typer.Option(metavar="N|all", help="Samples in each step.", show_default="the spec's")]
Rate = Annotated[float | None, typer.Option(metavar="X", help="Learning rate at the start.", show_default="the spec's")]
Output = Annotated[Path | None, typer.Option(metavar="PATH", help="Write the trained parameters there, as .npz.")]


@final
@attrs.frozen(eq=False)
class Job:
    """All that training needs, checked and ready."""

    call: Call
    spec: Spec
    program: Program
    data: Dataset
    theta: Parameters
    metric: MetricRule
    schedule: Schedule
    rng: numpy.random.Generator


@final
@attrs.define(eq=False)
class Outcome:
    """Where training has come to: the parameters that it would keep, of step `kept`, and its last record."""

    theta: Parameters
    kept: int = 0
    last: Record | None = None
    interrupted: bool = False

    @property
    def steps(self) -> int:
        return 0 if self.last is None else self.last.step


def train(
    spec: SpecPath,
    metric: Metric = None,
    damping: DampingText = None,
    steps: Steps = None,
    batch: Batch = None,
    rate: Rate = None,
    output: Output = None,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    charts: Charts = "declared",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train the network of a spec.

    Ctrl-C ends it, writes what --output asks for, and exits with 130.

    Example: manifoldnet train specs/digits.py --steps 500 --output digits.npz
    """
    wishes = Wishes(metric, damping, steps, batch, rate)
    with reported(spec, debug):
        with only_json(as_json):
            if output is not None:
                check_output(output)
            job = prepare(Call.parse(spec, settings, seed, backend, charts), wishes)
            outcome = carry_out(job)
            found = summary(job, outcome)
            saved = output is not None and outcome.steps > 0
            if saved and output is not None:
                save_parameters(output, outcome.theta, found)
        found = {**found, "output": str(output) if saved else None}
        if as_json:
            print_json(found)
        else:
            show(job, found)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def prepare(call: Call, wishes: Wishes) -> Job:
    """Load the spec, check its data and settle how to train; one generator draws parameters, then batches."""
    spec = call.load()
    metric = chosen_metric(wishes, spec)
    program = call.compile(spec)
    data = spec.data(call.seed)
    if not isinstance(data, Dataset):
        raise SpecError(f"{spec.path}: data() must return mn.Dataset(inputs, targets), received {type(data).__name__}")
    schedule = chosen_schedule(wishes, spec, data)
    schedule = attrs.evolve(schedule, damping=chosen_damping(wishes, metric, schedule))
    for part in ((data.inputs, data.targets), *([data.validation] if data.validation else [])):
        program.prepare(*part)
    rng = numpy.random.default_rng(call.seed)
    theta = program.initialize(rng) if spec.initial is None else spec.initial(program, rng)
    return Job(call, spec, program, data, program.parameters(theta), metric, schedule, rng)


def carry_out(job: Job) -> Outcome:
    """Train, and stop where Ctrl-C says so."""
    outcome = Outcome(job.theta)
    console = remarks()
    console.print(_announcement(job), soft_wrap=True)
    if job.program.engine is not None:
        console.print(_how_compiled(job), soft_wrap=True)
    # threads of the linear algebra cost more than they gain on the small matrices of units
    with threadpoolctl.threadpool_limits(limits=1), watch(console, job.schedule) as watcher:
        try:
            run_training(job.program, job.theta, job.data, job.metric, job.schedule, job.rng, _noted(outcome, watcher))
        except KeyboardInterrupt:
            outcome.interrupted = True
    return outcome


def _noted(outcome: Outcome, watcher: Watch) -> Callable[[Record, Parameters], None]:
    def observe(record: Record, theta: Parameters) -> None:
        if theta is not outcome.theta:
            outcome.theta, outcome.kept = theta, record.step
        outcome.last = record
        watcher.see(record)

    return observe


def _how_compiled(job: Job) -> str:
    """Whether whole steps are compiled, and if not, why."""
    reason: object = "minibatches have an average of metrics, which is solved by NumPy"
    if isinstance(job.schedule, FullBatch):
        reason = compiled_descent(job.program, job.metric, job.schedule, job.data)
    if not isinstance(reason, str):
        return f"steps are compiled by {job.program.backend} and told some hundred at a time"
    return f"{job.program.backend} computes losses, differentials and metrics; steps are not compiled: {reason}"


def _announcement(job: Job) -> str:
    held_out = 0 if job.data.validation is None else Dataset(*job.data.validation).samples
    samples = f"{job.data.samples:,} samples" + (f" and {held_out:,} held out" if held_out else "")
    return f"{job.spec.title}: {job.program.tangent_layout.size:,} parameters, {samples}"


def summary(job: Job, outcome: Outcome) -> dict[str, Any]:
    """What came of it, as plain data: the loss on the whole training set, and on the held-out data."""
    loss = job.program.loss(outcome.theta, job.data.inputs, job.data.targets)
    found: dict[str, Any] = {
        "spec": str(job.call.path),
        "network": job.program.declaration.name,
        "settings": job.call.settings,
        "metric": job.metric.name,
        "damping": None if job.schedule.damping is None else job.schedule.damping.text,
        "batch": job.schedule.batch if isinstance(job.schedule, Minibatches) else "all",
        "backend": job.call.backend,
        "charts": job.call.charts,
        "seed": job.call.seed,
        "steps": outcome.steps,
        "kept_step": outcome.kept,
        "seconds": 0.0 if outcome.last is None else outcome.last.seconds,
        "ended": _how_it_ended(job, outcome),
        "loss_nats": loss,
        "loss_bits": bits(loss),
    }
    if job.data.validation is not None:
        scored = score(job.program.at(outcome.theta, *job.data.validation))
        found["validation"] = {"loss_nats": scored.loss, "loss_bits": bits(scored.loss), "accuracy": scored.accuracy}
    return found


def _how_it_ended(job: Job, outcome: Outcome) -> str:
    if outcome.interrupted:
        return "interrupted"
    return "finished" if outcome.steps == job.schedule.steps else "early"


def show(job: Job, found: dict[str, Any]) -> None:
    """The summary for people."""
    table = Table.grid(padding=(0, 2))
    table.add_row("metric", f"{found['metric']}, damping {found['damping'] or 'none'}")
    pace = 1e3 * found["seconds"] / max(1, found["steps"])
    told = {"finished": "", "early": ", stopped early", "interrupted": ", interrupted"}[found["ended"]]
    table.add_row("steps", f"{found['steps']:,} in {found['seconds']:.1f} s ({pace:.2g} ms each){told}")
    if "validation" in found and job.schedule.patience is not None and found["kept_step"] < found["steps"]:
        table.add_row("kept", f"the parameters of step {found['kept_step']:,}, the best on held-out data")
    table.add_row("loss", _loss_text(found))
    if "validation" in found:
        accuracy = found["validation"]["accuracy"]
        told = "" if accuracy is None else f", accuracy {100.0 * accuracy:.1f}%"
        table.add_row("validation", f"{_loss_text(found['validation'])}{told}")
    if found["output"] is not None:
        table.add_row("written", found["output"])
    results().print(table)


def _loss_text(found: dict[str, Any]) -> str:
    return f"{found['loss_bits']:#.4g} bits ({found['loss_nats']:#.4g} nats)"
