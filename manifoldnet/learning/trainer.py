"""The trainer: a state machine whose every step depends on nothing but the state, the data and the schedule."""

import abc
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.errors import TrainingError
from manifoldnet.learning.generator import Standing, snapshot
from manifoldnet.learning.history import Record
from manifoldnet.learning.state import State
from manifoldnet.learning.validation import Validation
from manifoldnet.learning.worsened import Worsened, Yardstick

Arrays = Mapping[str, NDArray]


class Trainer(abc.ABC):
    """Takes one step at a time: state in, state out, with a record of what happened.

    A trainer may keep copies of what can be had from the state and the data, and no more: states can be kept, written
    to a file, and continued by another trainer made in the same way, to the bit.
    """

    program: Program
    validation: Validation
    steps: int
    # None where training cannot end worse than it began
    yardstick: Yardstick | None
    _standing: Standing | None = None

    @final
    def start(self, theta: Parameters, rng: numpy.random.Generator) -> State:
        """The state before the first step."""
        ended = None if self.steps > 0 else "finished"
        began = None if self.yardstick is None else self.yardstick.loss(theta)
        return State(0, theta, theta, self.first_rate, snapshot(rng), ended=ended, began=began)

    @property
    @abc.abstractmethod
    def first_rate(self) -> float:
        """What `rate` of a state begins with."""

    @final
    def step(self, state: State) -> tuple[State, Record | None]:
        """The next state, and the record of the step where one is due; a state that has ended stays as it is.

        Numbers that are not finite are found by looking at results, so NumPy is not asked to warn of them on the way.
        Raises TrainingError where cutting the rate does not help, and SingularMetricError as solving does.
        """
        if state.ended is not None:
            return state, None
        known = self._known(state)
        return self._taken(state) if known is None else self._judged(*known)

    @numpy.errstate(over="ignore", divide="ignore", invalid="ignore")
    def _taken(self, state: State) -> tuple[State, Record | None]:
        """A step that is computed now, and timed."""
        if self._standing is None:
            self._standing = Standing()
        began, rng = time.perf_counter(), self._standing.restored(state.rng)
        try:
            moved, record = self._advance(state, rng)
        except TrainingError as error:
            error.theta = state.trusted
            raise
        moved, record = self._judged(moved, record)
        seconds = state.seconds + self._took(time.perf_counter() - began)
        moved = attrs.evolve(moved, rng=self._standing.told(rng), seconds=seconds)
        return moved, None if record is None else attrs.evolve(record, seconds=seconds)

    @final
    def steps_from(self, state: State) -> Iterator[tuple[State, Record | None]]:
        """States one after another until training ends."""
        while state.ended is None:
            state, record = self.step(state)
            yield state, record

    @final
    def kept(self, state: State) -> Parameters:
        """The parameters that training returns if it ends here."""
        return state.kept(self.validation.patience)[0]

    @final
    def worsened(self, state: State, losses: Sequence[float]) -> Worsened | None:
        """Whether the parameters that training returns here are worse than those that it began with; None if not.

        `losses` are those of the records so far, which decide where the data are a stream.
        """
        if self.yardstick is None or state.step == 0:
            return None
        return self.yardstick.worsened(self.kept(state), state.began, losses)

    def _known(self, state: State) -> tuple[State, Record] | None:
        """The step after a state without validation, its generator and seconds told, where it is computed already."""
        return None

    @abc.abstractmethod
    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        """One step, without validation; `ended` where no data are left."""

    def _took(self, clock: float) -> float:
        """The seconds of the step at hand; a trainer that computes several steps at once shares out what they took."""
        return clock

    @abc.abstractmethod
    def estimate_arrays(self, estimate: Any) -> Arrays:
        """The `estimate` of a state as arrays by name."""

    @abc.abstractmethod
    def estimate_from(self, arrays: Arrays) -> Any:
        """The estimate that `estimate_arrays` made arrays of; raises DataError where they do not fit."""

    def _judged(self, state: State, record: Record | None) -> tuple[State, Record | None]:
        """With the score on held-out data, where it is due, and `ended` where training is over."""
        last = state.step >= self.steps or state.ended is not None
        if self.validation.is_due(state.step, last) and state.step > 0:
            basis = record or Record(state.step, numpy.nan, state.rate, state.seconds)
            record, best = self.validation.judged(basis, state.best, state.theta)
            state = attrs.evolve(state, best=best)
            if self.validation.exhausted(best) and not last:
                return attrs.evolve(state, ended="early"), record
        if last:
            state = attrs.evolve(state, ended=state.ended or "finished")
        return state, record
