"""Steps that are computed many at a time and told one by one; those that a backend leaves are the reference's."""

import abc
from typing import Any, final

import attrs
import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import recovered
from manifoldnet.learning.reading_ahead import Fetched, Next, Pending, ReadingAhead, settled
from manifoldnet.learning.state import Position, State
from manifoldnet.learning.trainer import Arrays, Trainer


class TellingTrainer(Trainer):
    """Follows runs of a backend's steps, batch by batch; `reference` takes those that the backend leaves.

    A run has `reached`, with the parameters `flat`, `losses` and `rates` of each of its steps, and `average(taken)`.
    """

    first_rate = 1.0

    def __init__(self, reference: Trainer, following: Next, most: int) -> None:
        self._reference = reference
        self.program, self.steps, self.validation = reference.program, reference.steps, reference.validation
        self.yardstick = reference.yardstick
        # batches read and not told yet, of which a run takes so many at most
        self._ahead, self._most = ReadingAhead(following), most
        # the run at hand, how many of its steps have been told, and the state that the next one belongs to
        self._run: Any = None
        self._told = 0
        self._place: tuple[Parameters, Position] | None = None
        # the seconds of each step of the run, and of the step at hand if it is one of them
        self._each = 0.0
        self._shared: float | None = None

    @abc.abstractmethod
    def _computed(self, state: State, batches: list[Any]) -> tuple[Any, float] | None:
        """A run of steps on these batches and its seconds; None where the next step is one for the reference."""

    @abc.abstractmethod
    def _prepared(self, state: State, rng: numpy.random.Generator) -> State:
        """The state with what has to be there before a batch is read."""

    @abc.abstractmethod
    def _by_reference(self, state: State, fetched: Fetched, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        """One step as the reference takes it."""

    @abc.abstractmethod
    def _recorded(self, moved: State, loss: float, rate: float) -> tuple[State, Record | None]:
        """The state after a step of a run, and its record where one is due."""

    @final
    def estimate_from(self, arrays: Arrays) -> Any:
        return self._reference.estimate_from(arrays)

    @final
    def _took(self, clock: float) -> float:
        # what it took to compile is not the steps' time
        return clock if self._shared is None else self._shared

    @final
    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        self._shared = None
        if self._place is None or self._place[0] is not state.theta or self._place[1] is not state.position:
            self._ahead.forget()
            self._run = None
            # what a run carries belongs to the parameters that it led to
            state = attrs.evolve(state, estimate=settled(state.estimate))
        state = self._prepared(state, rng)
        if self._run is None:
            self._ahead.fetch(state.position, rng, min(self._most, self.steps - state.step))
            if not self._ahead.batches:
                return attrs.evolve(state, ended="exhausted"), None
            self._look_ahead(state)
        moved, record = self._next(state, rng)
        self._place = moved.theta, moved.position
        return moved, record

    def _look_ahead(self, state: State) -> None:
        batches = [each.batch for each in self._ahead.batches if each.error is None]
        found = self._computed(state, batches) if batches else None
        if found is not None and len(found[0].reached.losses):
            self._run, self._told = found[0], 0
            self._each = found[1] / len(self._run.reached.losses)

    def _next(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        fetched = self._ahead.batches.pop(0)
        fetched.told(rng)
        if self._run is None:
            return self._by_reference(attrs.evolve(state, estimate=settled(state.estimate)), fetched, rng)
        reached, number = self._run.reached, self._told
        self._told, self._shared = self._told + 1, self._each
        theta = Parameters(reached.flat[number], layout=self.program.layout)
        moved = attrs.evolve(
            state, step=state.step + 1, theta=theta, trusted=state.theta, position=fetched.after,
            estimate=Pending(self._run, self._told), **recovered(state),
        )  # fmt: skip
        if self._told == len(reached.losses):
            self._run = None
        return self._recorded(moved, float(reached.losses[number]), float(reached.rates[number]))


__all__ = ["TellingTrainer"]
