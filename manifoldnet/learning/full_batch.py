"""Descent on the whole data set with the paper's adaptive rate (section 4)."""

import time
from collections.abc import Callable
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import NumericalError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.schedule import FullBatch
from manifoldnet.learning.validation import Validation, validated

# Called after every step with its record and with the parameters that training would return if it ended there.
Observer = Callable[[Record, Parameters], None]


@final
@attrs.frozen(eq=False)
class Trained:
    """Where training ended and how it went."""

    theta: Parameters
    history: History


def train_full_batch(
    program: Program,
    theta: Parameters,
    data: Dataset,
    metric: MetricRule,
    schedule: FullBatch,
    rng: numpy.random.Generator,
    observe: Observer,
) -> Trained:
    """theta <- theta - rate * A^{-1} dL (eq. 95), the rate adapting; every step is recorded, cancelled ones too."""
    points, targets = program.prepare(data.inputs, data.targets)
    here = Run(program, theta, points, targets, rng)
    rate, direction, start = schedule.rate, None, time.perf_counter()
    validation, records = Validation(program, data, schedule.patience), []
    for step in range(1, schedule.steps + 1):
        if direction is None or metric.needs_rng:
            direction = _direction(here, metric, schedule)
        ahead = attrs.evolve(here, theta=program.step(here.theta, -rate * direction))
        reached = _loss(ahead)
        better, accepted = reached < here.loss, reached <= here.loss
        record = Record(step, reached if accepted else here.loss, rate, time.perf_counter() - start, accepted)
        if accepted:
            here, direction = ahead, None
            rate *= schedule.growth if better else 1.0
        else:
            rate *= schedule.cut
        records.append(validated(record, validation, here.theta, last=step == schedule.steps))
        observe(records[-1], validation.best(here.theta))
        if validation.exhausted:
            break
    return Trained(validation.best(here.theta), History(tuple(records)))


def _loss(ahead: Run) -> float:
    """The loss that a step leads to; infinite where it has none, so that the step is cancelled like any bad one."""
    try:
        return ahead.loss
    except NumericalError:
        return numpy.inf


def _direction(here: Run, metric: MetricRule, schedule: FullBatch) -> NDArray:
    """A^{-1} dL/dtheta, a tangent."""
    return here.metric(metric).solve(here.differential(), schedule.damping)
