"""Descent on minibatches, with an averaged metric and a trust radius."""

from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError, NumericalError, TrainingError
from manifoldnet.learning.diagnosis import diagnosed, loss_or_why, where_it_began
from manifoldnet.learning.feed import Prepared, feed_of
from manifoldnet.learning.history import Record
from manifoldnet.learning.momentum import Towards, check_momentum, towards
from manifoldnet.learning.schedule import Minibatches, Online
from manifoldnet.learning.state import Position, State
from manifoldnet.learning.stream import Data
from manifoldnet.learning.trainer import Arrays, Trainer
from manifoldnet.learning.validation import Validation
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.stored import tensor_arrays, tensor_from
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.reference import with_reference

# A step that leads where something is not finite is cancelled and the rate cut; good steps let it grow again.
CUT, GROWTH = 0.5, 1.1
MOST_CUTS = 10
# How often a step is halved at its tries: farther and farther, down to where nothing is left of it.
HALVINGS = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023)
# So many times what the slope foretells may a step improve the loss of its batch: more is too good to be true.
MOST_FALL = 2.0
# What rounding may add to a loss.
SLACK = 1e-10


@final
@attrs.frozen(eq=False)
class Average:
    """A metric averaged over so many evaluations; `last` is the step taken last, where the next one builds on it."""

    tensor: MetricTensor
    count: int
    last: NDArray | None = None


@final
class MinibatchTrainer(Trainer):
    """theta <- theta - step of at most `radius` along A^{-1} dL(batch), A averaged over recent batches."""

    first_rate = 1.0

    def __init__(self, program: Program, data: Data, metric: MetricRule, schedule: Minibatches) -> None:
        check_momentum(program, schedule)
        self.program, self.steps = program, schedule.steps
        self.validation = Validation(program, data, schedule.patience, schedule.validate_every)
        self._metric, self._schedule = metric, schedule
        self._feed = feed_of(program, data, schedule.batch)

    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        found = self._feed.next(state.position, rng)
        if found is None:
            return attrs.evolve(state, ended="exhausted"), None
        return batch_step(self.program, self._metric, self._schedule, state, *found, rng)

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return average_arrays(estimate)

    def estimate_from(self, arrays: Arrays) -> Any:
        return average_from(arrays, self.program, self._metric)


def average_arrays(average: Average | None) -> Arrays:
    """An average of metrics as arrays by name."""
    if average is None:
        return {}
    last = {} if average.last is None else {"last": average.last}
    return {**tensor_arrays(average.tensor), "count": numpy.array(average.count), **last}


def average_from(arrays: Arrays, program: Program, metric: MetricRule) -> Average | None:
    """The average that `average_arrays` made arrays of; raises DataError where they do not fit."""
    if not arrays:
        return None
    if "count" not in arrays:
        raise DataError("the metric's average is incomplete: `count` is missing")
    rest = {name: values for name, values in arrays.items() if name not in ("count", "last")}
    last, size = arrays.get("last"), program.tangent_layout.size
    if last is not None and last.shape != (size,):
        raise DataError(f"the last step has shape {last.shape}, where this network's tangents have ({size},)")
    return Average(tensor_from(rest, program.partition, f"the {metric.name} metric"), int(arrays["count"]), last)


def batch_step(
    program: Program,
    metric: MetricRule,
    schedule: Minibatches,
    state: State,
    batch: Prepared,
    position: Position,
    rng: numpy.random.Generator,
) -> tuple[State, Record]:
    """One step on one batch; cancelled, and the rate cut, where anything is not finite."""
    run, step = Run(program, state.theta, *batch, rng), state.step + 1
    try:
        slope = checked_slope(run)
        average = _renewed(state.estimate, run, metric, schedule, step)
        found = towards(run, slope, average.tensor.solve(slope, schedule.damping), average.last)
        reached = descended(run, slope, found.direction, state.rate * _rate(found, schedule, step))
    except NumericalError as error:
        return cancelled(state, position, run, metric, error)
    moved = attrs.evolve(
        state,
        step=step,
        theta=reached.theta,
        trusted=state.theta,
        position=position,
        estimate=attrs.evolve(average, last=_remembered(found, reached, schedule)),
        **recovered(state),
    )
    accepted = reached.rate > 0.0 or not bool(found.direction.any())
    return moved, Record(step, run.loss, reached.rate, 0.0, accepted, trouble=reached.trouble)


def recovered(state: State) -> dict[str, Any]:
    """The factor on the rate after a good step, and the cuts that it still counts."""
    rate = min(1.0, state.rate * GROWTH)
    return {"rate": rate, "cuts": 0 if rate == 1.0 else state.cuts}


def checked_slope(run: Run) -> NDArray:
    """dL/dtheta of the batch; raises NumericalError if it, or the loss, is not finite."""
    if not numpy.isfinite(run.loss):
        raise NumericalError(f"the loss is {run.loss}")
    slope = run.differential().flat
    if not numpy.isfinite(slope).all():
        raise NumericalError("the differential of the loss is not finite")
    return slope


