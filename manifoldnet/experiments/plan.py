"""What to compare with what, for how long: from wishes to tasks."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, final

import attrs

from manifoldnet.declare.spec import Spec
from manifoldnet.errors import DataError
from manifoldnet.experiments import paper
from manifoldnet.experiments.task import Result, Task
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.train import Schedule
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.names import metric_named

# The yardstick of the paper's budget.
BACKPROPAGATION = "euclidean"
BUDGETS = ("paper", "table1")


@final
@attrs.frozen(kw_only=True)
class Plan:
    """A comparison: methods x charts x seeds, each method with its damping, and the budget that all of them get.

    `budget` is "steps" or "seconds", with `amount` of them, "table1" (steps of the paper's table 1), or "paper": the
    time of 10,000 steps of backpropagation, measured in the same run. Those steps are then tasks of their own.
    """

    spec: Spec
    dampings: Mapping[str, str]
    charts: Sequence[str]
    seeds: Sequence[int]
    budget: str
    amount: float | None = None
    backend: str = "autograd"

    def yardsticks(self) -> list[Task]:
        """The tasks whose time is to be measured before all others, in the budget "paper"."""
        if self.budget != "paper":
            return []
        return [
            self._task(BACKPROPAGATION, "none", chart, seed, steps=paper.BACKPROPAGATIONS)
            for seed, chart in itertools.product(self.seeds, self.charts)
        ]

    def tasks(self, seconds: float | None = None) -> list[Task]:
        """All tasks, seed by seed; `seconds` is the measured time in the budget "paper"."""
        measured = {(task.charts, task.seed): task for task in self.yardsticks()}
        return [
            measured[charts, seed]
            if measured and metric == BACKPROPAGATION
            else self._task(metric, damping, charts, seed, **self._limit(metric, seconds))
            for seed, (metric, damping), charts in itertools.product(self.seeds, self.dampings.items(), self.charts)
        ]

    def _limit(self, metric: str, seconds: float | None) -> dict[str, Any]:
        if self.budget == "paper":
            return {"seconds": seconds}
        if self.budget == "table1":
            return {"steps": paper.typical_steps(metric)}
        assert self.amount is not None
        return {"steps": int(self.amount)} if self.budget == "steps" else {"seconds": float(self.amount)}

    def _task(self, metric: str, damping: str, charts: str, seed: int, **limit: Any) -> Task:
        return Task(
            spec=str(self.spec.path),
            metric=metric,
            charts=charts,
            damping=damping,
            seed=seed,
            settings=dict(self.spec.settings),
            budget=self.budget,
            backend=self.backend,
            digest=hashlib.sha256(self.spec.path.read_bytes()).hexdigest()[:16],
            **limit,
        )


def measured_seconds(results: Sequence[Result]) -> float:
    """The mean time of yardsticks; raises DataError where one of them failed."""
    for result in results:
        if result.error is not None:
            raise DataError(f"backpropagation, whose time every method is to get, failed: {result.error}")
    return sum(result.duration for result in results) / len(results)


def dampings(metrics: Sequence[str], wanted: str | None, schedule: Schedule) -> dict[str, str]:
    """The damping of each metric, as text; raises ValueError for a metric or a damping that there is not.

    `wanted` is one for all ("tikhonov:1e-4"), "paper" (Tikhonov's of remark 12), or None for the schedule's own, or
    the one that fits the metric. Plain backpropagation, which solves nothing, never gets any.

    >>> from manifoldnet.learning.schedule import FullBatch
    >>> dampings(["natural", "euclidean"], "paper", FullBatch())
    {'natural': 'tikhonov:0.0001', 'euclidean': 'none'}
    """
    return {metric: _damping(metric, wanted, schedule) for metric in metrics}


def _damping(name: str, wanted: str | None, schedule: Schedule) -> str:
    metric = metric_named(name)
    if isinstance(metric, Euclidean):
        return "none"
    if wanted is None:
        found = schedule.damping if schedule.damping is not None else default_damping(metric)
    else:
        found = damping_from_text(paper.DAMPING if wanted == "paper" else wanted)
    return "none" if found is None else found.text
