"""Training that ended worse than it began says so: by a warning, in the history, in the command's last lines and its JSON."""

import json
from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import WorsenedWarning
from manifoldnet.learning.keeping.loop import Kept
from manifoldnet.learning.train import train
from manifoldnet.learning.worsened import SAMPLES, Yardstick, spread
from tests.cli.command import run, run_json, write_spec

# Steps of a fixed length along the slope of one sample at a time, from where all samples together are at their best.
WANDERING = mn.Online(steps=40, n_init=20, rate=lambda step: 0.5, radius=1.0, decay=None, record_every=1)


def line() -> mn.Network:
    net = mn.Network("line")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])])
    return net


def noisy(samples: int = 60) -> mn.Dataset:
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((samples, 1))
    return mn.Dataset(x, x[:, 0] + rng.standard_normal(samples))


def best(program: mn.Program, data: mn.Dataset) -> mn.Parameters:
    """Least squares."""
    ones = numpy.column_stack([numpy.ones(len(data.inputs)), data.inputs])
    return program.parameters(numpy.linalg.lstsq(ones, data.targets, rcond=None)[0])


def test_a_warning_tells_by_how_much_and_carries_the_result() -> None:
    program, data = mn.compile(line()), noisy()
    theta = best(program, data)
    with pytest.warns(WorsenedWarning, match="on 60 training samples.*What may help: a smaller rate=") as caught:
        trained = train(program, theta, data, mn.Euclidean(), WANDERING, numpy.random.default_rng(0))
    told = trained.worsened
    assert told is not None and caught[0].message.trained is trained  # type: ignore[union-attr]
    assert trained.history.last.remark == str(told)
    losses = [float(program.loss(at, data.inputs, data.targets)) for at in (theta, trained.theta)]
    assert losses[1] > losses[0]
    numpy.testing.assert_allclose([told.began, told.ended], losses, rtol=1e-12)


def test_nothing_is_said_where_training_helped_or_did_nothing() -> None:
    program, data = mn.compile(line()), noisy()
    for theta, schedule in (
        (program.parameters([9.0, 9.0]), attrs.evolve(WANDERING, rate=0.1)),
        (best(program, data), mn.Minibatches(steps=3, batch=60)),
        (best(program, data), mn.FullBatch(steps=3)),
    ):
        trained = train(program, theta, data, mn.Euclidean(), schedule, numpy.random.default_rng(0))
        assert trained.worsened is None and trained.history.last.remark is None


@pytest.mark.parametrize("from_file", [True, False])
@pytest.mark.parametrize("samples", [1, 600, SAMPLES, SAMPLES + 1, 20_000])
def test_the_same_samples_are_looked_at_from_end_to_end(samples: int, from_file: bool, tmp_path: Path) -> None:
    data = noisy(samples)
    if from_file:
        numpy.savez(tmp_path / "data.npz", inputs=data.inputs, targets=data.targets)
        data = mn.read_npz(tmp_path / "data.npz")
    rows = numpy.concatenate(list(spread(data)))
    assert len(rows) == len(set(rows.tolist())) == min(samples, SAMPLES)
    assert rows[0] == 0 and samples - rows[-1] <= max(1, samples // SAMPLES + 1)
    program = mn.compile(line())
    theta = program.parameters([0.3, -0.2])
    expected = program.loss(theta, *mn.Dataset(numpy.asarray(data.inputs), numpy.asarray(data.targets)).batch(rows))
    assert Yardstick(program, data, "").loss(theta) == pytest.approx(expected, rel=1e-12)


def test_of_a_stream_the_first_and_the_last_records_are_compared() -> None:
    """A slow change for the worse is seen, chance is not."""
    program, rng = mn.compile(line()), numpy.random.default_rng(0)
    theta, stream = program.parameters([0.0, 0.0]), mn.Stream(iter([]))
    yardstick = Yardstick(program, stream, "less")
    assert yardstick.loss(theta) is None
    chance = rng.exponential(size=400)
    assert yardstick.worsened(theta, None, list(chance)) is None
    assert yardstick.worsened(theta, None, list(chance[:19] + numpy.arange(19))) is None
    told = yardstick.worsened(theta, None, [*(chance + numpy.linspace(0.0, 3.0, 400)), numpy.nan])
    assert told is not None and told.samples is None and "over the last records of a stream" in str(told)
    assert told.began == pytest.approx(chance[:40].mean() + 0.1466, abs=1e-3)


SPEC = """
import numpy
import manifoldnet as mn

schedule = mn.Online(steps=40, n_init=20, rate=0.5, radius=1.0, decay=None, record_every=1)
metric = "euclidean"

def network(seed=0):
    net = mn.Network("line", seed=seed)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x")])])
    return net

def initial(program, rng):
    return numpy.array([0.0, 1.0])

def data(seed=0):
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((60, 1))
    return mn.Dataset(x, x[:, 0] + rng.standard_normal(60))
"""


def test_the_command_says_so_in_its_last_lines_in_json_and_in_the_history(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, SPEC)
    result = run("train", spec, "--run", tmp_path / "run")
    assert result.exit_code == 0
    assert "training ended worse than it began: the loss on 60 training samples is" in result.stderr
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["worsened"]
    assert told["ended"] > told["began"] and told["samples"] == 60 and "rate=" in told["remedy"]
    last = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert last["remark"].startswith("training ended worse")
    assert run_json("train", spec, "--metric", "natural", "--batch", "all")["worsened"] is None


def test_a_run_that_is_resumed_knows_what_it_began_with(tmp_path: Path) -> None:
    """The loss of before the first step is kept in checkpoints, not taken where training goes on."""
    spec = write_spec(tmp_path, SPEC)
    whole = run_json("train", spec, "--run", tmp_path / "whole")["worsened"]
    run("train", spec, "--run", tmp_path / "run", "--steps", 7)
    assert run_json("train", "--resume", tmp_path / "run", "--steps", 40)["worsened"] == whole
    # asked again of what has ended
    assert run_json("train", "--resume", tmp_path / "run")["worsened"] == whole


def test_what_is_interrupted_is_judged_where_it_stands() -> None:
    program, data = mn.compile(line()), noisy()
    trainer = mn.trainer_for(program, data, mn.Euclidean(), WANDERING)
    kept = Kept(trainer, trainer.start(best(program, data), numpy.random.default_rng(0)), stop=lambda: True)
    assert len(list(kept.records())) == 1
    assert kept.interrupted and kept.worsened is not None and kept.worsened.samples == 60
