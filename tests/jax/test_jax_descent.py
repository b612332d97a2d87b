"""Compiled full-batch descent takes the steps of the reference, cancelled ones included."""

import importlib

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import SingularMetricError
from manifoldnet.learning.compiled import CompiledTrainer, compiled_descent
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.history import Record
from manifoldnet.learning.train import Trained, train, trainer_for
from manifoldnet.learning.trainer import Trainer
from manifoldnet.linalg.damping import Damping
from manifoldnet.metrics.names import metric_named
from tests.jax.kinds import KINDS, data, sparse

pytest.importorskip("jax", reason="needs the extra `jax`")
descent = importlib.import_module("manifoldnet.compiler.backends.jax.descent")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(600)]

# Each step multiplies what rounding has left by up to ten, so few steps are compared.
STEPS, EXACT = 12, 1e-8
TIKHONOV = mn.Tikhonov(1e-2)


def trained(
    net: mn.Network, name: str, metric: str, schedule: mn.FullBatch, backend: str, held_out: bool = False
) -> Trained:
    program = mn.compile(net, backend=backend)
    theta = mn.compile(net).initialize(numpy.random.default_rng(1))
    x, y = data(name, 20)
    held = data(name, 6) if held_out else None
    return train(program, theta, Dataset(x, y, held), metric_named(metric), schedule, numpy.random.default_rng(2))


def compared(name: str, metric: str, damping: Damping | None, rate: float = 0.5) -> Trained:
    schedule = mn.FullBatch(steps=STEPS, rate=rate, growth=2.0, damping=damping)
    net = KINDS[name]()
    x, y = data(name, 20)
    how = compiled_descent(mn.compile(net, backend="jax"), metric_named(metric), schedule, Dataset(x, y))
    assert not isinstance(how, str), how
    found, expected = (trained(net, name, metric, schedule, backend) for backend in ("jax", "autograd"))
    for column in ("loss", "rate", "accepted"):
        a, b = found.history.column(column), expected.history.column(column)
        assert numpy.abs(a - b).max() <= EXACT * numpy.abs(b).max(), column
    gap = numpy.abs(found.theta.flat - expected.theta.flat) / (1.0 + numpy.abs(expected.theta.flat))
    # the weight of a parent that varies by 1e-28 is told by its last digits alone: -1e28, of no effect on what is computed
    told = numpy.abs(expected.theta.flat) < 1e20
    assert gap[told].max() < EXACT * 10.0
    assert gap.max() < EXACT * 1e3
    return found


@pytest.mark.parametrize(
    ("metric", "damping"),
    [
        ("euclidean", None),
        ("adagrad", TIKHONOV),
        ("diagonal-gauss-newton", TIKHONOV),
        ("backpropagated", TIKHONOV),
        ("backpropagated", mn.Intrinsic(0.03)),
        ("backpropagated", mn.Floor(0.1) + TIKHONOV),
        ("backpropagated", mn.Floor(0.1) + mn.Intrinsic(0.03)),
        ("unitwise-natural", TIKHONOV),
        ("unitwise-monte-carlo-natural", TIKHONOV),
        ("quasi-diagonal-natural", TIKHONOV),
        ("quasi-diagonal-backpropagated", mn.Floor(0.1) + mn.LeastNorm()),
        ("quasi-diagonal-outer-product", mn.Intrinsic(0.1) + TIKHONOV),
        ("quasi-diagonal-monte-carlo-natural", TIKHONOV),
    ],
)
def test_steps_of_affine_units(metric: str, damping: Damping | None) -> None:
    compared("sparse", metric, damping)


@pytest.mark.parametrize("name", ["dense", "charted", "curved", "pairs"])
@pytest.mark.parametrize("metric", ["unitwise-natural", "quasi-diagonal-backpropagated"])
def test_steps_of_other_units(name: str, metric: str) -> None:
    compared(name, metric, TIKHONOV)


def test_fewer_samples_than_parameters_of_a_unit() -> None:
    """Solved by the samples' Gram matrices, all units reading the same or each its own."""
    for net in (KINDS["dense"](), sparse()):
        name = net.name
        x, y = data(name, 5)
        schedule = mn.FullBatch(steps=6, rate=0.5, damping=TIKHONOV)
        theta = mn.compile(net).initialize(numpy.random.default_rng(1))
        found, expected = (
            train(
                mn.compile(net, backend=b),
                theta,
                Dataset(x, y),
                mn.Backpropagated(),
                schedule,
                numpy.random.default_rng(0),
            )
            for b in ("jax", "autograd")
        )
        assert numpy.abs(found.theta.flat - expected.theta.flat).max() < 1e2 * EXACT


