"""Descent on the whole data set with the paper's adaptive rate (section 4)."""

from collections.abc import Callable
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError, NumericalError, TrainingError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.diagnosis import diagnosed, loss_or_why
from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import FullBatch
from manifoldnet.learning.standstill import STANDSTILL, freed, grown
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Arrays, Trainer
from manifoldnet.learning.validation import Validation

# After so many steps in a row that lead where something is not finite, the rate is 1e-18 of what it was.
MOST_CUTS = 60

# The loss on the whole data set is known at every step, so it is the held-out data that cost something.
VALIDATE_EVERY = 10

Direction = Callable[[], NDArray]


@final
class FullBatchTrainer(Trainer):
    """theta <- theta - rate * A^{-1} dL (eq. 95), the rate adapting; every step is recorded, cancelled ones too.

    The `estimate` of its states is the part of the step that each parameter takes, None for all of it: where the rate
    has fallen to a standstill it begins anew, and units whose own step was too far take less of theirs.
    """

    def __init__(self, program: Program, data: Dataset, metric: MetricRule, schedule: FullBatch) -> None:
        if not isinstance(data, Dataset):
            raise DataError("mn.FullBatch works on all data at once: a stream needs mn.Minibatches or mn.Online")
        self.program, self.steps = program, schedule.steps
        self.validation = Validation(program, data, schedule.patience, VALIDATE_EVERY)
        # no step that makes the loss worse is kept
        self.yardstick = None
        self._metric, self._schedule = metric, schedule
        self._data = program.prepare(data.inputs, data.targets)
        # what is known where the last accepted step led: all of it can be had from the parameters again
        self._here: Run | None = None
        self._direction: NDArray | None = None

    @property
    def first_rate(self) -> float:
        return self._schedule.rate

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return {} if estimate is None else {"shares": estimate}

    def estimate_from(self, arrays: Arrays) -> Any:
        if not arrays:
            return None
        if set(arrays) != {"shares"} or arrays["shares"].shape != (self.program.tangent_layout.size,):
            raise DataError("the parts of steps that units take are incomplete, or those of another network")
        return arrays["shares"]

    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record]:
        here = self._at(state.theta)
        direction = self._towards(here, rng)
        taken = direction if state.estimate is None else state.estimate * direction
        ahead = attrs.evolve(here, theta=self.program.step(here.theta, -state.rate * taken))
        reached, trouble = loss_or_why(ahead)
        better, accepted = reached < here.loss, reached <= here.loss
        step = state.step + 1
        record = Record(step, reached if accepted else here.loss, state.rate, 0.0, accepted, trouble=trouble)
        if accepted:
            self._here, self._direction = ahead, None
            rate = state.rate * (self._schedule.growth if better else 1.0)
            shares = grown(state.estimate, self._schedule.growth) if better else state.estimate
            moved = attrs.evolve(state, step=step, theta=ahead.theta, trusted=ahead.theta, rate=rate, cuts=0)
            return attrs.evolve(moved, estimate=shares), record
        cuts = state.cuts + 1 if trouble else 0
        if cuts > MOST_CUTS:
            raise TrainingError(
                f"step {step}: {cuts} steps in a row led where something is not finite, though the rate was cut to "
                f"{state.rate:.1e}: {trouble}. At the last good parameters: {diagnosed(here, self._metric)}"
            )
        cut = attrs.evolve(state, step=step, rate=state.rate * self._schedule.cut, cuts=cuts)
        return self._freed(cut, state.rate, here, direction), record

    def _freed(self, cut: State, before: float, here: Run, direction: NDArray) -> State:
        """The state after a cancelled step; where the rate has fallen to a standstill, each unit takes its own part."""
        least = STANDSTILL * self._schedule.rate
        if not cut.rate < least <= before:
            return cut
        taken = freed(here, direction, self._schedule.rate, cut.estimate)
        return cut if taken is None else attrs.evolve(cut, rate=self._schedule.rate, estimate=taken)

    def _at(self, theta: Parameters) -> Run:
        if self._here is None or self._here.theta is not theta:
            self._here, self._direction = Run(self.program, theta, *self._data, None), None
            loss, trouble = loss_or_why(self._here)
            if not numpy.isfinite(loss):
                raise TrainingError(f"there is no finite loss to begin with: {trouble}")
        return self._here

    def _towards(self, here: Run, rng: numpy.random.Generator) -> NDArray:
        """A^{-1} dL/dtheta, a tangent; drawn anew at every step where the metric draws."""
        if self._direction is None or self._metric.needs_rng:
            at = attrs.evolve(here, rng=rng) if self._metric.needs_rng else here
            try:
                self._direction = at.metric(self._metric).solve(here.differential(), self._schedule.damping)
            except NumericalError as error:
                raise TrainingError(f"no step can be computed: {diagnosed(at, self._metric, error)}") from error
        return self._direction
