"""Descent on minibatches in compiled runs of steps, for programs of a backend that has them."""

import math
import time
from functools import cached_property
from typing import Any, final

import attrs
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import StepRules
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.compiled import LOGGED, compilable, run_length
from manifoldnet.learning.descending import GROWTH, HALVINGS, LEAST_FALL, MOST_FALL, SLACK
from manifoldnet.learning.feed import Feed, MemoryFeed, feed_of
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import Average, MinibatchTrainer, average_arrays, batch_step, regrown
from manifoldnet.learning.momentum import PARALLEL
from manifoldnet.learning.past import Past
from manifoldnet.learning.pools import Coming, InMemory, Pooled, filled, pool_of
from manifoldnet.learning.reading_ahead import Fetched, Pending, settled
from manifoldnet.learning.schedule import Minibatches
from manifoldnet.learning.standstill import STANDSTILL
from manifoldnet.learning.state import State
from manifoldnet.learning.stream import Data
from manifoldnet.learning.telling import TellingTrainer
from manifoldnet.learning.trainer import Arrays
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.tensor import MetricTensor

# Steps of one compiled run: calling it costs about as much as one step.
LENGTH = 64

RULES = StepRules(HALVINGS, LEAST_FALL, MOST_FALL, SLACK, STANDSTILL, PARALLEL, GROWTH)


def compiled_minibatches(program: Program, metric: MetricRule, schedule: Minibatches) -> Any:
    """The backend's runs of steps on batches, or, as text, why there are none and steps run one by one."""
    damping = compilable(program, schedule.damping)
    if isinstance(damping, str):
        return damping
    assert program.engine is not None
    length = run_length(program, LENGTH)
    return program.engine.minibatches(metric.recipe, damping, RULES, schedule.momentum, length)


@final
@attrs.frozen(eq=False)
class _Steps:
    """Steps to be taken together: arrays of what they depend on, and the count of the average after each."""

    arrays: dict[str, Any]
    counts: list[int]


@final
@attrs.frozen(eq=False, slots=False)
class _Run:
    """Steps that were taken together: where they began, and what they came to."""

    runs: Any
    program: Program
    metric: MetricRule
    begun: Any
    steps: _Steps
    count: int

    @cached_property
    def reached(self) -> Any:
        return self.runs.run(self.begun, self.steps.arrays, self.count)

    def carried(self, taken: int) -> Any:
        """What is carried on after so many of the steps, to the bit what another run of just these gives."""
        run = self if taken == self.count else attrs.evolve(self, count=taken)
        return run.reached.carried

    def average(self, taken: int) -> Average:
        """The average after so many of the steps."""
        carried, lowered = self.carried(taken), self.program.lowered
        tensor = _tensor(self.program, self.metric, *self.runs.average_of(lowered, carried))
        return Average(tensor, self.steps.counts[taken - 1], Past(*self.runs.past_of(carried)))


def _tensor(program: Program, metric: MetricRule, parts: Any, floor: Any) -> MetricTensor:
    """An average of the backend's as the tensor that the reference averages."""
    name = f"the {metric.name} metric"
    if isinstance(parts, numpy.ndarray):
        return Diagonal(parts, name=name)
    kind: type[Blocks] | type[QuasiDiagonal] = Blocks if isinstance(parts[0], numpy.ndarray) else QuasiDiagonal
    under = None if floor is None else kind(program.partition, tuple(floor))
    return kind(program.partition, tuple(parts), floor=under, name=name)


def _average_of(program: Program, average: Average | None) -> tuple[Any, Any] | None:
    """The inverse: what the backend makes of it."""
    if average is None:
        return None
    tensor = average.tensor
    floor = None if isinstance(tensor, Diagonal) or tensor.floor is None else _parts(program, tensor.floor)
    return _parts(program, tensor), floor


def _parts(program: Program, tensor: MetricTensor) -> Any:
    if isinstance(tensor, Diagonal):
        return tensor.entries
    return tensor.entries if isinstance(tensor, QuasiDiagonal) else tensor.unit_blocks(program.partition)


