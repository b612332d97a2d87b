"""Descent on random minibatches, with an averaged metric and a trust radius."""

import time
from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.learning.dataset import Dataset, chosen
from manifoldnet.learning.full_batch import Observer, Trained
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.schedule import Minibatches
from manifoldnet.learning.validation import Validation, validated
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.tensor import MetricTensor


def train_minibatches(
    program: Program,
    theta: Parameters,
    data: Dataset,
    metric: MetricRule,
    schedule: Minibatches,
    rng: numpy.random.Generator,
    observe: Observer,
) -> Trained:
    """theta <- theta - step of at most `radius` along A^{-1} dL(batch), A averaged over recent batches."""
    points, targets = program.prepare(data.inputs, data.targets)
    batches = _batches(data.samples, schedule.batch, rng)
    start, average = time.perf_counter(), None
    validation, records = Validation(program, data, schedule.patience), []
    for step in range(1, schedule.steps + 1):
        rows = next(batches)
        here = Run(program, theta, chosen(points, rows), chosen(targets, rows), rng)
        slope, average = here.differential().flat, _renewed(average, here.metric(metric), schedule, step)
        direction = average.solve(slope, schedule.damping)
        rate = _rate(here, slope, direction, schedule, step)
        theta = program.step(theta, -rate * direction)
        record = Record(step, here.loss, rate, time.perf_counter() - start)
        last = step == schedule.steps
        records.append(validated(record, validation, theta, last, schedule.validate_every))
        observe(records[-1], validation.best(theta))
        if validation.exhausted:
            break
    return Trained(validation.best(theta), History(tuple(records)))


def _batches(samples: int, size: int, rng: numpy.random.Generator) -> Iterator[NDArray[numpy.int_]]:
    """Batches without end: every epoch in a new order, its last batch the shorter one."""
    while True:
        order = rng.permutation(samples)
        for start in range(0, samples, size):
            yield order[start : start + size]


def _renewed(average: MetricTensor | None, tensor: MetricTensor, schedule: Minibatches, step: int) -> MetricTensor:
    if schedule.damping is None or not schedule.damping.wants_floor:
        tensor = tensor.without_floor()
    if isinstance(tensor, Factor | LayeredFactor):
        # rows of past batches would pile up without end: a metric on all parameters is the batch's own
        return tensor
    # a plain average of the first batches, until they are as many as the average remembers
    return tensor if average is None else average.average(tensor, max(schedule.renewal, 1.0 / step))


def _rate(here: Run, slope: NDArray, direction: NDArray, schedule: Minibatches, step: int) -> float:
    """How far to go along `direction`: a fraction of the quadratic model's best, within the trust radius."""
    fall = schedule.fall(step)
    squared = here.natural_norm2(direction)
    if not squared > 0.0:
        # the outputs do not move to first order, so there is nothing to gain
        return 0.0
    fraction = schedule.rate(step) if callable(schedule.rate) else schedule.rate * fall
    return min(fraction * float(slope @ direction) / squared, schedule.radius * fall / numpy.sqrt(squared))
