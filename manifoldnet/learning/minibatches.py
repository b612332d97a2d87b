"""Descent on minibatches, with an averaged metric and a trust radius."""

from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError, NumericalError, TrainingError
from manifoldnet.learning.descending import GROWTH, taken_step
from manifoldnet.learning.diagnosis import diagnosed, where_it_began
from manifoldnet.learning.feed import Prepared, feed_of
from manifoldnet.learning.history import Record
from manifoldnet.learning.momentum import check_momentum
from manifoldnet.learning.past import PAST, Past, past_from
from manifoldnet.learning.schedule import Minibatches, Online
from manifoldnet.learning.state import Position, State
from manifoldnet.learning.stream import Data
from manifoldnet.learning.trainer import Arrays, Trainer
from manifoldnet.learning.validation import Validation
from manifoldnet.learning.worsened import Yardstick, remedy_of
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.conversion import matrix_of
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.inverse import Inverse
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.stored import tensor_arrays, tensor_from
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.reference import with_reference

# A step that leads where something is not finite is cancelled and the rate cut; good steps let it grow again.
CUT = 0.5
# Averages of metrics on all parameters at once that are made of drawn targets or losses may take so many bytes.
MATRIX = 64 * 2**20
MOST_CUTS = 10


@final
@attrs.frozen(eq=False)
class Average:
    """A metric averaged over so many evaluations, and what the next step remembers of those before it.

    `inverse` is the tensor's, damped, where it serves more than one step: it can be had from the tensor again.
    """

    tensor: MetricTensor
    count: int
    past: Past = attrs.field(factory=Past)
    inverse: Inverse | None = None

    def kept_for(self, schedule: Minibatches) -> "Average":
        """The same with its inverse, if that serves the next steps too."""
        if schedule.refresh == 1 or self.inverse is not None or not _measures_itself(self.tensor):
            return self
        return attrs.evolve(self, inverse=self.tensor.factorise(schedule.damping))

    def solve(self, slope: NDArray, schedule: Minibatches) -> NDArray:
        """The direction of steepest ascent. Raises NumericalError if it is not finite."""
        if self.inverse is None:
            return self.tensor.solve(slope, schedule.damping)
        direction = self.inverse.solve(slope)
        if not numpy.isfinite(direction).all():
            raise NumericalError(f"{self.tensor.name}: the solution is not finite")
        return direction


def _measures_itself(tensor: MetricTensor) -> bool:
    """Whether dampings need nothing that belongs to the parameters at hand."""
    return tensor.partition is None or not tensor.partition.has_whole


@final
class MinibatchTrainer(Trainer):
    """theta <- theta - step of at most `radius` along A^{-1} dL(batch), A averaged over recent batches."""

    first_rate = 1.0

    def __init__(self, program: Program, data: Data, metric: MetricRule, schedule: Minibatches) -> None:
        check_momentum(program, schedule)
        self.program, self.steps = program, schedule.steps
        self.validation = Validation(program, data, schedule.patience, schedule.validate_every)
        self.yardstick = Yardstick(program, data, remedy_of(program, metric, schedule))
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
    return {**tensor_arrays(average.tensor), "count": numpy.array(average.count), **average.past.arrays()}


def average_from(arrays: Arrays, program: Program, metric: MetricRule) -> Average | None:
    """The average that `average_arrays` made arrays of; raises DataError where they do not fit."""
    if not arrays:
        return None
    if "count" not in arrays:
        raise DataError("the metric's average is incomplete: `count` is missing")
    rest = {name: values for name, values in arrays.items() if name not in ("count", *PAST)}
    tensor = tensor_from(rest, program.partition, f"the {metric.name} metric")
    return Average(tensor, int(arrays["count"]), past_from(arrays, program.tangent_layout.size))


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
        average = average.kept_for(schedule)
        direction = average.solve(slope, schedule)
        taken = taken_step(run, slope, direction, average.past, state.rate, schedule, step)
    except NumericalError as error:
        return cancelled(state, position, run, metric, error)
    moved = attrs.evolve(
        state,
        step=step,
        theta=taken.reached.theta,
        trusted=state.theta,
        position=position,
        estimate=attrs.evolve(average, past=taken.past),
        **recovered(state),
    )
    reached, accepted = taken.reached, taken.reached.rate > 0.0 or not bool(direction.any())
    return moved, Record(step, run.loss, reached.rate, 0.0, accepted, trouble=reached.trouble)


def recovered(state: State) -> dict[str, Any]:
    """The factor on the rate after a good step, and the cuts that it still counts."""
    rate = regrown(state.rate)
    return {"rate": rate, "cuts": 0 if rate == 1.0 else state.cuts}


def regrown(rate: float) -> float:
    """What is left of the rate after a good step."""
    return min(1.0, rate * GROWTH)


def checked_slope(run: Run) -> NDArray:
    """dL/dtheta of the batch; raises NumericalError if it, or the loss, is not finite."""
    if not numpy.isfinite(run.loss):
        raise NumericalError(f"the loss is {run.loss}")
    slope = run.differential().flat
    if not numpy.isfinite(slope).all():
        raise NumericalError("the differential of the loss is not finite")
    return slope


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
    estimate = attrs.evolve(state.estimate, past=Past()) if isinstance(state.estimate, Average) else state.estimate
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
        average = _with(average, _remembered(run.metric(metric), metric, schedule), schedule)
    # what dampings measure by belongs to the parameters at hand, not to those of the first batch
    # (and would hold on to that batch, and every one since)
    tensor = attrs.evolve(average.tensor, reference=None)
    return average if isinstance(tensor, Diagonal) else attrs.evolve(average, tensor=with_reference(tensor, run))


def _remembered(tensor: MetricTensor, metric: MetricRule, schedule: Minibatches) -> MetricTensor:
    """A batch's metric as it can be averaged: of drawn targets or losses, one batch knows too few directions to go by."""
    knows_little = metric.needs_rng or metric.needs_targets
    fits = 8 * tensor.size**2 <= MATRIX
    return matrix_of(tensor) if knows_little and schedule.renewal < 1.0 and fits else tensor


def _with(average: Average | None, tensor: MetricTensor, schedule: Minibatches) -> Average:
    if schedule.damping is None or not schedule.damping.wants_floor:
        tensor = tensor.without_floor()
    if average is None:
        return Average(tensor, 1)
    tensor, before = _in_one_structure(tensor, average.tensor)
    if isinstance(tensor, Factor | LayeredFactor) or type(tensor) is not type(before):
        # rows of past batches would pile up without end: a metric on all parameters is the batch's own
        return Average(tensor, 1, average.past)
    # a plain average of the first batches, until they are as many as the average remembers
    count = average.count + 1
    weight = max(schedule.renewal, 1.0 / count)
    return Average(tensor if weight == 1.0 else before.average(tensor, weight), count, average.past)


def _in_one_structure(tensor: MetricTensor, before: MetricTensor) -> tuple[MetricTensor, MetricTensor]:
    """A batch's metric and the average: matrices both, where a short batch has few rows, and whole ones more than
    parameters."""
    if type(tensor) is type(before) or not isinstance(before, Dense | Bordered):
        return tensor, before
    return matrix_of(tensor), matrix_of(before)


def limited(squared: float, radius: float) -> float:
    """The rate at which a step of squared length `squared` has length `radius`; infinite for one of none."""
    if not numpy.isfinite(squared):
        raise NumericalError("the length of the step is not finite")
    return radius / float(numpy.sqrt(squared)) if squared > 0.0 else numpy.inf


__all__ = ["Average", "MinibatchTrainer", "Online", "batch_step"]
