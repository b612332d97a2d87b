"""A state says all: training that goes through a file is the same to the bit as training that does not."""

from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DataError
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.generator import KINDS, restored, snapshot
from manifoldnet.learning.history import Record
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.train import Schedule, train
from manifoldnet.learning.trainer import Trainer
from manifoldnet.metrics.names import METRICS, metric_named
from tests.learning.following import followed
from tests.learning.nets import NETWORKS, dataset

SCHEDULES: dict[str, Schedule] = {
    "full batch": mn.FullBatch(steps=14, patience=3, rate=1.0),
    "minibatches": mn.Minibatches(steps=14, batch=20, validate_every=3, patience=50),
    "minibatches, metric kept": mn.Minibatches(steps=14, batch=20, refresh=3, validate_every=3),
    "online": mn.Online(steps=40, record_every=7, validate_every=15, refresh=10),
}


def trainer_of(network: str, metric: str, schedule: str) -> Trainer:
    rule, how = metric_named(metric), SCHEDULES[schedule]
    how = attrs.evolve(how, damping=default_damping(rule))
    return mn.trainer_for(mn.compile(NETWORKS[network](seed=1)), dataset(network), rule, how)


def same(a: list[Record], b: list[Record]) -> bool:
    return [repr(record) for record in a] == [repr(record) for record in b]


EVERYTHING = [(m, n, s) for m in sorted(METRICS) for n in NETWORKS for s in SCHEDULES]
QUICK = {("ragged", "online"), ("several", "minibatches, metric kept")}
SEVERAL = {
    ("natural", "full batch"),
    ("quasi-diagonal-monte-carlo-natural", "full batch"),
    ("backpropagated", "online"),
}


def cases() -> list:
    """Every metric somewhere, every network with some; the rest with `-m slow`."""
    return [
        pytest.param(m, n, s, marks=[] if (n, s) in QUICK or (m, s) in SEVERAL else [pytest.mark.slow])
        for m, n, s in EVERYTHING
    ]


@pytest.mark.parametrize(("metric", "network", "schedule"), cases())
def test_a_run_through_files_is_the_same_to_the_bit(metric: str, network: str, schedule: str, tmp_path: Path) -> None:
    """Stopped at a drawn step, and at the one after it, written, read by a new trainer, and continued."""
    trainer = trainer_of(network, metric, schedule)
    rng = numpy.random.default_rng([len(metric), len(network)])
    theta = trainer.program.initialize(rng)
    start = trainer.start(theta, rng)
    whole, records = followed(trainer, start)
    cut = int(numpy.random.default_rng([len(metric), len(schedule)]).integers(1, max(2, whole.step - 1)))
    state, seen = start, []
    for steps in (cut, 1):
        trainer = trainer_of(network, metric, schedule)
        state, more = followed(trainer, state, steps)
        seen += more
        save_checkpoint(tmp_path, "run", trainer, state, 0)
        other = trainer_of(network, metric, schedule)
        state = load_checkpoint(tmp_path / f"{state.step:012d}.json", "run", other).state
    end, rest = followed(other, state)
    assert end.theta.flat.tobytes() == whole.theta.flat.tobytes()
    assert end.rng == whole.rng and end.ended == whole.ended and end.position == whole.position
    assert same(seen + rest, records) and len(records) > 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_generators_are_kept_whole(kind: str) -> None:
    rng = numpy.random.Generator(KINDS[kind](5))
    # an odd number of halves: some generators keep the other half for later
    rng.integers(2**32, size=3, dtype=numpy.uint32)
    again = restored(snapshot(rng))
    assert rng.random(5).tolist() == again.random(5).tolist()
    assert rng.standard_normal(3).tolist() == again.standard_normal(3).tolist()


def test_what_is_no_generator_is_refused() -> None:
    for bad in ({}, {"bit_generator": "os.system"}, {"bit_generator": "PCG64", "state": 3}, {"bit_generator": 1}):
        with pytest.raises(DataError, match="not the state of a random generator"):
            restored(bad)


def test_the_generator_given_is_left_where_training_took_it() -> None:
    program, data = mn.compile(NETWORKS["ragged"]()), dataset("ragged")
    rng = numpy.random.default_rng(3)
    theta = program.initialize(rng)
    train(program, theta, data, mn.Backpropagated(), mn.Minibatches(steps=3, batch=16, damping=mn.Intrinsic(0.1)), rng)
    again = numpy.random.default_rng(3)
    program.initialize(again)
    again.permutation(data.samples)
    assert rng.random() == again.random()


def test_an_ended_state_stays_as_it_is() -> None:
    trainer = trainer_of("ragged", "euclidean", "full batch")
    rng = numpy.random.default_rng(0)
    end, _ = followed(trainer, trainer.start(trainer.program.initialize(rng), rng))
    assert trainer.step(end) == (end, None)


def test_a_metric_kept_for_some_steps_is_evaluated_at_every_third() -> None:
    """With refresh=3 the average of step 5 is that of steps 1 and 4."""
    program, data = mn.compile(NETWORKS["ragged"]()), dataset("ragged", samples=16)
    schedule = mn.Minibatches(steps=5, batch=16, refresh=3, damping=mn.Intrinsic(0.1))
    trainer = mn.trainer_for(program, mn.Dataset(data.inputs, data.targets), mn.Backpropagated(), schedule)
    rng = numpy.random.default_rng(0)
    state, seen = trainer.start(program.initialize(rng), rng), []
    for _ in range(5):
        seen.append(program.metric(mn.Backpropagated(), state.theta, data.inputs).as_matrix())
        state, _ = trainer.step(state)
    numpy.testing.assert_allclose(state.estimate.tensor.as_matrix(), 0.5 * (seen[0] + seen[3]), rtol=1e-12)
