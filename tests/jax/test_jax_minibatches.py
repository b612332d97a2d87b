"""Compiled steps on minibatches are those of the reference."""

from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.run import Run
from manifoldnet.learning.compiled_minibatches import CompiledMinibatchTrainer, compiled_minibatches
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.minibatches import MinibatchTrainer
from manifoldnet.learning.train import trainer_for
from manifoldnet.metrics.names import metric_named
from tests.jax.kinds import KINDS, data
from tests.jax.minibatch_runs import FLOORED, QUASI, STEPS, begun, close, ran, trainers
from tests.learning.nets import NETWORKS, dataset

pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

pytest.importorskip("jax")


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
