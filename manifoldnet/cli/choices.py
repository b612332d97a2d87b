"""How `train` was asked to train: metric, schedule and damping, from the call, the spec, or the defaults."""

import math
from typing import Any, final

import attrs

from manifoldnet.cli.failures import CallError
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.spec import Spec
from manifoldnet.errors import SpecError
from manifoldnet.learning.defaults import DEFAULT_METRIC, default_damping, default_schedule
from manifoldnet.learning.schedule import FullBatch, Minibatches, Online
from manifoldnet.learning.stream import Data, Stream
from manifoldnet.learning.train import Schedule
from manifoldnet.linalg.damping import Damping
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import metric_named


@final
@attrs.frozen
class Wishes:
    """What the call says of training; None where it says nothing."""

    metric: str | None = None
    damping: str | None = None
    steps: int | None = None
    batch: str | None = None
    rate: float | None = None
    drop_bad_rows: bool = False


def chosen_metric(wishes: Wishes, spec: Spec) -> MetricRule:
    """The call's metric, the spec's, or quasi-diagonal backpropagated; raises CallError that lists the names."""
    wanted = wishes.metric or spec.metric or DEFAULT_METRIC
    if isinstance(wanted, MetricRule):
        return wanted
    try:
        return metric_named(wanted)
    except ValueError as error:
        raise CallError(str(error)) from error


def chosen_schedule(wishes: Wishes, spec: Spec, data: Data) -> Schedule:
    """The spec's schedule, or the default one for so many samples, changed as the call says."""
    schedule = spec.schedule
    if schedule is None:
        schedule = Minibatches() if isinstance(data, Stream) or data.block else default_schedule(data.samples)
    if not isinstance(schedule, FullBatch | Minibatches | Online):
        raise SpecError(
            f"{spec.path}: schedule must be mn.FullBatch(...), mn.Minibatches(...) or mn.Online(...), found {schedule!r}"
        )
    schedule = _with_batch(schedule, wishes.batch)
    changes: dict[str, Any] = {}
    if wishes.steps is not None:
        changes["steps"] = wishes.steps
    if wishes.rate is not None:
        changes["rate"] = _checked_rate(wishes.rate)
    return attrs.evolve(schedule, **changes)


def chosen_damping(wishes: Wishes, metric: MetricRule, schedule: Schedule) -> Damping | None:
    """The call's damping, the schedule's, or the default of the metric and schedule; "none" is none at all."""
    if wishes.damping is None:
        return schedule.damping if schedule.damping is not None else default_damping(metric)
    if wishes.damping == "none":
        return None
    try:
        return damping_from_text(wishes.damping)
    except ValueError as error:
        raise CallError(str(error)) from error


def _with_batch(schedule: Schedule, batch: str | None) -> Schedule:
    """The schedule on batches of another size; between the kinds only steps, damping and patience carry over."""
    if batch is None:
        return schedule
    carried: dict[str, Any] = {"steps": schedule.steps, "damping": schedule.damping, "patience": schedule.patience}
    if batch == "1" and isinstance(schedule, Online):
        return schedule
    if batch == "all":
        return schedule if isinstance(schedule, FullBatch) else FullBatch(**carried)
    if not batch.isdecimal() or int(batch) < 1:
        raise CallError(f'--batch takes a number of samples or "all", received {batch!r}')
    if isinstance(schedule, Minibatches):
        return attrs.evolve(schedule, batch=int(batch))
    return Minibatches(batch=int(batch), **carried)


def _checked_rate(rate: float) -> float:
    if not (math.isfinite(rate) and rate > 0.0):
        raise CallError(f"--rate takes a positive number, received {rate}")
    return rate
