"""`manifoldnet train`: train the network of a spec with an intrinsic metric."""

import contextlib
import math
from pathlib import Path
from typing import Annotated, Any

import attrs
import threadpoolctl  # type: ignore[import-untyped]
import typer

from manifoldnet.cli.choices import Wishes
from manifoldnet.cli.failures import INTERRUPTED, CallError, reported
from manifoldnet.cli.job import Job, about, prepare, resumed
from manifoldnet.cli.options import AsJson, Backend, Call, Charts, Debug, Seed, Settings, TrainedSpec
from manifoldnet.cli.outcome import Outcome, outcome_of, show, summary
from manifoldnet.cli.output import only_json, plain, print_json, remarks
from manifoldnet.cli.progress import watch
from manifoldnet.cli.saving import check_output, save_parameters
from manifoldnet.cli.signals import requests_to_stop
from manifoldnet.errors import ManifoldNetError, RunError
from manifoldnet.learning.compiled import CompiledTrainer, compiled_descent
from manifoldnet.learning.compiled_minibatches import CompiledMinibatchTrainer, compiled_minibatches
from manifoldnet.learning.compiled_online import CompiledOnlineTrainer, compiled_online
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.keeping.directory import RunDirectory
from manifoldnet.learning.keeping.loop import CHECKPOINT_SECONDS, Kept
from manifoldnet.learning.schedule import FullBatch, Minibatches, Online
from manifoldnet.learning.state import State
from manifoldnet.learning.stream import Stream

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


Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Keep the run in a new directory, to be resumed from.")
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="DIR", help="Continue the run kept there, as if never stopped.")
]
Every = Annotated[
    float, typer.Option("--checkpoint", metavar="SECONDS", min=0.0, help="How often a run is saved; 0: every step.")
]
DropBadRows = Annotated[bool, typer.Option("--drop-bad-rows", help="Leave out samples that hold NaN or infinity.")]


# So many cancelled steps are told one by one.
MOST_TROUBLES = 5