def test_some_steps_are_cancelled() -> None:
    found = compared("sparse", "quasi-diagonal-natural", TIKHONOV, rate=4.0)
    accepted = found.history.column("accepted")
    assert 0 < accepted.sum() < STEPS


def test_held_out_data_and_patience() -> None:
    schedule = mn.FullBatch(steps=60, rate=0.3, damping=TIKHONOV, patience=2)
    found, expected = (
        trained(sparse(), "sparse", "quasi-diagonal-backpropagated", schedule, backend, held_out=True)
        for backend in ("jax", "autograd")
    )
    assert len(found.history.records) == len(expected.history.records)
    for column in ("step", "validation_loss", "accuracy"):
        a, b = found.history.column(column), expected.history.column(column)
        assert numpy.array_equal(numpy.isnan(a), numpy.isnan(b))
        assert numpy.nanmax(numpy.abs(a - b)) < 1e-6
    assert numpy.abs(found.theta.flat - expected.theta.flat).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "metric", "damping", "reason"),
    [
        ("sparse", "natural", TIKHONOV, "all parameters at once"),
        ("sparse", "backpropagated", mn.LeastNorm(), "LeastNorm of full blocks"),
        ("sparse", "backpropagated", mn.PseudoInverse(), "PseudoInverse"),
        ("curved", "backpropagated", mn.Intrinsic(0.1), "affine units of one dimension alone"),
        ("pairs", "quasi-diagonal-monte-carlo-natural", TIKHONOV, "several interpretations"),
    ],
)
def test_what_is_not_compiled_says_so_and_runs_all_the_same(
    name: str, metric: str, damping: Damping, reason: str
) -> None:
    schedule = mn.FullBatch(steps=3, rate=0.1, damping=damping)
    x, y = data(name, 20)
    net = KINDS[name]()
    how = compiled_descent(mn.compile(net, backend="jax"), metric_named(metric), schedule, Dataset(x, y))
    assert isinstance(how, str) and reason in how
    found, expected = (trained(net, name, metric, schedule, backend) for backend in ("jax", "autograd"))
    assert numpy.abs(found.history.column("loss") - expected.history.column("loss")).max() < 1e-6


def test_a_singular_metric_is_named_as_by_the_reference() -> None:
    net = sparse()
    x, y = data("sparse", 20)
    x[:, 3] = x[:, 2]
    x[:, :] = x[:, :1]
    program, schedule = mn.compile(net, backend="jax"), mn.FullBatch(steps=5)
    with pytest.raises(SingularMetricError, match="the backpropagated metric, unit"):
        train(
            program,
            program.initialize(numpy.random.default_rng(1)),
            Dataset(x, y),
            mn.Backpropagated(),
            schedule,
            numpy.random.default_rng(0),
        )


class _Enough(Exception):
    pass


def test_an_observer_ends_training_at_any_step() -> None:
    """Steps are told one by one, each with the parameters after it, though they ran together."""
    seen: dict[str, list] = {"jax": [], "autograd": []}
    for backend, told in seen.items():

        def observe(record: Record, theta: mn.Parameters, told: list = told) -> None:
            told.append((record.step, record.loss, theta.flat))
            if record.step == 7:
                raise _Enough

        program = mn.compile(sparse(), backend=backend)
        x, y = data("sparse", 20)
        schedule = mn.FullBatch(steps=50, rate=2.0, damping=TIKHONOV)
        with pytest.raises(_Enough):
            train(
                program,
                mn.compile(sparse()).initialize(numpy.random.default_rng(1)),
                Dataset(x, y),
                mn.Backpropagated(),
                schedule,
                numpy.random.default_rng(0),
                observe,
            )
    assert len(seen["jax"]) == 7
    for found, expected in zip(seen["jax"], seen["autograd"], strict=True):
        assert found[0] == expected[0] and abs(found[1] - expected[1]) < EXACT
        assert numpy.abs(found[2] - expected[2]).max() < 1e2 * EXACT


def test_steps_that_were_computed_together_took_equal_parts() -> None:
    found = trained(sparse(), "sparse", "euclidean", mn.FullBatch(steps=150, rate=0.1), "jax")
    parts = numpy.diff([0.0, *found.history.column("seconds")])
    for run in (parts[:100], parts[100:]):
        assert numpy.allclose(run, run[0], rtol=1e-6) and run[0] > 0.0


