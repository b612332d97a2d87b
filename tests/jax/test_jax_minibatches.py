"""Compiled steps on minibatches are those of the reference."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError
from manifoldnet.learning.compiled import damping_recipe
from manifoldnet.learning.compiled_minibatches import RULES, CompiledMinibatchTrainer, compiled_minibatches
from manifoldnet.learning.history import Record
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.minibatches import MinibatchTrainer, average_arrays
from manifoldnet.learning.past import Past
from manifoldnet.learning.state import State
from manifoldnet.learning.train import trainer_for
from manifoldnet.learning.trainer import Trainer
from manifoldnet.linalg.damping import damping_from_text
from manifoldnet.metrics.names import metric_named
from tests.jax.kinds import KINDS, data
from tests.learning.nets import NETWORKS, dataset

pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

pytest.importorskip("jax")

# Whole batches in momentum multiply what rounding has left by up to two a step, so two dozen are compared.
STEPS, EXACT = 24, 1e-9
QUASI = "quasi-diagonal-backpropagated"
FLOORED = "floor:0.1+least-norm"


def trainers(network: str, metric: str, damping: str, backend: str = "jax", **changes: Any) -> Trainer:
    schedule = mn.Minibatches(**{"batch": 20, "steps": STEPS, "damping": damping_from_text(damping), **changes})
    program = mn.compile(NETWORKS[network](), backend=backend)
    return trainer_for(program, dataset(network), metric_named(metric), schedule)


def begun(trainer: Trainer) -> State:
    theta = trainer.program.initialize(numpy.random.default_rng(0))
    return trainer.start(theta, numpy.random.default_rng(2))


def ran(trainer: Trainer, state: State | None = None) -> tuple[list[State], list[Record]]:
    steps = list(trainer.steps_from(begun(trainer) if state is None else state))
    return [state for state, _ in steps], [record for _, record in steps if record is not None]


def close(found: Any, expected: Any) -> bool:
    size = numpy.abs(expected).max(initial=0.0)
    return bool(numpy.allclose(found, expected, rtol=EXACT, atol=EXACT * size))


# 48 samples in batches of 20: the last one of every epoch is shorter; the whole in one; scores in between.
CASES = [
    (QUASI, FLOORED, "ragged", {}),
    (QUASI, FLOORED, "ragged", {"momentum": True, "refresh": 3, "validate_every": 7}),
    (QUASI, "tikhonov:0.001", "ragged", {"momentum": True, "renewal": 0.3, "decay": None}),
    (QUASI, "intrinsic:0.03+tikhonov:0.001", "ragged", {"rate": lambda step: 0.5 / step}),
    ("quasi-diagonal-outer-product", "intrinsic:0.1", "ragged", {"batch": 48}),
    ("unitwise-natural", "intrinsic:0.03+floor:0.03", "ragged", {"momentum": True, "refresh": 2}),
    ("backpropagated", "tikhonov:0.01", "ragged", {"batch": 100, "momentum": True}),
    ("backpropagated", "intrinsic:0.1", "ragged", {"renewal": 0.5, "radius": 0.1}),
    ("backpropagated", "tikhonov:0.01", "several", {"momentum": True, "refresh": 2}),
    ("unitwise-outer-product", "tikhonov:0.01", "curved", {"refresh": 2}),
    ("diagonal-gauss-newton", "tikhonov:1e-4", "ragged", {"momentum": True, "decay": 10.0}),
    ("adagrad", "tikhonov:1e-4", "several", {}),
    ("euclidean", "none", "ragged", {"momentum": True}),
]


@pytest.mark.parametrize(("metric", "damping", "network", "changes"), CASES)
def test_the_steps_are_those_of_the_reference(metric: str, damping: str, network: str, changes: dict) -> None:
    ours, theirs = (trainers(network, metric, damping, backend, **changes) for backend in ("jax", "autograd"))
    assert isinstance(ours, CompiledMinibatchTrainer) and isinstance(theirs, MinibatchTrainer)
    (states, records), (expected, history) = ran(ours), ran(theirs)
    assert len(records) == len(history) == STEPS
    for column in ("step", "loss", "rate", "accepted", "validation_loss", "accuracy"):
        own, other = ([getattr(record, column) for record in each] for each in (records, history))
        assert [value is None for value in own] == [value is None for value in other]
        assert close(*(numpy.array([float(v) for v in each if v is not None]) for each in (own, other))), column
    assert close(states[-1].theta.flat, expected[-1].theta.flat)
    assert numpy.abs(states[-1].theta.flat - begun(theirs).theta.flat).max() > 0.1
    for a, b in zip(states, expected, strict=True):
        assert (a.step, a.rate, a.cuts, a.rng, a.position) == (b.step, b.rate, b.cuts, b.rng, b.position)
    # what a checkpoint holds of the metric
    mine, other = ours.estimate_arrays(states[-1].estimate), theirs.estimate_arrays(expected[-1].estimate)
    assert set(mine) == set(other)
    assert all(close(mine[name], other[name]) for name in other)


@pytest.mark.parametrize("metric", [QUASI, "backpropagated", "diagonal-gauss-newton"])
def test_it_can_be_stopped_anywhere_and_kept(metric: str, tmp_path: Path) -> None:
    """From a checkpoint another trainer goes on to the same end, to the bit, and the reference to the same to rounding."""
    kept = ("ragged", metric, "tikhonov:0.001")
    changes = {"momentum": True, "refresh": 3, "steps": 90}
    first = trainers(*kept, **changes)
    states, _ = ran(first)
    for stop in (1, 2, 33, 64, 65):
        save_checkpoint(tmp_path, "run", first, states[stop - 1], 0)
        again = trainers(*kept, **changes)
        read = load_checkpoint(tmp_path / f"{stop:012d}.json", "run", again).state
        last = ran(again, read)[0][-1]
        assert last.step == 90 and last.theta.flat.tobytes() == states[-1].theta.flat.tobytes()
        assert (last.rng, last.position, last.rate) == (states[-1].rng, states[-1].position, states[-1].rate)
        for name, values in again.estimate_arrays(last.estimate).items():
            assert values.tobytes() == first.estimate_arrays(states[-1].estimate)[name].tobytes(), name
    reference = trainers(*kept, "autograd", **changes)
    read = load_checkpoint(tmp_path / f"{65:012d}.json", "run", reference).state
    assert close(ran(reference, read)[0][-1].theta.flat, states[-1].theta.flat)


def test_a_state_with_other_parameters_goes_on_from_them() -> None:
    """What a run has computed ahead is not told of a state that somebody changed."""
    ours, theirs = (
        trainers("ragged", QUASI, "tikhonov:0.001", backend, momentum=True) for backend in ("jax", "autograd")
    )
    ends = []
    for trainer in (ours, theirs):
        states, _ = ran(trainer)
        moved = states[5].theta.replace(1.1 * states[5].theta.flat)
        ends.append(ran(trainer, attrs.evolve(states[5], theta=moved, trusted=moved))[0][-1])
    assert close(ends[0].theta.flat, ends[1].theta.flat)
    assert not close(ends[0].theta.flat, states[-1].theta.flat)


def test_steps_that_were_computed_together_took_equal_parts() -> None:
    _, records = ran(trainers("ragged", QUASI, "tikhonov:0.001"))
    parts = numpy.diff([0.0, *(record.seconds for record in records)])
    assert numpy.allclose(parts, parts[0], rtol=1e-6) and parts[0] > 0.0


@pytest.mark.parametrize("kind", ["sparse", "charted", "pairs"])
def test_other_kinds_of_stages_are_stepped_alike(kind: str) -> None:
    """Short rows, charts of parameters, units of several numbers, several interpretations; and their checkpoints."""
    net, (x, y) = KINDS[kind](), data(kind, 30)
    schedule, ends = mn.Minibatches(batch=12, steps=12, refresh=2, damping=mn.Tikhonov(0.1)), []
    for backend in ("jax", "autograd"):
        program = mn.compile(net, backend=backend)
        trainer = trainer_for(program, mn.Dataset(x, y), mn.Backpropagated(), schedule)
        assert isinstance(trainer, CompiledMinibatchTrainer) == (backend == "jax")
        states, _ = ran(trainer)
        arrays = {name: numpy.array(part) for name, part in trainer.estimate_arrays(states[6].estimate).items()}
        last = ran(trainer, attrs.evolve(states[6], estimate=trainer.estimate_from(arrays)))[0][-1]
        assert last.theta.flat.tobytes() == states[-1].theta.flat.tobytes()
        ends.append(last)
    assert close(ends[0].theta.flat, ends[1].theta.flat)


def test_it_goes_on_from_a_checkpoint_of_the_reference() -> None:
    for metric, damping in ((QUASI, FLOORED), ("backpropagated", "intrinsic:0.03+floor:0.03")):
        theirs = trainers("ragged", metric, damping, "autograd", momentum=True)
        states, _ = ran(theirs)
        ours = trainers("ragged", metric, damping, momentum=True)
        arrays = {name: numpy.array(part) for name, part in theirs.estimate_arrays(states[9].estimate).items()}
        last = ran(ours, attrs.evolve(states[9], estimate=ours.estimate_from(arrays)))[0][-1]
        assert close(last.theta.flat, states[-1].theta.flat)


def by_reference(trainer: Trainer) -> list[int]:
    """The steps that a compiled trainer leaves to the reference, as they come."""
    found: list[int] = []
    assert isinstance(trainer, CompiledMinibatchTrainer)
    own = trainer._by_reference

    def told(state: State, *rest: Any) -> Any:
        found.append(state.step + 1)
        return own(state, *rest)

    trainer._by_reference = told  # type: ignore[method-assign]
    return found


def far(backend: str) -> Trainer:
    """A line whose third batch leads where its square is infinite."""
    net = mn.Network("far")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])])
    x = numpy.linspace(-1.0, 1.0, 8)[:, None]

    def batches() -> Iterator[Any]:
        for number in range(12):
            yield x, 3.0 * x[:, 0] + (1e200 if number == 2 else 0.0)

    schedule = mn.Minibatches(batch=8, steps=12, momentum=True)
    return trainer_for(mn.compile(net, backend=backend), mn.Stream(batches), mn.Euclidean(), schedule)


def test_a_step_that_is_not_finite_is_cancelled_and_told() -> None:
    ours, theirs = far("jax"), far("autograd")
    left = by_reference(ours)
    (states, records), (expected, history) = ran(ours), ran(theirs)
    assert left == [3]
    assert [r.accepted for r in records] == [r.accepted for r in history] == [n != 3 for n in range(1, 13)]
    assert [r.trouble for r in records] == [r.trouble for r in history] and records[2].trouble
    assert [(s.rate, s.cuts) for s in states] == [(s.rate, s.cuts) for s in expected]
    assert close(states[-1].theta.flat, expected[-1].theta.flat)


def test_a_step_that_stands_still_is_left_to_the_reference() -> None:
    """Here one that is cut at all counts as such: compiled steps go on after it, and end where the reference ends."""
    changes = {"momentum": True, "rate": 1.0, "radius": 5.0, "refresh": 2}
    theirs = trainers("ragged", QUASI, FLOORED, "autograd", **changes)
    schedule = mn.Minibatches(batch=20, steps=STEPS, damping=damping_from_text(FLOORED), **changes)
    program, metric = mn.compile(NETWORKS["ragged"](), backend="jax"), metric_named(QUASI)
    damping, rules = damping_recipe(schedule.damping), attrs.evolve(RULES, standstill=0.9)
    assert program.engine is not None and not isinstance(damping, str)
    runs = program.engine.minibatches(metric.recipe, damping, rules, True, 64)
    ours = CompiledMinibatchTrainer(program, dataset("ragged"), metric, schedule, runs)
    left = by_reference(ours)
    (states, _), (expected, _) = ran(ours), ran(theirs)
    assert 0 < len(left) < STEPS // 2
    for mine, other in zip(states, expected, strict=True):
        assert close(mine.theta.flat, other.theta.flat) and mine.rate == other.rate
    mine, other = ours.estimate_arrays(states[-1].estimate), theirs.estimate_arrays(expected[-1].estimate)
    assert all(close(mine[name], other[name]) for name in other)


def test_shares_of_steps_are_taken_and_grow() -> None:
    ours, theirs = (
        trainers("ragged", QUASI, "tikhonov:0.001", backend, momentum=True) for backend in ("jax", "autograd")
    )
    states, _ = ran(theirs)
    size = theirs.program.tangent_layout.size
    shares = numpy.where(numpy.arange(size) % 3 == 0, 0.3, 1.0)
    average = attrs.evolve(states[9].estimate, past=Past(None, shares))
    left = by_reference(ours)
    runs = [ran(trainer, attrs.evolve(states[9], estimate=average)) for trainer in (ours, theirs)]
    assert left == []
    for mine, other in zip(runs[0][0], runs[1][0], strict=True):
        assert close(mine.theta.flat, other.theta.flat)
        own = ours.estimate_arrays(mine.estimate)
        assert set(own) == set(average_arrays(other.estimate))
    assert "shares" in ours.estimate_arrays(runs[0][0][5].estimate)
    # 0.3 times 1.1 to the power of 13 is more than 1
    assert "shares" not in ours.estimate_arrays(runs[0][0][-1].estimate)


def test_where_no_part_helps_the_reference_decides() -> None:
    """A batch whose gradient is zero moves nothing: no compiled step, and no end of them either."""
    net = mn.Network("fitted")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])])
    x = numpy.array([[0.0], [1.0], [2.0], [3.0]])
    program = mn.compile(net, backend="jax")
    schedule = mn.Minibatches(batch=4, steps=3)
    trainer = trainer_for(program, mn.Dataset(x, 1.0 + 2.0 * x[:, 0]), mn.Euclidean(), schedule)
    left = by_reference(trainer)
    exact = program.parameters(numpy.array([1.0, 2.0]))
    states, records = ran(trainer, trainer.start(exact, numpy.random.default_rng(0)))
    assert left == [1, 2, 3] and [record.rate for record in records] == [0.0] * 3
    assert numpy.array_equal(states[-1].theta.flat, exact.flat)


def test_batches_may_come_as_they_come() -> None:
    """From a stream that ends, in batches of their own sizes; a bad one costs none of the steps before it."""
    whole, ends = dataset("ragged"), []

    def batches() -> Iterator[Any]:
        for start, stop in ((0, 20), (20, 27), (27, 48)):
            yield whole.inputs[start:stop], whole.targets[start:stop]

    for backend in ("jax", "autograd"):
        program = mn.compile(NETWORKS["ragged"](), backend=backend)
        trainer = trainer_for(
            program, mn.Stream(batches()), mn.Backpropagated(), mn.Minibatches(batch=20, damping=mn.Tikhonov(0.01))
        )
        ends.append(ran(trainer)[0][-1])
    assert ends[0].ended == ends[1].ended == "exhausted" and ends[0].step == ends[1].step == 4
    assert close(ends[0].theta.flat, ends[1].theta.flat)

    def bad() -> Iterator[Any]:
        yield from batches()
        yield numpy.full((5, 3), numpy.nan), whole.targets[:5]

    program = mn.compile(NETWORKS["ragged"](), backend="jax")
    trainer = trainer_for(program, mn.Stream(bad), mn.Backpropagated(), mn.Minibatches(damping=mn.Tikhonov(0.01)))
    state = begun(trainer)
    with pytest.raises(DataError, match="nan"):
        while True:
            state, _ = trainer.step(state)
    assert state.step == 2


def test_momentum_is_the_best_of_two_directions() -> None:
    """A compiled step from a known last one lies where the model of the natural metric, as a matrix, is least."""
    trainer = trainers(
        "ragged", "euclidean", "none", momentum=True, batch=48, rate=1.0, radius=1e9, decay=None, steps=2
    )
    states, _ = ran(trainer)
    program, whole = trainer.program, dataset("ragged")
    run = Run(program, states[0].theta, *program.prepare(whole.inputs, whole.targets), None)
    slope, last = run.differential().flat, -(states[0].theta.flat - begun(trainer).theta.flat)
    natural = run.metric(mn.Natural()).as_matrix()
    both = numpy.column_stack([slope, last])
    best = both @ numpy.linalg.solve(both.T @ natural @ both, both.T @ slope)
    # the batch's own loss may have cut the step by halves
    cut = numpy.log2(numpy.abs(best).max() / numpy.abs(states[1].theta.flat - states[0].theta.flat).max())
    assert abs(cut - round(cut)) < 1e-6
    assert close(states[1].theta.flat, states[0].theta.flat - 0.5 ** round(cut) * best)


def test_what_is_not_compiled_says_why() -> None:
    program, schedule = mn.compile(NETWORKS["ragged"](), backend="jax"), mn.Minibatches(damping=mn.Tikhonov(0.1))
    assert "drawn targets" in compiled_minibatches(program, mn.UnitwiseMonteCarloNatural(samples=1), schedule)
    assert "all parameters" in compiled_minibatches(program, mn.Natural(), schedule)
    cut = mn.Minibatches(damping=mn.PseudoInverse())
    assert "PseudoInverse" in compiled_minibatches(program, mn.Backpropagated(), cut)
    several = mn.compile(NETWORKS["several"](), backend="jax")
    assert "affine units" in compiled_minibatches(several, metric_named(QUASI), schedule)
    reference = mn.compile(NETWORKS["ragged"]())
    assert "compiles no steps" in compiled_minibatches(reference, mn.Backpropagated(), schedule)
