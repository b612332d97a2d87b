"""What many results say together: by method and charts, mean and spread over seeds."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.experiments.task import Result


@final
@attrs.frozen
class Figures:
    """Mean and standard deviation (of a sample, n - 1; None for one number) of the finite ones among some numbers."""

    mean: float | None
    deviation: float | None
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Figures":
        """Of numbers; where one is missing there is no mean.

        >>> Figures.of([1.0, 3.0]).mean, Figures.of([1.0, 3.0]).deviation, Figures.of([1.0, None]).mean
        (2.0, 1.4142135623730951, None)
        """
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return cls(None, None, tuple(values))
        deviation = float(numpy.std(known, ddof=1)) if len(known) > 1 else None
        return cls(float(numpy.mean(known)), deviation, tuple(values))


@final
@attrs.frozen(kw_only=True)
class Group:
    """The runs of one method in one kind of charts."""

    metric: str
    charts: str
    damping: str
    runs: tuple[Result, ...]
    failures: tuple[Result, ...] = ()

    @property
    def loss(self) -> Figures:
        """Bits at the end."""
        return Figures.of([run.loss for run in self.runs])

    @property
    def steps(self) -> Figures:
        return Figures.of([float(run.step_count) for run in self.runs])

    @property
    def seconds(self) -> Figures:
        return Figures.of([run.duration for run in self.runs])

    @property
    def accuracy(self) -> Figures | None:
        """Of the last validation, where there is any."""
        lasts = [[value for value in run.accuracy if value is not None][-1:] for run in self.runs]
        return Figures.of([last[0] for last in lasts]) if lasts and all(lasts) else None

    def curves(self, against: str, points: int = 300) -> tuple[NDArray, NDArray]:
        """Losses (bits) of all runs at common places: (points,) of `against`, steps or seconds, and (runs, points).

        Between recorded steps a loss is interpolated; the curves end where the first of the runs does.
        """
        places = [numpy.array(getattr(run, against), dtype=numpy.float64) for run in self.runs]
        grid = numpy.linspace(max(p[0] for p in places), min(p[-1] for p in places), points)
        losses = [numpy.array([numpy.nan if x is None else x for x in run.losses]) for run in self.runs]
        return grid, numpy.stack([numpy.interp(grid, p, loss) for p, loss in zip(places, losses, strict=True)])


def grouped(results: Sequence[Result]) -> list[Group]:
    """Results by method, damping and charts, in the order in which they first come."""
    found: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        task = result.task
        found.setdefault((task.metric, task.charts, task.damping), []).append(result)
    return [
        Group(
            metric=metric,
            charts=charts,
            damping=damping,
            runs=tuple(run for run in runs if run.error is None),
            failures=tuple(run for run in runs if run.error is not None),
        )
        for (metric, charts, damping), runs in found.items()
    ]
