"""Training: the schedule says how, and its type chooses the trainer."""

import numpy

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.compiled import CompiledTraining, compiled_descent
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.full_batch import Observer, Trained, train_full_batch
from manifoldnet.learning.history import Record
from manifoldnet.learning.minibatches import train_minibatches
from manifoldnet.learning.schedule import FullBatch, Minibatches

Schedule = FullBatch | Minibatches


def train(
    program: Program,
    theta: Parameters,
    data: Dataset,
    metric: MetricRule,
    schedule: Schedule,
    rng: numpy.random.Generator,
    observe: Observer | None = None,
) -> Trained:
    """Descend from `theta` by the steps of a metric, as a schedule says (eqs. 35, 42, 94-95).

    `observe(record, parameters)` is called after every step with what training would return if it ended
    there. On the backend "jax" full-batch steps run compiled, some hundred at a time, and are told afterwards, where
    `compiled_descent` finds no reason against it. Raises TypeError for a schedule of another type.

    >>> import manifoldnet as mn
    >>> net = mn.Network("line")
    >>> y = net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> program, data = mn.compile(net), Dataset(numpy.array([[0.0], [1.0]]), numpy.array([1.0, 3.0]))
    >>> start = program.parameters(numpy.zeros(2))
    >>> trained = train(program, start, data, mn.Natural(), FullBatch(steps=1, rate=1.0), numpy.random.default_rng(0))
    >>> trained.theta.flat.round(6).tolist()
    [1.0, 2.0]
    """
    seen = observe or _ignore
    if isinstance(schedule, FullBatch):
        descent = compiled_descent(program, metric, schedule, data)
        if not isinstance(descent, str):
            return Trained(*CompiledTraining(program, descent, data, metric, schedule, seen).train(theta, rng))
        return train_full_batch(program, theta, data, metric, schedule, rng, seen)
    if isinstance(schedule, Minibatches):
        return train_minibatches(program, theta, data, metric, schedule, rng, seen)
    raise TypeError(f"schedule= takes mn.FullBatch(...) or mn.Minibatches(...), received {schedule!r}")


def _ignore(record: Record, theta: Parameters) -> None:
    """Nobody watches."""
