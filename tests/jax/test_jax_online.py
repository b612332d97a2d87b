"""Compiled online descent takes the steps of the reference."""

from collections.abc import Iterator
from typing import Any

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DataError
from manifoldnet.learning.compiled_online import CompiledOnlineTrainer, compiled_online
from manifoldnet.learning.train import train, trainer_for
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import metric_named
from tests.learning.nets import NETWORKS, dataset

pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

pytest.importorskip("jax")

KINDS = [
    ("backpropagated", "intrinsic:0.03+floor:0.03"),
    ("unitwise-natural", "none"),
    ("unitwise-outer-product", "tikhonov:0.01"),
    ("natural", "intrinsic:0.03"),
    ("outer-product", "tikhonov:0.01"),
    ("quasi-diagonal-backpropagated", "floor:0.1+least-norm"),
    ("quasi-diagonal-natural", "tikhonov:0.001"),
    ("quasi-diagonal-outer-product", "intrinsic:0.03"),
]


# A network of output parameters, and one of curved units of several dimensions: neither is reduced in compiled steps.
CASES = [(*kind, "ragged") for kind in KINDS] + [(*kind, net) for kind in KINDS[:5] for net in ("several", "curved")]


@pytest.mark.parametrize(("metric", "damping", "network"), CASES)
def test_the_trajectory_is_that_of_the_reference(metric: str, damping: str, network: str) -> None:
    ends, net = [], NETWORKS[network]()
    schedule = mn.Online(steps=250, rate=0.05, record_every=10, damping=damping_from_text(damping))
    for backend in ("jax", "autograd"):
        program = mn.compile(net, backend=backend)
        theta = program.initialize(numpy.random.default_rng(0))
        trainer = trainer_for(program, dataset(network), metric_named(metric), schedule)
        assert isinstance(trainer, CompiledOnlineTrainer) == (backend == "jax"), compiled_online(
            program, metric_named(metric), schedule
        )
        ends.append(
            train(program, theta, dataset(network), metric_named(metric), schedule, numpy.random.default_rng(2))
        )
    assert numpy.abs(ends[1].theta.flat - theta.flat).max() > 1e-2
    numpy.testing.assert_allclose(ends[0].theta.flat, ends[1].theta.flat, rtol=1e-7, atol=1e-9)
    for column in ("step", "loss", "rate"):
        ours, theirs = (end.history.column(column) for end in ends)
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-7)


@pytest.mark.parametrize("metric", ["backpropagated", "quasi-diagonal-backpropagated"])
def test_it_can_be_stopped_anywhere_and_kept(metric: str) -> None:
    """From arrays of the average, as a checkpoint holds them, another trainer goes on to the same end, to the bit."""
    program = mn.compile(NETWORKS["ragged"](), backend="jax")
    theta, schedule = program.initialize(numpy.random.default_rng(0)), mn.Online(steps=90, damping=mn.Intrinsic(0.03))

    def trainer() -> Any:
        return trainer_for(program, dataset("ragged"), metric_named(metric), schedule)

    first = trainer()
    states = [state for state, _ in first.steps_from(first.start(theta, numpy.random.default_rng(2)))]
    for stop in (1, 33, 34, 70):
        again, state = trainer(), states[stop - 1]
        arrays = {name: numpy.array(part) for name, part in first.estimate_arrays(state.estimate).items()}
        kept = attrs.evolve(state, estimate=again.estimate_from(arrays))
        *_, (last, _) = again.steps_from(kept)
        assert last.step == 90 and last.theta.flat.tobytes() == states[-1].theta.flat.tobytes()


def test_a_bad_sample_costs_none_of_the_steps_before_it() -> None:
    program, data = mn.compile(NETWORKS["ragged"](), backend="jax"), dataset("ragged")

    def batches() -> Iterator[Any]:
        yield data.inputs[:40], data.targets[:40]
        yield numpy.full((5, 3), numpy.nan), data.targets[:5]

    schedule = mn.Online(steps=1000, n_init=20, damping=mn.Intrinsic(0.03))
    trainer = trainer_for(program, mn.Stream(batches), mn.Backpropagated(), schedule)
    state = trainer.start(program.initialize(numpy.random.default_rng(0)), numpy.random.default_rng(0))
    with pytest.raises(DataError, match="nan"):
        while True:
            state, _ = trainer.step(state)
    assert state.step >= 19


def test_what_is_not_compiled_says_why() -> None:
    program = mn.compile(NETWORKS["ragged"](), backend="jax")
    schedule = mn.Online(steps=10, damping=mn.Tikhonov(0.1), refresh=1)
    assert "anew at every step" in compiled_online(program, mn.Backpropagated(), schedule)
    assert "draws" in compiled_online(program, mn.MonteCarloNatural(samples=1), mn.Online(steps=10))
    assert "NumPy" in compiled_online(program, mn.Euclidean(), mn.Online(steps=10))
    assert "compiles no steps" in compiled_online(mn.compile(NETWORKS["ragged"]()), mn.Natural(), mn.Online(steps=10))
