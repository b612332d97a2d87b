"""What the classifier and the regressor have in common: a network, its data, and how it is trained."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
import numpy
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.links import Link
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.defaults import DEFAULT_METRIC, default_damping
from manifoldnet.learning.forgetting import forgetting
from manifoldnet.learning.history import History
from manifoldnet.learning.schedule import FullBatch, Minibatches, Online
from manifoldnet.learning.state import Position, State
from manifoldnet.learning.train import Schedule, train, trainer_for
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.linalg.tensor import Damping
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.names import metric_named
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct

# Steps of an estimator that is not told how many: at least so many, and so many passes over the samples.
FEWEST_STEPS, PASSES = 300, 10


class ManifoldNetEstimator(BaseEstimator, abc.ABC):
    """Parameters, data and training; see `ManifoldNetClassifier` for what the parameters mean."""

    def __init__(
        self,
        hidden: int | Sequence[int] = (32,),
        link: str | Link = "tanh",
        *,
        interpretation: Interpretation | None = None,
        network: Network | None = None,
        metric: Any = DEFAULT_METRIC,
        damping: str | Damping | None = "default",
        steps: int | None = None,
        batch: int | str | None = None,
        rate: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        standardize: bool = True,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.link = link
        self.interpretation = interpretation
        self.network = network
        self.metric = metric
        self.damping = damping
        self.steps = steps
        self.batch = batch
        self.rate = rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.standardize = standardize
        self.random_state = random_state

    @property
    def program_(self) -> Program:
        """The compiled network."""
        check_is_fitted(self, "network_")
        if getattr(self, "_program", None) is None:
            self._program = compile(self.network_)
        return self._program

    @abc.abstractmethod
    def _default_interpretation(self) -> Interpretation:
        """What the outputs of a network mean where nobody says."""

    def _begin(self, X: NDArray, outputs: int) -> None:
        """Declare, compile and initialise the network for data of this kind."""
        generator = check_random_state(self.random_state)
        self._rng = numpy.random.default_rng(generator.randint(2**31 - 1))
        self._centre, self._spread = numpy.zeros(X.shape[1]), numpy.ones(X.shape[1])
        if self.network is None and self.standardize:
            self._centre, self._spread = standard(X)
        self.network_ = self._declared(X.shape[1], outputs) if self.network is None else self.network
        self._program = compile(self.network_)
        self.theta_ = self._program.initialize(self._rng)
        self.n_iter_ = 0
        self._state: State | None = None

    def _declared(self, features: int, outputs: int) -> Network:
        net = Network(type(self).__name__)
        handle = net.input("x", size=features)
        hidden = (self.hidden,) if isinstance(self.hidden, int | numpy.integer) else tuple(self.hidden)
        for number, size in enumerate(hidden, start=1):
            handle = net.layer(f"h{number}", size=size, map=Affine(self.link), parents=[handle])
        y = net.layer("y", size=outputs, map=Affine("identity"), parents=[handle])
        net.interpret(self._default_interpretation() if self.interpretation is None else self.interpretation, [y])
        return net

    def _fit_steps(self, X: NDArray, targets: NDArray, strata: NDArray | None) -> Self:
        """Train from the start, by the schedule that the parameters ask for."""
        data = self._dataset(X, targets, strata)
        schedule = self._with_damping(self._schedule(data.samples))
        return self._run(data, schedule)

    def _pass_once(self, X: NDArray, targets: NDArray) -> Self:
        """One online step on each of more samples, in a random order, from where training is.

        The metric begins as the average over the samples of the first call, and forgets them little by little.
        """
        before = getattr(self, "_state", None)
        data, program = Dataset(self._inputs(X), targets), self.program_
        steps = (0 if before is None else before.step) + len(X)
        online = Online(steps=steps, record_every=len(X))
        schedule = self._with_damping(online if self.rate is None else attrs.evolve(online, rate=self.rate))
        trainer = trainer_for(program, data, self._metric(), schedule)
        if before is None:
            run = Run(program, self.theta_, *program.prepare(data.inputs, targets), self._rng)
            estimate = forgetting(run, self._metric(), schedule.damping)
            state = attrs.evolve(trainer.start(self.theta_, self._rng), estimate=estimate)
        else:
            state = attrs.evolve(before, position=Position(), ended=None)
        reached, records = state, []
        for moved, record in trainer.steps_from(state):
            reached = moved  # each state holds a whole metric: only the last is kept
            if record is not None:
                records.append(record)
        self._state, self.theta_ = reached, reached.theta
        self.n_iter_ += len(X)
        self.history_ = History(tuple(records))
        return self

    def _run(self, data: Dataset, schedule: Schedule) -> Self:
        trained = train(self._program, self.theta_, data, self._metric(), schedule, self._rng)
        self.theta_, self.history_ = trained.theta, trained.history
        self.n_iter_ += trained.history.last.step
        return self

    def _dataset(self, X: NDArray, targets: NDArray, strata: NDArray | None) -> Dataset:
        if not self.early_stopping:
            return Dataset(self._inputs(X), targets)
        seed, held_out = int(self._rng.integers(2**31 - 1)), math.ceil(self.validation_fraction * len(X))
        if strata is not None and not _can_be_shared_out(strata, held_out):
            strata = None
        kept, held = train_test_split(
            numpy.arange(len(X)), test_size=self.validation_fraction, random_state=seed, stratify=strata
        )
        return Dataset(self._inputs(X[kept]), targets[kept], (self._inputs(X[held]), targets[held]))

    def _schedule(self, samples: int) -> Schedule:
        schedule = self._usual_schedule(samples) if self.batch is None else self._asked_schedule(samples)
        changes: dict[str, Any] = {name: v for name in ("steps", "rate") if (v := getattr(self, name)) is not None}
        return attrs.evolve(schedule, **changes, patience=self.patience if self.early_stopping else None)

    def _usual_schedule(self, samples: int) -> Schedule:
        """Minibatches, unless the metric is on all parameters at once: a batch is too small to know that."""
        if isinstance(self._metric(), Natural | OuterProduct | MonteCarloNatural):
            return FullBatch(steps=FEWEST_STEPS)
        batch = min(Minibatches().batch, samples)
        return Minibatches(batch=batch, steps=max(FEWEST_STEPS, math.ceil(PASSES * samples / batch)))

    def _asked_schedule(self, samples: int) -> Schedule:
        if self.batch == "all":
            return FullBatch()
        if isinstance(self.batch, str):
            raise ValueError(f'batch= takes a number of samples, "all" or None, received {self.batch!r}')
        return Minibatches(batch=min(int(self.batch or 1), samples))

    def _with_damping(self, schedule: Schedule) -> Schedule:
        damping = self.damping
        if damping == "default":
            damping = default_damping(self._metric())
        elif isinstance(damping, str):
            damping = damping_from_text(damping)
        return attrs.evolve(schedule, damping=damping)

    def _metric(self) -> Any:
        return metric_named(self.metric) if isinstance(self.metric, str) else self.metric

    def _inputs(self, X: NDArray) -> Mapping[str, NDArray]:
        """Rows of numbers as points of the input layers, which take their columns in order of declaration."""
        layers = [layer for layer in self.network_.snapshot().layers if layer.is_input]
        sizes = [layer.size * layer.manifold.size for layer in layers]
        if sum(sizes) != X.shape[1]:
            raise DeclarationError(
                f"network {self.network_.name!r} reads {sum(sizes)} numbers a sample, but X has {X.shape[1]} features"
            )
        parts = numpy.split((X - self._centre) / self._spread, numpy.cumsum(sizes)[:-1], axis=1)
        return {
            layer.name: part.reshape(len(X), layer.size, *layer.manifold.shape)
            for layer, part in zip(layers, parts, strict=True)
        }

    def _output(self, X: Any) -> NDArray:
        """What the network gives for raw samples; raises NotFittedError before `fit`, ValueError for other features."""
        check_is_fitted(self, "theta_")
        X = validate_data(self, X, reset=False, dtype=numpy.float64)
        return numpy.asarray(self.program_.output(self.theta_, self._inputs(X)))

    def _only_output(self) -> tuple[Interpretation, int]:
        """The interpretation of the network and how many numbers it reads; raises DeclarationError for several."""
        outputs = self._program.declaration.outputs
        if len(outputs) != 1:
            raise DeclarationError(
                f"network {self.network_.name!r} has {len(outputs)} interpretations "
                f"({', '.join(output.name for output in outputs)}): an estimator predicts by one"
            )
        return outputs[0].interpretation, self._program.output_counts()[outputs[0].name]

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled program, which is compiled again where it is needed."""
        return {key: value for key, value in super().__getstate__().items() if key != "_program"}


def _can_be_shared_out(strata: NDArray, held_out: int) -> bool:
    """Whether both parts of a split can have samples of every class; of a handful of samples they cannot."""
    _, counts = numpy.unique(strata, return_counts=True)
    return counts.min() > 1 and len(counts) <= held_out <= len(strata) - len(counts)


def standard(values: NDArray) -> tuple[NDArray, NDArray]:
    """The mean of every column and its standard deviation, 1 where the column does not vary."""
    centre, spread = values.mean(axis=0), values.std(axis=0)
    tiny = spread <= 10.0 * numpy.finfo(float).eps * numpy.abs(centre)
    return centre, numpy.where(tiny, 1.0, spread)