@final
@attrs.frozen(eq=False)
class Reached:
    """Where a step led, at which rate in the end, and what was not finite farther along."""

    theta: Parameters
    rate: float
    trouble: str | None = None


def _remembered(found: Towards, reached: Reached, schedule: Minibatches) -> NDArray | None:
    """The step that was taken, where the next one is to build on it."""
    return reached.rate * found.direction if schedule.momentum and reached.rate > 0.0 else None


def descended(run: Run, slope: NDArray, direction: NDArray, rate: float) -> Reached:
    """The point at -rate along `direction`, or nearer by, where the batch's own loss falls by what its slope foretells.

    Between 0 and `MOST_FALL` times that: measured steps of healthy training fall by 0.3 to 1.3 times what the slope says.
    One that does not, or leads where something is not finite, goes farther than the metric can be trusted (units that
    saturate, weights near 0): it is cut, by halves, eighths, and so on. Rate 0 if no part of it will do. Raises
    NumericalError if all parts lead where something is not finite.
    """
    trouble, slack = None, SLACK * (1.0 + abs(run.loss))
    foretold = float(slope @ direction)
    for halvings in HALVINGS:
        part = float(rate) * 0.5**halvings
        ahead = attrs.evolve(run, theta=run.program.step(run.theta, -part * direction))
        loss, why = loss_or_why(ahead)
        if -slack <= run.loss - loss <= MOST_FALL * part * foretold + slack:
            return Reached(ahead.theta, part, trouble)
        trouble = trouble or why
    if trouble is not None:
        raise NumericalError(f"no part of the step leads where all is finite: {trouble}")
    return Reached(run.theta, 0.0)


def cancelled(
    state: State, position: Position, run: Run, metric: MetricRule, error: NumericalError
) -> tuple[State, Record]:
    """Back to the last parameters that all was finite at, with a smaller rate; TrainingError after too many cuts."""
    step, cuts = state.step + 1, state.cuts + 1
    trouble = where_it_began(run) or str(error)
    if cuts > MOST_CUTS:
        raise TrainingError(
            f"step {step}: something was not finite {cuts} times, though the rate was cut to {state.rate:.1e} of the "
            f"schedule's: {diagnosed(run, metric, error)}"
        )
    # what led here is not to be built on
    estimate = attrs.evolve(state.estimate, last=None) if isinstance(state.estimate, Average) else state.estimate
    moved = attrs.evolve(
        state,
        step=step,
        theta=state.trusted,
        position=position,
        estimate=estimate,
        rate=CUT * state.rate,
        cuts=cuts,
    )
    return moved, Record(step, numpy.nan, state.rate, 0.0, accepted=False, trouble=trouble)


def _renewed(average: Average | None, run: Run, metric: MetricRule, schedule: Minibatches, step: int) -> Average:
    """The average with this batch's metric, every `refresh` steps; else as it was, seen from these parameters."""
    if average is None or (step - 1) % schedule.refresh == 0:
        average = _with(average, run.metric(metric), schedule)
    # what dampings measure by belongs to the parameters at hand, not to those of the first batch
    # (and would hold on to that batch, and every one since)
    tensor = attrs.evolve(average.tensor, reference=None)
    return average if isinstance(tensor, Diagonal) else attrs.evolve(average, tensor=with_reference(tensor, run))


def _with(average: Average | None, tensor: MetricTensor, schedule: Minibatches) -> Average:
    if schedule.damping is None or not schedule.damping.wants_floor:
        tensor = tensor.without_floor()
    if average is None:
        return Average(tensor, 1)
    last = average.last
    if isinstance(tensor, Factor | LayeredFactor) and isinstance(average.tensor, Dense):
        # a short batch has few rows, where whole ones have too many to be kept as such
        tensor = (tensor.factor() if isinstance(tensor, LayeredFactor) else tensor).dense()
    if isinstance(tensor, Factor | LayeredFactor) or type(tensor) is not type(average.tensor):
        # rows of past batches would pile up without end: a metric on all parameters is the batch's own
        return Average(tensor, 1, last)
    # a plain average of the first batches, until they are as many as the average remembers
    count = average.count + 1
    return Average(average.tensor.average(tensor, max(schedule.renewal, 1.0 / count)), count, last)


def _rate(found: Towards, schedule: Minibatches, step: int) -> float:
    """How far to go: a fraction of the quadratic model's best, within the trust radius."""
    fall = schedule.fall(step)
    fraction = schedule.rate(step) if callable(schedule.rate) else schedule.rate * fall
    return found.rate(fraction, schedule.radius * fall)


def limited(squared: float, radius: float) -> float:
    """The rate at which a step of squared length `squared` has length `radius`; infinite for one of none."""
    if not numpy.isfinite(squared):
        raise NumericalError("the length of the step is not finite")
    return radius / float(numpy.sqrt(squared)) if squared > 0.0 else numpy.inf


__all__ = ["Average", "MinibatchTrainer", "Online", "batch_step"]
