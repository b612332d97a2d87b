"""Training that ended worse than it began: found out on the same samples, and told with what may help."""

from collections.abc import Iterator, Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import NumericalError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.pace import largest_block
from manifoldnet.learning.schedule import Minibatches, Online
from manifoldnet.learning.stream import Data, Stream
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct

# So many samples at most are looked at before training and after it, in so many runs: few beside what training sees.
SAMPLES, RUNS = 4096, 8
# What rounding may add to a loss.
SLACK = 1e-12
# Of a stream, which is not read again: so many records at least, and so many standard errors between first and last.
FEWEST_RECORDS, ERRORS = 20, 3.0


@final
@attrs.frozen
class Worsened:
    """The average losses (nats) that training began and ended with, the latter the larger one, and what may help.

    Both were measured on the same `samples` of the training data; None for a stream, where they are averages over the
    first and the last tenth of the records.
    """

    began: float
    ended: float
    samples: int | None
    remedy: str

    def __str__(self) -> str:
        where = "over the last records of a stream" if self.samples is None else f"on {self.samples:,} training samples"
        return (
            f"training ended worse than it began: the loss {where} is {self.ended:.6g} nats, and was {self.began:.6g} "
            f"({self.ended - self.began:.3g} more). What may help: {self.remedy}"
        )


@final
@attrs.frozen(eq=False)
class Yardstick:
    """Some samples of the training data, the same ones whenever the loss on them is asked for."""

    program: Program
    data: Data
    remedy: str

    def loss(self, theta: Parameters) -> float | None:
        """The average loss on them; infinite where it is not finite, None for a stream, which is not read again."""
        if isinstance(self.data, Stream):
            return None
        total = 0.0
        for rows in spread(self.data):
            try:
                with numpy.errstate(over="ignore", divide="ignore", invalid="ignore"):
                    total += len(rows) * self.program.loss(theta, *self._batch(self.data, rows))
            except NumericalError:
                return numpy.inf
        loss = total / min(SAMPLES, self.data.samples)
        return loss if numpy.isfinite(loss) else numpy.inf

    def worsened(self, theta: Parameters, began: float | None, losses: Sequence[float]) -> Worsened | None:
        """Whether the loss is above what it was; `losses` of the records decide where the data are a stream."""
        if isinstance(self.data, Stream):
            return _worsened_records(losses, self.remedy)
        ended = self.loss(theta)
        if began is None or ended is None or ended <= began + SLACK * (1.0 + abs(began)):
            return None
        return Worsened(began, ended, min(SAMPLES, self.data.samples), self.remedy)

    @staticmethod
    def _batch(data: Dataset, rows: NDArray[numpy.int_]) -> tuple:
        # of data in files a run of rows is read, not single ones
        return data.batch(rows if data.block is None else slice(int(rows[0]), int(rows[-1]) + 1))


def spread(data: Dataset) -> Iterator[NDArray[numpy.int_]]:
    """Which rows are looked at, some at a time: all of them or evenly spread ones; of files, evenly spread runs of rows.

    >>> [len(rows) for rows in spread(Dataset(numpy.zeros((10, 1)), numpy.zeros(10)))]
    [10]
    """
    samples, run = data.samples, SAMPLES // RUNS
    if data.block is not None and samples > SAMPLES:
        for number in range(RUNS):
            first = number * (samples - run) // (RUNS - 1)
            yield numpy.arange(first, first + run)
        return
    count = min(samples, SAMPLES)
    rows = numpy.arange(count) * samples // count
    for first in range(0, count, run):
        yield rows[first : first + run]


def _worsened_records(losses: Sequence[float], remedy: str) -> Worsened | None:
    """Whether the last tenth of the records lies above the first by more than chance explains."""
    finite = numpy.array([loss for loss in losses if numpy.isfinite(loss)])
    tenth = len(finite) // 10
    if len(finite) < FEWEST_RECORDS:
        return None
    first, last = finite[:tenth], finite[-tenth:]
    error = numpy.sqrt((first.var(ddof=1) + last.var(ddof=1)) / tenth)
    if not last.mean() - first.mean() > ERRORS * error + SLACK * (1.0 + abs(first.mean())):
        return None
    return Worsened(float(first.mean()), float(last.mean()), None, remedy)


def remedy_of(program: Program, metric: MetricRule, schedule: Minibatches | Online) -> str:
    """What may help where steps by a metric, as a schedule takes them, end worse than they began."""
    found = "a smaller rate= or radius=, "
    if isinstance(schedule, Online):
        found += "a smaller gamma= with a larger n_init=, or minibatches"
    else:
        found += "larger batches" + _too_few(program, metric, schedule.batch)
    return found + (", or a damping" if schedule.damping is None else ", or more damping")


def _too_few(program: Program, metric: MetricRule, batch: int) -> str:
    """That a batch is too small for a metric on all parameters, which no average over batches helps."""
    if not isinstance(metric, Natural | OuterProduct | MonteCarloNatural):
        return ""
    size, rank, name = largest_block(program, metric)
    if batch * rank >= size:
        return ""
    return f" (one of {batch} tells {batch * rank} directions at most of {size} that {name} measures)"
