"""What compiled steps on minibatches leave to the reference, and go on after."""

from collections.abc import Iterator
from typing import Any

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DataError
from manifoldnet.learning.compiled import damping_recipe
from manifoldnet.learning.compiled_minibatches import RULES, CompiledMinibatchTrainer
from manifoldnet.learning.minibatches import average_arrays
from manifoldnet.learning.past import Past
from manifoldnet.learning.train import trainer_for
from manifoldnet.learning.trainer import Trainer
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import metric_named
from tests.jax.minibatch_runs import FLOORED, QUASI, STEPS, begun, by_reference, close, ran, trainers
from tests.learning.nets import NETWORKS, dataset

pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

pytest.importorskip("jax")


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
