"""Training: the schedule says how, and its type chooses the trainer."""

import warnings
from collections.abc import Callable
from typing import final

import attrs
import numpy
import threadpoolctl  # type: ignore[import-untyped]

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import WorsenedWarning
from manifoldnet.learning.compiled import CompiledTrainer, compiled_descent
from manifoldnet.learning.compiled_minibatches import CompiledMinibatchTrainer, compiled_minibatches
from manifoldnet.learning.compiled_online import CompiledOnlineTrainer, compiled_online
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.full_batch import FullBatchTrainer
from manifoldnet.learning.generator import rewind
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.keeping.loop import Kept
from manifoldnet.learning.minibatches import MinibatchTrainer
from manifoldnet.learning.online import OnlineTrainer
from manifoldnet.learning.schedule import FullBatch, Minibatches, Online
from manifoldnet.learning.stream import Data
from manifoldnet.learning.trainer import Trainer
from manifoldnet.learning.worsened import Worsened

Schedule = FullBatch | Minibatches | Online
TRAINERS: dict[type, Callable[..., Trainer]] = {
    FullBatch: FullBatchTrainer,
    Minibatches: MinibatchTrainer,
    Online: OnlineTrainer,
}

# Called after every recorded step with its record and the parameters that training would return if it ended there.
Observer = Callable[[Record, Parameters], None]


@final
@attrs.frozen(eq=False)
class Trained:
    """Where training ended and how it went; `worsened` tells of a loss that ended above where it began, None else."""

    theta: Parameters
    history: History
    worsened: Worsened | None = None


def trainer_for(program: Program, data: Data, metric: MetricRule, schedule: Schedule) -> Trainer:
    """The trainer of a schedule, whose steps can be taken one at a time, kept and continued.

    A loop over its steps has as many threads of linear algebra as the machine offers, and its last digits depend on
    them: `with threadpoolctl.threadpool_limits(1, "blas")` around it gives the run that `train` gives, on any machine.
    Raises TypeError for a schedule of another type, DataError where data do not fit.
    """
    if type(schedule) not in TRAINERS:
        raise TypeError(
            f"schedule= takes mn.FullBatch(...), mn.Minibatches(...) or mn.Online(...), received {schedule!r}"
        )
    if isinstance(schedule, FullBatch) and isinstance(data, Dataset):
        descent = compiled_descent(program, metric, schedule, data)
        if not isinstance(descent, str):
            return CompiledTrainer(program, data, metric, schedule, descent)
    if isinstance(schedule, Online):
        runs = compiled_online(program, metric, schedule)
        if not isinstance(runs, str):
            return CompiledOnlineTrainer(program, data, metric, schedule, runs)
    if isinstance(schedule, Minibatches):
        steps = compiled_minibatches(program, metric, schedule)
        if not isinstance(steps, str):
            return CompiledMinibatchTrainer(program, data, metric, schedule, steps)
    return TRAINERS[type(schedule)](program, data, metric, schedule)


def train(
    program: Program,
    theta: Parameters,
    data: Data,
    metric: MetricRule,
    schedule: Schedule,
    rng: numpy.random.Generator,
    observe: Observer | None = None,
    threads: int = 1,
) -> Trained:
    """Descend from `theta` by the steps of a metric, as a schedule says (eqs. 35, 42, 94-95).

    `observe(record, parameters)` is called after every recorded step with what training would return if it ended
    there. On the backend "jax" steps run compiled, some dozen or hundred at a time, and are told afterwards, where
    `compiled_descent`, `compiled_minibatches` or `compiled_online` finds no reason against it. The same seed gives the
    same run, to the bit, however many threads the machine offers: linear algebra uses `threads` of them, and another
    number of them changes the last digits. Raises TypeError for a schedule of another type; TrainingError,
    which carries the last good parameters as `theta`, where numbers stay infinite however small the steps. Warns by
    WorsenedWarning, which carries the result as `trained`, where the loss on the training data ended above where it
    began: steps on batches are judged by their own batch alone.

    >>> import manifoldnet as mn
    >>> net = mn.Network("line")
    >>> y = net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> program, data = mn.compile(net), mn.Dataset(numpy.array([[0.0], [1.0]]), numpy.array([1.0, 3.0]))
    >>> start = program.parameters(numpy.zeros(2))
    >>> trained = train(program, start, data, mn.Natural(), FullBatch(steps=1, rate=1.0), numpy.random.default_rng(0))
    >>> trained.theta.flat.round(6).tolist()
    [1.0, 2.0]
    """
    trained = train_untold(program, theta, data, metric, schedule, rng, observe, threads)
    if trained.worsened is not None:
        warning = WorsenedWarning(str(trained.worsened))
        warning.trained = trained
        warnings.warn(warning, stacklevel=2)
    return trained


def train_untold(
    program: Program,
    theta: Parameters,
    data: Data,
    metric: MetricRule,
    schedule: Schedule,
    rng: numpy.random.Generator,
    observe: Observer | None = None,
    threads: int = 1,
) -> Trained:
    """`train` without its warning, for those who tell of `worsened` themselves."""
    trainer = trainer_for(program, data, metric, schedule)
    with threadpoolctl.threadpool_limits(limits=threads, user_api="blas"):
        kept = Kept(trainer, trainer.start(theta, rng))
        records = []
        for record in kept.records():
            records.append(record)
            if observe is not None:
                observe(record, trainer.kept(kept.state))
    rewind(rng, kept.state.rng)
    return Trained(trainer.kept(kept.state), History(tuple(records)), kept.worsened)
