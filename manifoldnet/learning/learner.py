"""Learning from data as they come, a batch at a time."""

from typing import Any, final

import attrs
import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import TrainingError
from manifoldnet.learning.dataset import chosen, count
from manifoldnet.learning.feed import Prepared
from manifoldnet.learning.forgetting import forgetting
from manifoldnet.learning.generator import restored, snapshot
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import batch_step
from manifoldnet.learning.momentum import check_momentum
from manifoldnet.learning.online import joined, sample_step
from manifoldnet.learning.pace import pace_of
from manifoldnet.learning.schedule import Minibatches, Online
from manifoldnet.learning.state import Position, State


@final
class Learner:
    """Takes a step for every batch that it is shown (`mn.Minibatches`), or for every sample (`mn.Online`).

    Online, the first `n_init` samples are gathered, and no step taken, until the metric can begin with them; they are not
    seen again. The schedule's `steps`, `batch` and patience do not count here. Raises TypeError for another schedule.

    >>> import manifoldnet as mn
    >>> net = mn.Network("line")
    >>> net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])])
    >>> learner = Learner(mn.compile(net), mn.Natural(), Minibatches(rate=1.0, radius=100.0), seed=0)
    >>> record = learner.step([[0.0], [1.0]], [1.0, 3.0])
    >>> learner.theta.flat.round(6).tolist()
    [1.0, 2.0]
    """

    def __init__(
        self,
        program: Program,
        metric: MetricRule,
        schedule: Minibatches | Online,
        seed: int = 0,
        theta: Parameters | None = None,
    ) -> None:
        if not isinstance(schedule, Minibatches | Online):
            raise TypeError(f"a learner takes mn.Minibatches(...) or mn.Online(...), received {schedule!r}")
        check_momentum(program, schedule)
        self.program, self.metric, self.schedule = program, metric, schedule
        rng = numpy.random.default_rng(seed)
        start = program.initialize(rng) if theta is None else program.parameters(theta)
        self.state = State(0, start, start, 1.0, snapshot(rng))
        self._gathered: list[Prepared] = []
        self._pace = pace_of(schedule, program, metric) if isinstance(schedule, Online) else None

    @property
    def theta(self) -> Parameters:
        """The parameters so far."""
        return self.state.theta

    def step(self, inputs: Any, targets: Any) -> Record | None:
        """Learn from a batch; the record of its last step, or the average over `record_every` samples where one is due.

        Raises DataError for data that do not fit; TrainingError, as training does, where numbers stay infinite: the last
        good parameters remain.
        """
        batch = self.program.prepare(inputs, targets)
        rng = restored(self.state.rng)
        with numpy.errstate(over="ignore", divide="ignore", invalid="ignore"):
            try:
                return self._learned(batch, rng)
            except TrainingError as error:
                error.theta = self.state.trusted
                raise

    def _learned(self, batch: Prepared, rng: numpy.random.Generator) -> Record | None:
        if isinstance(self.schedule, Minibatches):
            moved, record = batch_step(self.program, self.metric, self.schedule, self.state, batch, Position(), rng)
            self._keep(moved, rng)
            return record
        found = None
        for row in range(count(batch[0])):
            rows = slice(row, row + 1)
            found = self._seen((chosen(batch[0], rows), chosen(batch[1], rows)), rng) or found
        return found

    def _seen(self, sample: Prepared, rng: numpy.random.Generator) -> Record | None:
        assert isinstance(self.schedule, Online) and self._pace is not None
        if self.state.estimate is None:
            self._gather(sample, rng)
            return None
        moved, record = sample_step(
            self.program, self.metric, self.schedule, self._pace, self.state, sample, Position(), rng
        )
        self._keep(moved, rng)
        return record

    def _gather(self, sample: Prepared, rng: numpy.random.Generator) -> None:
        """One sample more of those that the metric begins with (eq. 36)."""
        assert isinstance(self.schedule, Online) and self._pace is not None
        self._gathered.append(sample)
        if len(self._gathered) == self._pace.n_init:
            run = Run(self.program, self.state.theta, *joined(self._gathered), rng)
            estimate = forgetting(run, self.metric, self.schedule.damping)
            self._gathered = []
            self._keep(attrs.evolve(self.state, estimate=estimate), rng)

    def _keep(self, moved: State, rng: numpy.random.Generator) -> None:
        self.state = attrs.evolve(moved, rng=snapshot(rng))