def train(
    spec: TrainedSpec = None,
    metric: Metric = None,
    damping: DampingText = None,
    steps: Steps = None,
    batch: Batch = None,
    rate: Rate = None,
    output: Output = None,
    run: Run = None,
    resume: Resume = None,
    checkpoint: Every = CHECKPOINT_SECONDS,
    drop_bad_rows: DropBadRows = False,
    settings: Settings = None,
    seed: Seed = 0,
    backend: Backend = "autograd",
    charts: Charts = "declared",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train the network of a spec.

    Ctrl-C and SIGTERM end it after the step at hand, save what --output and --run ask for, and exit with 130.

    Example: manifoldnet train specs/digits.py --steps 500 --run runs/digits
    """
    wishes = Wishes(metric, damping, steps, batch, rate, drop_bad_rows)
    with reported(spec or resume or Path(), debug):
        with only_json(as_json), contextlib.ExitStack() as stack:
            if output is not None:
                check_output(output)
            directory: RunDirectory | None
            if resume is not None:
                _check_alone(spec, run, attrs.evolve(wishes, steps=None), settings, seed, backend, charts)
                directory = stack.enter_context(RunDirectory.open(resume))
                job, state = continued(directory, steps, debug)
            else:
                job = prepare(Call.parse(_given(spec), settings, seed, backend, charts), wishes)
                directory, state = None, job.start
                if run is not None:
                    directory = stack.enter_context(RunDirectory.create(run, plain(about(job)), job.call.path))
            outcome = carry_out(job, Kept(job.trainer, state, directory, checkpoint), output)
            found = _saved(job, outcome, output, directory)
        if as_json:
            print_json(found)
        else:
            show(job, found)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def _given(spec: Path | None) -> Path:
    if spec is None:
        raise CallError("give the path of a spec, or --resume and the directory of a run")
    return spec


def _check_alone(
    spec: Path | None,
    run: Path | None,
    wishes: Wishes,
    settings: list[str] | None,
    seed: int,
    backend: str,
    charts: str,
) -> None:
    """Raise CallError where --resume meets what would make it another run."""
    if spec is not None or run is not None:
        raise CallError("--resume continues a run as it began: leave out the spec and --run")
    if wishes != Wishes() or settings or seed or backend != "autograd" or charts != "declared":
        raise CallError("--resume continues a run as it began: only --steps, --output and --checkpoint go with it")


def continued(directory: RunDirectory, steps: int | None, debug: bool) -> tuple[Job, State]:
    """The job of a run and where it stands, after telling what could not be read."""
    with reported(directory.spec, debug):
        job = resumed(directory, steps)
        state, notes = directory.latest(job.trainer)
    for note in notes:
        remarks().print(f"{directory.path}: {note}; the one of step {state.step} is used", soft_wrap=True)
    if steps is not None:
        wishes, schedule = directory.about["wishes"], directory.about["schedule"]
        directory.amend({"wishes": {**wishes, "steps": steps}, "schedule": {**schedule, "steps": steps}})
        if state.ended == "finished" and state.step < steps:
            state = attrs.evolve(state, ended=None)
    return job, state


def carry_out(job: Job, kept: Kept, output: Path | None) -> Outcome:
    """Train, and stop where Ctrl-C or SIGTERM says so; where training fails, what there is is saved first."""
    console, last_loss, troubles = remarks(), math.nan, 0
    console.print(_announcement(job, kept.state), soft_wrap=True)
    if job.program.engine is not None:
        console.print(_how_compiled(job), soft_wrap=True)
    # threads of the linear algebra cost more than they gain on the small matrices of units
    with (
        threadpoolctl.threadpool_limits(limits=1),
        watch(console, job.schedule) as watcher,
        requests_to_stop() as asked,
    ):
        kept.stop = asked
        try:
            for record in kept.records():
                watcher.see(record)
                last_loss = record.loss
                if record.trouble is not None and (troubles := troubles + 1) <= MOST_TROUBLES:
                    console.print(f"step {record.step} is cancelled: {record.trouble}", soft_wrap=True)
        except ManifoldNetError as error:
            places = _rescued(kept, output)
            raise type(error)(f"{error}{places}") from error
        except OSError as error:
            if kept.directory is None:
                raise
            raise RunError(
                f"{error.filename or kept.directory.path}: {error.strerror or error}. Training stopped after step "
                f"{kept.state.step}; --resume {kept.directory.path} goes on from the last checkpoint"
            ) from error
    if troubles > MOST_TROUBLES:
        console.print(f"{troubles:,} steps were cancelled because something was not finite", soft_wrap=True)
    if kept.worsened is not None:
        console.print(str(kept.worsened), soft_wrap=True)
    return outcome_of(kept, last_loss)


def _rescued(kept: Kept, output: Path | None) -> str:
    """Write the last good parameters where something is to be written; says where they are."""
    places = [] if kept.directory is None else [str(kept.directory.path)]
    if output is not None and kept.state.step > 0:
        save_parameters(output, kept.state.trusted, {"steps": kept.state.step, "ended": "failed"})
        places.append(str(output))
    return (
        f". The last good parameters, before step {kept.state.step + 1}, are in {', '.join(places)}" if places else ""
    )


def _how_compiled(job: Job) -> str:
    """Whether whole steps are compiled, and if not, why."""
    backend = job.program.backend
    if isinstance(job.trainer, CompiledTrainer | CompiledMinibatchTrainer | CompiledOnlineTrainer):
        return f"steps are compiled by {backend} and told some hundred at a time"
    reason: object = ""
    if isinstance(job.schedule, Minibatches):
        reason = compiled_minibatches(job.program, job.metric, job.schedule)
    if isinstance(job.schedule, FullBatch) and isinstance(job.data, Dataset):
        reason = compiled_descent(job.program, job.metric, job.schedule, job.data)
    if isinstance(job.schedule, Online):
        reason = compiled_online(job.program, job.metric, job.schedule)
    return f"{backend} computes losses, differentials and metrics; steps are not compiled: {reason}"


def _announcement(job: Job, state: State) -> str:
    held_out = 0 if job.data.validation is None else len(_first(job.data.validation[1]))
    samples = "a stream of samples" if isinstance(job.data, Stream) else f"{job.data.samples:,} samples"
    samples += f" and {held_out:,} held out" if held_out else ""
    going_on = f", from step {state.step:,} on" if state.step else ""
    return f"{job.spec.title}: {job.program.tangent_layout.size:,} parameters, {samples}{going_on}"


def _first(values: Any) -> Any:
    return next(iter(values.values())) if isinstance(values, dict) else values


def _saved(job: Job, outcome: Outcome, output: Path | None, directory: RunDirectory | None) -> dict[str, Any]:
    """The summary, once parameters and summary are written where they are asked for."""
    found = summary(job, outcome)
    saved = output is not None and outcome.steps > 0
    if saved and output is not None:
        save_parameters(output, outcome.theta, found)
    found = {
        **found,
        "output": str(output) if saved else None,
        "run": None if directory is None else str(directory.path),
    }
    if directory is not None:
        directory.finish(plain(found))
    return found
