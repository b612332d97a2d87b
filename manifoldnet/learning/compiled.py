"""Full-batch descent in compiled runs of steps, for programs of a backend that has them."""

import itertools
import math
import time
from typing import Any, NamedTuple, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Owned, Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import DampingRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.full_batch import VALIDATE_EVERY, FullBatchTrainer
from manifoldnet.learning.generator import Snapshot, restored, snapshot
from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import FullBatch
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Arrays, Trainer
from manifoldnet.linalg.damping import Damping, Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.linalg.inverse import EXACT

# Steps of one compiled run: calling it costs about as much as a few steps.
LENGTH = 100
# Numbers that the parameters after every step of a run may take.
LOGGED = 2**20


def damping_recipe(damping: Damping | None) -> DampingRecipe | str:
    """A damping as numbers, or why it cannot be written so."""
    rule = EXACT if damping is None else damping.rule
    parts = () if damping is None else damping.parts
    unknown = [part for part in parts if not isinstance(part, Tikhonov | Intrinsic | Floor | LeastNorm | PseudoInverse)]
    if unknown:
        return f"{unknown[0]} is a damping that compiled steps do not know"
    return DampingRecipe(
        absolute=float(sum(part.eps for part in parts if isinstance(part, Tikhonov))),
        floor=float(sum(part.eps for part in parts if isinstance(part, Floor))),
        relative=rule.relative,
        cut=rule.cut,
        rcond=rule.rcond,
        drops=rule.drops,
        tolerance=rule.tolerance,
    )


def compilable(program: Program, damping: Damping | None) -> DampingRecipe | str:
    """The damping as numbers where the program's backend compiles steps, or why it compiles none with it."""
    return damping_recipe(damping) if program.engine is not None else f"the backend {program.backend} compiles no steps"


def run_length(program: Program, most: int) -> int:
    """Steps of one compiled run: at most so many, and no more than the parameters after each have room for."""
    return max(1, min(most, LOGGED // max(1, program.layout.size)))


def compiled_descent(program: Program, metric: MetricRule, schedule: FullBatch, data: Dataset) -> Any:
    """The backend's descent for a metric and a schedule, or, as text, why there is none and steps run one by one."""
    damping = compilable(program, schedule.damping)
    if isinstance(damping, str):
        return damping
    assert program.engine is not None
    length = run_length(program, LENGTH)
    if data.validation is not None:
        length = min(length, VALIDATE_EVERY)
    points, targets = program.prepare(data.inputs, data.targets)
    return program.engine.descent(metric.recipe, damping, schedule.growth, schedule.cut, length, points, targets)


@final
class _Ahead(NamedTuple):
    """A step that has been computed and not been told yet: the parameters tried, the loss of those kept and of those
    tried, the rate after it, whether it was accepted, and where the generator stood."""

    tried: NDArray
    loss: float
    reached: float
    left: float
    accepted: bool
    rng: Snapshot


@final
class CompiledTrainer(Trainer):
    """The steps of `FullBatchTrainer`, computed many at a time and told one by one.

    Where one leads to what is not finite, or no direction is found, `FullBatchTrainer` takes that step, or says why there
    is none.
    """

    def __init__(self, program: Program, data: Dataset, metric: MetricRule, schedule: FullBatch, descent: Any) -> None:
        self._reference = FullBatchTrainer(program, data, metric, schedule)
        self.program, self.steps, self.validation = program, schedule.steps, self._reference.validation
        self.yardstick = self._reference.yardstick
        self._metric, self._descent = metric, descent
        # what is known beyond the state that was told last: the steps ahead, the next one at the end, and the descent after
        # the last of them
        self._told: State | None = None
        self._ahead: list[_Ahead] = []
        self._carried: Any = None
        # the seconds of each step ahead
        self._each = 0.0

    @property
    def first_rate(self) -> float:
        return self._reference.first_rate

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return {}

    def estimate_from(self, arrays: Arrays) -> Any:
        return None

    def _known(self, state: State) -> tuple[State, Record] | None:
        if state is not self._told and not self._is_at(state):
            self._ahead, self._carried = [], None
        if not self._ahead:
            self._look_ahead(state)
        if not self._ahead:
            return None
        tried, loss, reached, left, accepted, rng = self._ahead[-1]
        if not math.isfinite(reached):
            return None
        del self._ahead[-1]
        theta = Parameters(Owned(tried), layout=self.program.layout) if accepted else state.theta
        self._told = moved = state.moved(theta, left, rng, self._each)
        return moved, Record(moved.step, loss, state.rate, moved.seconds, accepted)

    def _advance(self, state: State, rng: numpy.random.Generator) -> tuple[State, Record]:
        expected = self._ahead.pop() if self._ahead else None
        moved, record = self._reference._advance(state, rng)
        if expected is None or record.accepted or moved.rate != expected.left:
            self._ahead, self._carried = [], None
        self._told = attrs.evolve(moved, rng=snapshot(rng))
        return moved, record

    def _is_at(self, state: State) -> bool:
        """Whether what is known beyond the state that was told last belongs to this one."""
        told = self._told
        if told is None or state.theta is not told.theta:
            return False
        return (state.step, state.rate, state.rng) == (told.step, told.rate, told.rng)

    def _look_ahead(self, state: State) -> None:
        """Compute a run of steps from a state on: none where there is no finite loss or no direction."""
        if self._carried is None:
            self._carried = self._descent.start(state.theta.flat, state.rate)
        if not bool(self._carried.good) or not numpy.isfinite(float(self._carried.loss)):
            return
        began = time.perf_counter()
        count = min(self._descent.plan.length, self.steps - state.step, self._until_validation(state.step))
        draws, places = self._drawn(state.rng, count)
        self._carried, log = self._descent.run(self._carried, draws)
        took = min(count, self._taken_of(log))
        self._each = (time.perf_counter() - began) / max(1, took)
        columns = log.theta, *(part.tolist() for part in (log.loss, log.reached, log.left, log.accepted)), places
        self._ahead = [_Ahead._make(each) for each in itertools.islice(zip(*columns, strict=False), took)][::-1]

    def _drawn(self, kept: Snapshot, steps: int) -> tuple[list[Any], list[Snapshot]]:
        """What each of so many steps draws, and where the generator stands after it."""
        if not self._metric.needs_rng:
            return [()] * steps, [kept] * steps
        rng, draws, places = restored(kept), [], []
        for _ in range(steps):
            draws.append(self._descent.drawn(rng))
            places.append(snapshot(rng))
        return draws, places

    def _until_validation(self, step: int) -> int:
        if not self.validation.is_due(0, True):
            return int(self._descent.plan.length)
        return VALIDATE_EVERY - step % VALIDATE_EVERY

    def _taken_of(self, log: Any) -> int:
        """How many steps of a run were taken: none after one whose next direction was not found."""
        bad = numpy.flatnonzero(~log.good)
        if not bad.size:
            return len(log.good)
        return int(bad[0]) + (0 if self._metric.needs_rng else 1)


__all__ = ["CompiledTrainer", "compiled_descent", "damping_recipe"]
