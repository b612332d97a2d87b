"""A job of training: all that it needs, from a call of the command line or from the run that a call began."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import attrs
import numpy

from manifoldnet.cli.choices import Wishes, chosen_damping, chosen_metric, chosen_schedule
from manifoldnet.cli.options import Call
from manifoldnet.cli.output import plain
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import Spec
from manifoldnet.errors import RunError, SpecError
from manifoldnet.learning.bad_rows import without_bad_rows
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.fingerprint import fingerprint
from manifoldnet.learning.keeping.directory import RunDirectory
from manifoldnet.learning.state import State
from manifoldnet.learning.stream import Data, Stream
from manifoldnet.learning.train import Schedule, trainer_for
from manifoldnet.learning.trainer import Trainer


@final
@attrs.frozen(eq=False)
class Job:
    """All that training needs, checked and ready. `start` is the state before the first step."""

    call: Call
    wishes: Wishes
    spec: Spec
    program: Program
    data: Data
    metric: MetricRule
    schedule: Schedule
    trainer: Trainer
    start: State


def prepare(call: Call, wishes: Wishes) -> Job:
    """Load the spec, check its data and settle how to train; one generator draws parameters, then batches."""
    spec = call.load()
    metric = chosen_metric(wishes, spec)
    program = call.compile(spec)
    data = checked_data(spec, call.seed, wishes.drop_bad_rows)
    schedule = chosen_schedule(wishes, spec, data)
    schedule = attrs.evolve(schedule, damping=chosen_damping(wishes, metric, schedule))
    trainer = trainer_for(program, data, metric, schedule)
    rng = numpy.random.default_rng(call.seed)
    theta = program.initialize(rng) if spec.initial is None else spec.initial(program, rng)
    start = trainer.start(program.parameters(theta), rng)
    return Job(call, wishes, spec, program, data, metric, schedule, trainer, start)


def checked_data(spec: Spec, seed: int, drop_bad_rows: bool) -> Data:
    """The spec's data, without rows that hold NaN or infinity where that is asked for."""
    data = spec.data(seed)
    if not isinstance(data, Dataset | Stream):
        raise SpecError(f"{spec.path}: data() must return mn.Dataset(inputs, targets), received {type(data).__name__}")
    return without_bad_rows(data) if drop_bad_rows else data


def about(job: Job) -> dict[str, Any]:
    """What a run directory says of a job: how it was called, and what that came to."""
    return {
        "call": {**attrs.asdict(job.call), "path": str(job.call.path)},
        "wishes": attrs.asdict(job.wishes),
        **_settled(job),
    }


def _settled(job: Job) -> dict[str, Any]:
    """What must be the same when the run is continued."""
    schedule = plain(attrs.asdict(job.schedule, recurse=False))
    return {
        "title": job.spec.title,
        "network": job.program.declaration.name,
        "parameters": job.program.tangent_layout.size,
        "metric": job.metric.name,
        "damping": None if job.schedule.damping is None else job.schedule.damping.text,
        "schedule": {"kind": type(job.schedule).__name__, **{k: v for k, v in schedule.items() if k != "damping"}},
        "data": fingerprint(job.data),
    }


def resumed(directory: RunDirectory, steps: int | None) -> Job:
    """The job that began a run, with `steps` in all where they are given; RunError where it has changed since."""
    directory.require_same_spec()
    call, wishes = recorded(directory.about)
    job = prepare(attrs.evolve(call, path=directory.spec), wishes)
    now = plain(_settled(job))
    for key, value in now.items():
        if directory.about.get(key) != value:
            raise RunError(
                f"{directory.path} cannot be continued: its {key} was {directory.about.get(key)}, and is now {value}"
            )
    if steps is None:
        return job
    schedule = attrs.evolve(job.schedule, steps=steps)
    return attrs.evolve(job, schedule=schedule, trainer=trainer_for(job.program, job.data, job.metric, schedule))


def recorded(known: Mapping[str, Any]) -> tuple[Call, Wishes]:
    """The call that began a run, from what its directory says; RunError where that is damaged."""
    try:
        call = Call(**{**known["call"], "path": Path(known["call"]["path"])})
        return call, Wishes(**known["wishes"])
    except (KeyError, TypeError) as error:
        raise RunError(f"run.json is damaged: it does not tell how the run was called ({error})") from error
