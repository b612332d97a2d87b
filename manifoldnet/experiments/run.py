"""Carrying out one task; importable by worker processes, on this machine or another."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Self, final

import attrs
import numpy
import threadpoolctl  # type: ignore[import-untyped]

from manifoldnet.compiler.compile import alike, compile
from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.declare.network import Network
from manifoldnet.declare.rewritings import in_sigmoid_form, in_tanh_form
from manifoldnet.declare.spec import Spec, load_spec
from manifoldnet.errors import ManifoldNetError, SpecError
from manifoldnet.experiments.task import Result, Task
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.defaults import default_schedule
from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import FullBatch, Minibatches
from manifoldnet.learning.train import Schedule, train_untold
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import metric_named

# Points of a curve: early steps by growing gaps, later ones at even distances.
GROWTH = 1.05
EVEN = 100
ENDLESS = 10**12
NATS = math.log(2.0)


def run_task(task: Task, program: Program | None = None) -> Result:
    """Train as the task says. What fails for a reason that this package can name is told in the result's `error`.

    The start is that of `manifoldnet train` with the same seed, and charts do not change it. `program` is that of the
    task, where it is compiled already.
    """
    try:
        # threads of the linear algebra cost more than they gain on the small matrices of units
        with threadpoolctl.threadpool_limits(limits=1):
            return _trained(task, program)
    except ManifoldNetError as error:
        return Result(task=task, error=f"{type(error).__name__}: {error}")


def run_tasks(tasks: Sequence[Task]) -> list[Result]:
    """The results of tasks that differ in their seed alone, which share what a backend compiles."""
    if len(tasks) == 1 or tasks[0].backend == "autograd":
        return [run_task(task) for task in tasks]
    try:
        programs: Sequence[Program | None] = _programs(_Networks.of(tasks))
    except ManifoldNetError:
        # told with the task that it belongs to
        programs = [None] * len(tasks)
    return [run_task(task, program) for task, program in zip(tasks, programs, strict=True)]


@final
@attrs.frozen
class _Networks:
    """What the programs of tasks depend on: not on the method, so that those of the next method can be the same."""

    spec: str
    digest: str
    settings: Mapping[str, Any] = attrs.field(eq=lambda settings: json.dumps(settings, sort_keys=True, default=repr))
    charts: str
    backend: str
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Self:
        first = tasks[0]
        seeds = tuple(task.seed for task in tasks)
        return cls(first.spec, first.digest, first.settings, first.charts, first.backend, seeds)

    def programs(self) -> Sequence[Program]:
        """Compiled, with shapes in common."""
        spec = load_spec(self.spec, self.settings)
        return alike([_compiled(spec, seed, self.charts, self.backend) for seed in self.seeds])


# those in both charts; only of specs that are told from later versions of themselves
_kept = lru_cache(maxsize=2)(_Networks.programs)


def _programs(networks: _Networks) -> Sequence[Program]:
    return _kept(networks) if networks.digest else networks.programs()


def _compiled(spec: Spec, seed: int, charts: str, backend: str) -> Program:
    return compile(in_charts(spec.network(seed), charts), backend=backend)


def in_charts(net: Network, charts: str) -> Network:
    """The network in sigmoid or tanh form (eqs. 46-47), or as it was declared."""
    if charts == "declared":
        return net
    return in_sigmoid_form(net) if charts == "sigmoid" else in_tanh_form(net)


def data_of(spec: Spec, seed: int) -> Dataset:
    """The spec's data; raises SpecError where it gives something else."""
    data = spec.data(seed)
    if not isinstance(data, Dataset):
        raise SpecError(f"{spec.path}: data() must return mn.Dataset(inputs, targets), received {type(data).__name__}")
    return data


def _schedule(task: Task, spec: Spec, data: Dataset) -> Schedule:
    """The schedule of a task, with its steps and damping; nothing ends it early."""
    schedule = FullBatch() if task.is_yardstick else schedule_of(spec, data)
    return attrs.evolve(schedule, steps=task.steps or ENDLESS, damping=damping_from_text(task.damping), patience=None)


def schedule_of(spec: Spec, data: Dataset) -> Schedule:
    """The spec's schedule, or the usual one for so many samples."""
    schedule = default_schedule(data.samples) if spec.schedule is None else spec.schedule
    if not isinstance(schedule, FullBatch | Minibatches):
        raise SpecError(f"{spec.path}: schedule must be mn.FullBatch(...) or mn.Minibatches(...), found {schedule!r}")
    return schedule


def _trained(task: Task, compiled: Program | None) -> Result:
    spec = load_spec(task.spec, task.settings)
    program = _compiled(spec, task.seed, task.charts, task.backend) if compiled is None else compiled
    data, rng = data_of(spec, task.seed), numpy.random.default_rng(task.seed)
    schedule = _schedule(task, spec, data)
    theta = program.parameters(program.initialize(rng) if spec.initial is None else spec.initial(program, rng))
    recorder = _Recorder(task, theta)
    began, ended = program.loss(theta, data.inputs, data.targets), "steps"
    try:
        train_untold(program, theta, data, metric_named(task.metric), schedule, rng, recorder.see)
    except _OutOfTime:
        ended = "seconds"
    return recorder.result(ended, began, program.loss(recorder.theta, data.inputs, data.targets))


class _OutOfTime(Exception):
    """The seconds of a task are used up."""


@final
class _Recorder:
    """Notes a run at some of its steps, the last one included, and ends it in time."""

    def __init__(self, task: Task, theta: Parameters) -> None:
        self._task, self.theta = task, theta
        self._records: list[Record] = []
        self._last: Record | None = None
        self._next_step, self._next_share, self._cancelled = 1.0, 0.0, 0

    def see(self, record: Record, theta: Parameters) -> None:
        self._last, self.theta = record, theta
        self._cancelled += not record.accepted
        share = self._share(record)
        if record.step >= self._next_step or share >= self._next_share or record.validation_loss is not None:
            self._records.append(record)
            self._next_step, self._next_share = max(record.step + 1, record.step * GROWTH), share + 1.0 / EVEN
        if self._task.seconds is not None and record.seconds >= self._task.seconds:
            raise _OutOfTime

    def _share(self, record: Record) -> float:
        """How much of the budget is used."""
        by_steps = 0.0 if self._task.steps is None else record.step / self._task.steps
        return by_steps if self._task.seconds is None else max(by_steps, record.seconds / self._task.seconds)

    def result(self, ended: str, began: float, loss: float) -> Result:
        if self._last is not None and self._records[-1] is not self._last:
            self._records.append(self._last)
        return Result(
            task=self._task,
            steps=tuple(record.step for record in self._records),
            seconds=tuple(round(record.seconds, 6) for record in self._records),
            losses=tuple(_bits(record.loss) for record in self._records),
            validation=tuple(_bits(record.validation_loss) for record in self._records),
            accuracy=tuple(record.accuracy for record in self._records),
            ended=ended,
            began=began / NATS if math.isfinite(began) else None,
            loss=loss / NATS if math.isfinite(loss) else None,
            cancelled=self._cancelled,
        )


def _bits(nats: float | None) -> float | None:
    """A point of a curve, for which seven digits are enough."""
    return None if nats is None or not math.isfinite(nats) else float(f"{nats / NATS:.7g}")
