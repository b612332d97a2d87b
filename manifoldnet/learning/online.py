"""Online descent: one sample a step, and a metric that forgets past samples (section 1.3)."""

from typing import Any, final

import attrs
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError, NumericalError
from manifoldnet.learning.descending import descended
from manifoldnet.learning.feed import Feed, Prepared, feed_of
from manifoldnet.learning.forgetting import forgetting, forgetting_arrays, forgetting_from, renewed
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import cancelled, checked_slope, limited, recovered
from manifoldnet.learning.pace import Pace, pace_of
from manifoldnet.learning.schedule import Online
from manifoldnet.learning.state import Position, State
from manifoldnet.learning.stream import Data
from manifoldnet.learning.trainer import Arrays, Trainer
from manifoldnet.learning.validation import Validation
from manifoldnet.learning.worsened import Yardstick, remedy_of


@final
class OnlineTrainer(Trainer):
    """theta <- theta + rate * (A^(t))^{-1} G(x_t), with A^(t) = (1 - gamma) A^(t-1) + gamma A(x_t) (eqs. 37, 38)."""

    first_rate = 1.0

    def __init__(self, program: Program, data: Data, metric: MetricRule, schedule: Online) -> None:
        self.program, self.steps = program, schedule.steps
        self.validation = Validation(program, data, schedule.patience, schedule.validate_every)
        self.yardstick = Yardstick(program, data, remedy_of(program, metric, schedule))
        self._metric, self._schedule = metric, schedule
        self._pace = pace_of(schedule, program, metric)
        self._feed = feed_of(program, data, 1)

    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        if state.estimate is None:
            state = self._begun(state, rng)
        found = self._feed.next(state.position, rng)
        if found is None:
            return attrs.evolve(state, ended="exhausted"), None
        return sample_step(self.program, self._metric, self._schedule, self._pace, state, *found, rng)

    def _begun(self, state: State, rng: numpy.random.Generator) -> State:
        """The state with A(0), averaged over the first `n_init` samples (eq. 36)."""
        batch, position = _first(self._feed, state.position, self._pace.n_init, rng)
        run = Run(self.program, state.theta, *batch, rng)
        estimate = forgetting(run, self._metric, self._schedule.damping)
        return attrs.evolve(state, estimate=estimate, position=position)

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return forgetting_arrays(estimate)

    def estimate_from(self, arrays: Arrays) -> Any:
        return forgetting_from(arrays, self.program, self._metric)


def sample_step(
    program: Program,
    metric: MetricRule,
    schedule: Online,
    pace: Pace,
    state: State,
    sample: Prepared,
    position: Position,
    rng: numpy.random.Generator,
) -> tuple[State, Record | None]:
    """One step on one sample; cancelled, and the rate cut, where anything is not finite."""
    run, step = Run(program, state.theta, *sample, rng), state.step + 1
    try:
        slope = checked_slope(run)
        estimate = renewed(state.estimate, run, metric, schedule.damping, pace, slope)
        direction = estimate.solve(slope, schedule.damping)
        if not numpy.isfinite(direction).all():
            raise NumericalError("the step is not finite")
        # in the natural metric of this sample, and in the averaged one, which knows of the others
        radius = schedule.radius * schedule.fall(step)
        squared = max(float(slope @ direction), run.natural_norm2(direction))
        rate = state.rate * min(schedule.rate_at(step), limited(squared, radius))
        reached = descended(run, slope, direction, rate)
    except NumericalError as error:
        return cancelled(state, position, run, metric, error)
    total, count = state.pending[0] + run.loss, state.pending[1] + 1
    is_due = count >= schedule.record_every or step == schedule.steps or reached.trouble is not None
    moved = attrs.evolve(
        state,
        step=step,
        theta=reached.theta,
        trusted=state.theta,
        position=position,
        estimate=estimate,
        pending=(0.0, 0) if is_due else (total, count),
        **recovered(state),
    )
    record = Record(step, total / count, reached.rate, 0.0, trouble=reached.trouble)
    return moved, record if is_due else None


def _first(feed: Feed, position: Position, count: int, rng: numpy.random.Generator) -> tuple[Prepared, Position]:
    """The first `count` samples as one batch; raises DataError where a stream holds fewer."""
    found: list[Prepared] = []
    while len(found) < count:
        taken = feed.next(position, rng)
        if taken is None:
            raise DataError(
                f"the stream holds {len(found)} samples, and the metric is to begin as the average over n_init={count} "
                "of them: give more samples, or a smaller mn.Online(n_init=...)"
            )
        sample, position = taken
        found.append(sample)
    return joined(found), position


def joined(batches: list[Prepared]) -> Prepared:
    """Batches as one."""
    points, targets = (
        {name: numpy.concatenate([batch[part][name] for batch in batches]) for name in batches[0][part]}
        for part in (0, 1)
    )
    return points, targets


__all__ = ["OnlineTrainer", "joined", "sample_step"]