@pytest.mark.parametrize("metric", ["euclidean", "unitwise-monte-carlo-natural"])
def test_every_state_holds_the_generator_that_the_reference_has_there(metric: str) -> None:
    """One set of draws a step, those of cancelled steps too, and none where nothing is drawn."""
    (x, y), told = data("sparse", 20), []
    for backend in ("jax", "autograd"):
        program = mn.compile(sparse(), backend=backend)
        schedule = mn.FullBatch(steps=12, rate=4.0, damping=TIKHONOV)
        trainer = trainer_for(program, Dataset(x, y), metric_named(metric), schedule)
        start = trainer.start(program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
        told.append([state.rng for state, _ in trainer.steps_from(start)])
    assert told[0] == told[1]


def test_units_that_would_leave_their_manifold_cancel_the_step() -> None:
    net = mn.Network("leaving")
    x = net.input("x", size=1)
    outward = mn.Map(lambda w, a: 0.5 + 0.1 * w * a[..., 0, :], parameters=mn.Real(1), activity=mn.Interval(0, 1))
    net.interpret(mn.Bernoulli(), parents=[net.layer("t", size=1, map=outward, parents=[x])])
    values, targets = numpy.array([[-1.0], [1.0]]), numpy.array([[0.0], [1.0]])
    schedule = mn.FullBatch(steps=8, rate=100.0)
    records = []
    for backend in ("jax", "autograd"):
        program = mn.compile(net, backend=backend)
        found = train(
            program,
            program.parameters(numpy.array([1.0])),
            Dataset(values, targets),
            mn.Euclidean(),
            schedule,
            numpy.random.default_rng(0),
        )
        records.append(found.history)
    assert not records[0].column("accepted").all()
    for column in ("loss", "rate", "accepted"):
        assert numpy.abs(records[0].column(column) - records[1].column(column)).max() < EXACT


def test_rates_and_lengths_compile_nothing() -> None:
    sizes = []
    for steps, rate, growth in ((3, 0.1, 1.1), (150, 0.2, 1.3)):
        trained(sparse(), "sparse", "euclidean", mn.FullBatch(steps=steps, rate=rate, growth=growth), "jax")
        sizes.append(descent._run.jitted._cache_size())
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("metric", ["quasi-diagonal-backpropagated", "unitwise-monte-carlo-natural"])
def test_a_state_is_continued_to_the_bit(metric: str) -> None:
    """Steps told one by one leave nothing behind that another trainer would need, the generator included."""
    program, (x, y) = mn.compile(sparse(), backend="jax"), data("sparse", 20)
    schedule = mn.FullBatch(steps=30, rate=4.0, damping=TIKHONOV)
    theta = mn.compile(sparse()).initialize(numpy.random.default_rng(1))

    def trainer() -> Trainer:
        return trainer_for(program, Dataset(x, y), metric_named(metric), schedule)

    first = trainer()
    states = [first.start(theta, numpy.random.default_rng(2))]
    states += [state for state, _ in first.steps_from(states[0])]
    *_, (last, _) = trainer().steps_from(states[13])
    assert isinstance(first, CompiledTrainer)
    assert len(states) == 31 and last.ended == "finished"
    assert numpy.array_equal(last.theta.flat, states[-1].theta.flat)
    assert (last.rate, last.rng) == (states[-1].rate, states[-1].rng)


def test_steps_to_where_nothing_is_finite_say_so_and_end_as_those_of_the_reference() -> None:
    net = mn.Network("far")
    y = net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])
    net.interpret(mn.SquareLoss(), parents=[y])
    values, targets = numpy.array([[0.0], [1.0]]), numpy.array([1.0, 3.0])
    records = []
    for backend in ("jax", "autograd"):
        program = mn.compile(net, backend=backend)
        with numpy.errstate(over="ignore"):
            found = train(
                program,
                program.parameters(numpy.zeros(2)),
                Dataset(values, targets),
                mn.Euclidean(),
                mn.FullBatch(steps=40, rate=1e160, cut=1e-10),
                numpy.random.default_rng(0),
            )
        records.append(found.history)
    # steps of the reference among those that were computed together
    assert (numpy.diff(records[0].column("seconds")) > 0.0).all()
    told = [[record.trouble is not None for record in history.records] for history in records]
    assert told[0] == told[1] and any(told[0])
    for column in ("loss", "rate", "accepted"):
        assert numpy.allclose(records[0].column(column), records[1].column(column), rtol=EXACT)
