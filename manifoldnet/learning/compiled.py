"""Full-batch descent in compiled runs of steps, for programs of a backend that has them."""

import time
from collections.abc import Callable
from typing import Any, final

import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import DampingRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import NumericalError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.schedule import FullBatch
from manifoldnet.learning.validation import Validation, validated
from manifoldnet.linalg.damping import Damping, Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.linalg.inverse import EXACT

# Steps of one compiled run: calling it costs about as much as a few steps.
LENGTH = 100
# Numbers that the parameters after every step of a run may take.
LOGGED = 2**20
VALIDATE_EVERY = 10


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


def compiled_descent(program: Program, metric: MetricRule, schedule: FullBatch, data: Dataset) -> Any:
    """The backend's descent for a metric and a schedule, or, as text, why there is none and steps run one by one."""
    if program.engine is None:
        return f"the backend {program.backend} compiles no steps"
    damping = damping_recipe(schedule.damping)
    if isinstance(damping, str):
        return damping
    length = max(1, min(LENGTH, LOGGED // max(1, program.layout.size)))
    if data.validation is not None:
        length = min(length, VALIDATE_EVERY)
    points, targets = program.prepare(data.inputs, data.targets)
    return program.engine.descent(metric.recipe, damping, schedule.growth, schedule.cut, length, points, targets)


Told = Callable[[Record, Parameters], None]


@final
class CompiledTraining:
    """A descent under way: runs of compiled steps, whose records are told one by one."""

    def __init__(
        self, program: Program, descent: Any, data: Dataset, metric: MetricRule, schedule: FullBatch, told: Told
    ) -> None:
        self._program, self._descent, self._schedule = program, descent, schedule
        self._metric, self._data, self._told = metric, data, told
        self._validation = Validation(program, data, schedule.patience)
        self._records: list[Record] = []

    def train(self, theta: Parameters, rng: numpy.random.Generator) -> tuple[Parameters, History]:
        """Take the schedule's steps from `theta`."""
        state = self._descent.start(theta.flat, self._schedule.rate)
        # what it took to compile is not the steps' time
        begun = time.perf_counter()
        if not bool(state.good):
            state = self._helped(state, theta, rng)
        while len(self._records) < self._schedule.steps and not self._validation.exhausted:
            left = self._schedule.steps - len(self._records)
            before = time.perf_counter() - begun
            state, log = self._descent.run(state, min(left, self._until_validation()), rng)
            took = min(left, self._until_validation(), self._taken(log))
            theta = self._tell(log, took, before, time.perf_counter() - begun) or theta
            if not bool(state.good):
                state = self._helped(state, theta, rng)
        return self._validation.best(theta), History(tuple(self._records))

    def _until_validation(self) -> int:
        if not self._validation.available:
            return int(self._descent.plan.length)
        return int(min(self._descent.plan.length, VALIDATE_EVERY - len(self._records) % VALIDATE_EVERY))

    def _taken(self, log: Any) -> int:
        """How many steps of a run were taken: none after one whose next direction was not found."""
        bad = numpy.flatnonzero(~log.good)
        if not bad.size:
            return len(log.good)
        return int(bad[0]) + (0 if self._metric.needs_rng else 1)

    def _tell(self, log: Any, took: int, before: float, after: float) -> Parameters | None:
        theta, flat = None, self._descent.flat(log)
        columns = zip(flat[:took], log.loss.tolist(), log.rate.tolist(), log.accepted.tolist(), strict=False)
        for number, (values, loss, rate, accepted) in enumerate(columns, start=1):
            seconds = before + (after - before) * number / took
            step = len(self._records) + 1
            record = Record(step, loss, rate, seconds, accepted)
            theta = Parameters(values, layout=self._program.layout)
            last = step == self._schedule.steps
            self._records.append(validated(record, self._validation, theta, last=last))
            self._told(self._records[-1], self._validation.best(theta))
        return theta

    def _helped(self, state: Any, theta: Parameters, rng: numpy.random.Generator) -> Any:
        """Where no direction was found, the tensor says why; or it finds one, and the descent goes on."""
        points, targets = self._program.prepare(self._data.inputs, self._data.targets)
        run = Run(self._program, theta, points, targets, rng)
        found = run.metric(self._metric).solve(run.differential(), self._schedule.damping)
        if self._metric.needs_rng:
            raise NumericalError(
                f"a compiled step of {self._metric.name} could not be solved with the targets it drew: use more damping, "
                "more samples=, or the backend autograd"
            )
        return self._descent.with_direction(state, found)


__all__ = ["CompiledTraining", "compiled_descent", "damping_recipe"]
