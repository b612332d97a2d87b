"""Online descent in compiled runs of samples, for programs of a backend that has them."""

import time
from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import DampingRecipe, OnlineRecipe
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.compiled import compilable, run_length
from manifoldnet.learning.descending import LEAST_FALL, MOST_FALL, SLACK
from manifoldnet.learning.feed import Prepared
from manifoldnet.learning.forgetting import (
    CHECK_EVERY,
    Forgetting,
    averages_of,
    forgetting_arrays,
    kept_partition,
    with_averages,
)
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import recovered
from manifoldnet.learning.online import OnlineTrainer, sample_step
from manifoldnet.learning.pace import Pace, pace_of
from manifoldnet.learning.pools import filled
from manifoldnet.learning.reading_ahead import Fetched, settled
from manifoldnet.learning.schedule import Online
from manifoldnet.learning.state import State
from manifoldnet.learning.stream import Data
from manifoldnet.learning.telling import TellingTrainer
from manifoldnet.learning.trainer import Arrays
from manifoldnet.linalg.units import Units
from manifoldnet.metrics.contributions import whole_rows
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import UnitwiseRule


def compiled_online(program: Program, metric: MetricRule, schedule: Online) -> Any:
    """The backend's runs of online steps, or, as text, why there are none and steps run one by one."""
    damping = compilable(program, schedule.damping)
    if isinstance(damping, str):
        return damping
    assert program.engine is not None
    if metric.needs_rng:
        return "a metric of drawn targets draws for every sample"
    recipe = _recipe(program, metric, damping)
    if isinstance(recipe, str):
        return recipe
    pace, length = pace_of(schedule, program, metric), run_length(program, CHECK_EVERY - 1)
    if not recipe.is_reduced:
        length = min(length, pace.refresh - 1)
        if length < 1:
            return "inverses are computed anew at every step"
    groups = (program.partition if recipe.is_reduced else kept_partition(program, metric)).groups
    numbers = {"gamma": pace.gamma, "slack": SLACK, "least_fall": LEAST_FALL, "most_fall": MOST_FALL}
    return program.engine.online(recipe, tuple(group.index for group in groups), length, numbers)


def _recipe(program: Program, metric: MetricRule, damping: DampingRecipe) -> OnlineRecipe | str:
    """How a metric is averaged, as plain data; or, as text, why that is left to NumPy."""
    modulus, rows, reduced = None, None, isinstance(metric, QuasiDiagonal)
    if isinstance(metric, QuasiDiagonal):
        if not all(isinstance(group, Units) and group.is_scalar for group in program.partition.groups):
            return "quasi-diagonal entries are compiled for affine units of one dimension alone"
        if damping.cut == "pseudo-inverse":
            return "PseudoInverse is solved by NumPy"
        modulus = metric.metric.modulus.recipe
    elif isinstance(metric, UnitwiseRule):
        modulus = metric.modulus.recipe
    elif isinstance(metric, Natural | OuterProduct):
        rows = whole_rows(metric).recipe
    else:
        return f"the {metric.name} metric is averaged by NumPy"
    if modulus is None and rows is None:
        return f"the {metric.name} metric has no recipe"
    return OnlineRecipe(modulus, rows, reduced, damping)


@final
@attrs.frozen(eq=False, slots=False)
class _Run:
    """Samples that were taken together: where they began, and what they came to."""

    runs: Any
    program: Program
    metric: MetricRule
    flat: NDArray
    begun: Forgetting
    samples: dict[str, Any]
    count: int

    @cached_property
    def reached(self) -> Any:
        return self.runs.run(self.flat, averages_of(self.begun), self.samples, self.count)

    def average(self, taken: int) -> Forgetting:
        """The average after so many of the samples, to the bit what another run of just these gives."""
        run = self if taken == len(self.reached.losses) else attrs.evolve(self, count=taken)
        return with_averages(self.begun, run.reached.kept, taken, self.program, self.metric)


@final
class CompiledOnlineTrainer(TellingTrainer):
    """The steps of `OnlineTrainer`, many samples at a time and told one by one.

    A sample whose step is to be cut, or at which inverses are looked at or computed anew, is left to the steps of
    `OnlineTrainer`.
    """

    def __init__(self, program: Program, data: Data, metric: MetricRule, schedule: Online, runs: Any) -> None:
        self._online = OnlineTrainer(program, data, metric, schedule)
        super().__init__(self._online, self._online._feed.next, int(runs.length))
        self._metric, self._schedule, self._runs = metric, schedule, runs
        self._pace: Pace = pace_of(schedule, program, metric)

    def estimate_arrays(self, estimate: Any) -> Arrays:
        return forgetting_arrays(settled(estimate))

    def _prepared(self, state: State, rng: numpy.random.Generator) -> State:
        return self._online._begun(state, rng) if state.estimate is None else state

    def _by_reference(self, state: State, fetched: Fetched, rng: numpy.random.Generator) -> tuple[State, Record | None]:
        where = state, fetched.batch, fetched.after
        return sample_step(self.program, self._metric, self._schedule, self._pace, *where, rng)

    def _recorded(self, moved: State, loss: float, rate: float) -> tuple[State, Record | None]:
        total, count = moved.pending[0] + loss, moved.pending[1] + 1
        if count < self._schedule.record_every and moved.step != self.steps:
            return attrs.evolve(moved, pending=(total, count)), None
        return attrs.evolve(moved, pending=(0.0, 0)), Record(moved.step, total / count, rate, 0.0)

    def _computed(self, state: State, batches: list[Any]) -> tuple[_Run, float] | None:
        began, begun = time.perf_counter(), settled(state.estimate)
        count = min(len(batches), self._until_looked_at(begun))
        if count < 1:
            return None
        samples = self._samples(state, batches[:count])
        run = _Run(self._runs, self.program, self._metric, state.theta.flat, begun, samples, count)
        # computed when it is first asked for
        assert run.reached is not None
        return run, time.perf_counter() - began

    def _until_looked_at(self, begun: Forgetting) -> int:
        """How many steps there are before one at which inverses are looked at or computed anew."""
        if begun.inverse is None:
            return int(self._runs.length)
        return min(self._pace.refresh - 1 - begun.age, CHECK_EVERY - 1 - begun.age % CHECK_EVERY)

    def _samples(self, state: State, batch: list[Prepared]) -> dict[str, Any]:
        """The samples one after another, and the rates and radii of their steps, filled up to the length of a run."""
        length, schedule, factor = self._runs.length, self._schedule, state.rate
        steps = range(state.step + 1, state.step + 1 + len(batch))
        factors = []
        for _ in steps:
            factors.append(factor)
            factor = recovered(attrs.evolve(state, rate=factor))["rate"]
        rates = [schedule.rate_at(step) for step in steps]
        radii = [schedule.radius * schedule.fall(step) for step in steps]
        points, targets = (
            {name: filled([sample[part][name] for sample in batch], length) for name in batch[0][part]}
            for part in (0, 1)
        )
        return {
            "points": points, "targets": targets, "rate": filled(rates, length), "radius": filled(radii, length),
            "factor": filled(factors, length),
        }  # fmt: skip


__all__ = ["CompiledOnlineTrainer", "compiled_online"]