@final
class CompiledMinibatchTrainer(TellingTrainer):
    """The steps of `MinibatchTrainer`, computed many at a time and told one by one.

    A step that leads where something is not finite, that is not to be solved, or that stands still is left to the steps
    of `MinibatchTrainer`.
    """

    def __init__(self, program: Program, data: Data, metric: MetricRule, schedule: Minibatches, runs: Any) -> None:
        self._batches = _batches(program, runs, feed_of(program, data, schedule.batch), schedule.batch)
        super().__init__(MinibatchTrainer(program, data, metric, schedule), self._batches.next, self._batches.most)
        self._metric, self._schedule, self._runs = metric, schedule, runs
        self._is_compiled = False

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return average_arrays(settled(estimate))

    def _prepared(self, state: State, rng: numpy.random.Generator) -> State:
        return state

    def _by_reference(self, state: State, fetched: Fetched, rng: numpy.random.Generator) -> tuple[State, Record]:
        where = state, self._batches.prepared(fetched.batch), fetched.after
        return batch_step(self.program, self._metric, self._schedule, *where, rng)

    def _recorded(self, moved: State, loss: float, rate: float) -> tuple[State, Record]:
        return moved, Record(moved.step, loss, rate, 0.0)

    def _computed(self, state: State, batches: list[Any]) -> tuple[_Run, float]:
        begun, averaged = self._begun(state)
        steps = self._steps_of(state, batches, averaged)
        if not self._is_compiled:
            # a run of no steps, so that theirs do not count what it takes
            self._runs.run(begun, steps.arrays, 0)
            self._is_compiled = True
        began = time.perf_counter()
        run = _Run(self._runs, self.program, self._metric, begun, steps, len(batches))
        # computed when it is first asked for
        assert run.reached is not None
        return run, time.perf_counter() - began

    def _begun(self, state: State) -> tuple[Any, int]:
        """What steps from a state on carry, and how many batches its metric is the average of."""
        estimate = state.estimate
        if isinstance(estimate, Pending) and isinstance(estimate.run, _Run):
            return estimate.run.carried(estimate.taken), estimate.run.steps.counts[estimate.taken - 1]
        average, past = estimate, Past() if estimate is None else estimate.past
        known = _average_of(self.program, average)
        begun = self._runs.begun(self.program.lowered, state.theta.flat, known, past.last, past.shares)
        return begun, 0 if average is None else average.count

    def _steps_of(self, state: State, batches: list[Any], averaged: int) -> _Steps:
        length = self._runs.length
        numbers, counts = self._numbers(state, len(batches), averaged)
        found = {name: filled(values, length) for name, values in numbers.items()}
        return _Steps({**found, **self._batches.of_steps(batches, length)}, counts)

    def _numbers(self, state: State, steps: int, averaged: int) -> tuple[dict[str, list[float]], list[int]]:
        """The weight of each step's metric, its rate and radius, and what cuts have left of the rate."""
        schedule, factor, counts = self._schedule, state.rate, []
        found: dict[str, list[float]] = {"weight": [], "fraction": [], "radius": [], "left": []}
        for step in range(state.step + 1, state.step + 1 + steps):
            renews = averaged == 0 or (step - 1) % schedule.refresh == 0
            averaged += int(renews)
            weight = 1.0 if averaged == 1 else max(schedule.renewal, 1.0 / averaged)
            fall = schedule.fall(step)
            found["weight"].append(weight if renews else 0.0)
            found["fraction"].append(schedule.rate(step) if callable(schedule.rate) else schedule.rate * fall)
            found["radius"].append(schedule.radius * fall)
            found["left"].append(factor)
            factor = regrown(factor)
            counts.append(averaged)
        return found, counts


def _batches(program: Program, runs: Any, feed: Feed, size: int) -> Pooled:
    if isinstance(feed, MemoryFeed):
        return InMemory(feed, runs.held(pool_of(feed.whole)), size, runs.length)
    layers = [layer for layer in program.declaration.layers if layer.is_input]
    numbers = sum(layer.size * math.prod(program.lowered.spaces[layer.name].manifold.shape) for layer in layers)
    return Coming(feed, size, max(1, min(runs.length, LOGGED // max(1, size * numbers))))


__all__ = ["CompiledMinibatchTrainer", "compiled_minibatches"]
