"""`manifoldnet train`: what it computes, prints and writes."""

import json
import math
import os
import signal
import zipfile
from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.metrics.names import METRICS
from tests.cli.command import LINE, SPECS, run, run_json, start, strict_json, write_spec

KEYS = {"spec", "metric", "backend", "seed", "steps", "seconds", "loss_nats", "loss_bits", "validation"}


def test_json_holds_what_the_design_promises(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    found = run_json("train", path, "--seed", 3, "--set", "size=1")
    assert found.keys() >= KEYS
    assert (found["spec"], found["seed"], found["steps"], found["settings"]) == (str(path), 3, 20, {"size": 1})
    assert (found["metric"], found["backend"]) == ("quasi-diagonal-backpropagated", "autograd")
    assert found["loss_bits"] == pytest.approx(found["loss_nats"] / math.log(2))
    assert found["validation"].keys() >= {"loss_nats", "accuracy"} and found["validation"]["accuracy"] is None


def test_without_held_out_data_there_is_no_validation(tmp_path: Path) -> None:
    assert "validation" not in run_json("train", write_spec(tmp_path), "--set", "held_out=false")


def test_the_line_is_found(tmp_path: Path) -> None:
    """With the natural metric and rate 1, one step of Newton's from anywhere: y = 2 x + 1."""
    output = tmp_path / "theta.npz"
    words = ("--metric", "natural", "--damping", "none", "--rate", 1, "--steps", 1, "--output", output)
    found = run_json("train", write_spec(tmp_path), *words)
    assert found["loss_nats"] == pytest.approx(0.0, abs=1e-20) and found["damping"] is None
    with numpy.load(output, allow_pickle=False) as archive:
        numpy.testing.assert_allclose(archive["y"], [[1.0, 2.0]], atol=1e-12)


def test_the_losses_are_those_of_the_written_parameters(tmp_path: Path) -> None:
    output = tmp_path / "theta.npz"
    found = run_json("train", write_spec(tmp_path), "--steps", 5, "--output", output, "--metric", "euclidean")
    with numpy.load(output) as archive:
        bias, weight = archive["y"][0]
        metadata = json.loads(str(archive["manifoldnet/metadata"]))
    x = numpy.array([-1.0, 0.0, 1.0])
    assert found["loss_nats"] == pytest.approx(0.5 * ((2 * x + 1 - bias - weight * x) ** 2).mean())
    assert found["validation"]["loss_nats"] == pytest.approx(0.5 * (5 - bias - 2 * weight) ** 2)
    assert metadata["loss_nats"] == found["loss_nats"] and metadata["counts"] == {"y": [2]}


def test_every_layer_and_output_parameter_is_written(tmp_path: Path) -> None:
    """Ragged fan-in is padded with zeros, and names that `numpy.savez` refuses are written."""
    text = LINE.replace('net.input("x")', 'net.input("file")').replace("mn.SquareLoss()", "mn.Gaussian()")
    text = text.replace(
        'size=size, map=mn.Affine(), parents=[net.input("file")]',
        'size=1, map=mn.Affine(), parents=[net.layer("allow_pickle", 2, map=mn.Affine(mn.tanh), '
        'parents=[(net.input("file"), [[1], [1]]), (net.input("b"), [[1], [0]])])]',
    ).replace("inputs, 2.0", '{"file": inputs, "b": inputs}, 2.0')
    output = tmp_path / "theta.npz"
    run_json("train", write_spec(tmp_path, text), "--set", "held_out=false", "--output", output)
    with numpy.load(output) as archive:
        assert {name: archive[name].shape for name in archive if "/" not in name} == {
            "allow_pickle": (2, 3),
            "y": (1, 3),
            "out": (1, 1),
        }
        assert archive["allow_pickle"][1, 2] == 0.0
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    words = ("train", SPECS / "digits.py", "--steps", 5, "--set", "hidden=4")
    first, again, other = (run_json(*words, "--seed", seed)["loss_nats"] for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_trains(metric: str, tmp_path: Path) -> None:
    words = ("train", write_spec(tmp_path), "--metric", metric, "--rate", "1e-3")
    early, late = run_json(*words, "--steps", 1), run_json(*words, "--steps", 3)
    assert late["metric"] == metric and late["loss_nats"] < early["loss_nats"]


def test_batches(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    assert run_json("train", path)["batch"] == "all"
    assert run_json("train", path, "--batch", 2)["batch"] == 2
    digits = ("train", SPECS / "digits.py", "--steps", 2, "--set", "hidden=2")
    assert run_json(*digits)["batch"] == 64
    assert run_json(*digits, "--batch", 16)["batch"] == 16
    assert run_json(*digits, "--batch", "all")["batch"] == "all"


def test_default_dampings(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    assert run_json("train", path)["damping"] == (mn.Floor(0.1) + mn.LeastNorm()).text
    assert run_json("train", path, "--metric", "backpropagated")["damping"] == "intrinsic:0.03+floor:0.03"
    assert run_json("train", path, "--metric", "adagrad")["damping"] == mn.Tikhonov(1e-4).text
    assert run_json("train", path, "--metric", "euclidean")["damping"] is None
    assert run_json("train", path, "--damping", "intrinsic:0.03")["damping"] == "intrinsic:0.03"
    scheduled = LINE.replace("rate=0.5)", "rate=0.5, damping=mn.Tikhonov(0.25))")
    assert run_json("train", write_spec(tmp_path, scheduled))["damping"] == "tikhonov:0.25"


def test_a_spec_may_name_its_metric(tmp_path: Path) -> None:
    for metric in ('"natural"', "mn.Natural()"):
        path = write_spec(tmp_path, LINE + f"\nmetric = {metric}\n")
        assert run_json("train", path)["metric"] == "natural"
    assert run_json("train", path, "--metric", "euclidean")["metric"] == "euclidean"


def test_a_spec_may_say_where_to_start(tmp_path: Path) -> None:
    found = run_json("train", SPECS / "ones_and_zeros.py", "--steps", 1, "--rate", "1e-12", "--seed", 5)
    assert found["loss_bits"] == pytest.approx(50.0)


def test_a_loss_that_is_not_finite_is_null(tmp_path: Path) -> None:
    """The held-out target is the only one above 4."""
    text = LINE.replace("mn.SquareLoss()", "mn.OutputMap(lambda a: a, mn.Real(1), loss)")
    text += """
from manifoldnet import numpy as np

def loss(point, target):
    return np.where(target > 4.0, numpy.inf, (point[..., 0] - target) ** 2)
"""
    text = text.replace("2.0 * inputs + 1.0,", "2.0 * inputs[:, 0] + 1.0,").replace("[[5.0]]", "[5.0]")
    found = run_json("train", write_spec(tmp_path, text), "--metric", "euclidean", "--rate", "1e-3")
    assert found["loss_nats"] > 0.0
    assert found["validation"]["loss_nats"] is None and found["validation"]["loss_bits"] is None


def test_what_a_spec_prints_does_not_reach_the_json(tmp_path: Path) -> None:
    path = write_spec(tmp_path, LINE + "\nprint('hello from the spec')\n")
    result = run("train", path, "--json")
    assert strict_json(result.stdout) and "hello from the spec" in result.stderr


def test_people_read_a_summary_of_few_lines(tmp_path: Path) -> None:
    output = tmp_path / "theta.npz"
    result = run("train", write_spec(tmp_path), "--output", output)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line[0] != " "] == [
        "metric",
        "steps",
        "loss",
        "validation",
        "written",
    ]
    assert 1 <= len(result.stderr.splitlines()) <= 21 and "a line: 2 parameters, 3 samples" in result.stderr


def test_output_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "theta.npz"
    output.write_bytes(b"what was there before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(output))

    with monkeypatch.context() as patched:
        patched.setattr("zipfile.ZipFile.writestr", full)
        result = run("train", write_spec(tmp_path), "--output", output)
    assert result.exit_code == 2 and "No space left" in result.stderr
    assert output.read_bytes() == b"what was there before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".npz") == ["theta.npz"]
    assert run("train", write_spec(tmp_path), "--output", output).exit_code == 0
    with numpy.load(output) as archive:
        assert archive["y"].shape == (1, 2)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
def test_an_interruption_saves_and_exits_with_130(tmp_path: Path) -> None:
    output = tmp_path / "theta.npz"
    words = ("--steps", 10_000_000, "--metric", "euclidean", "--rate", "1e-9", "--json", "--output", output)
    process = start("train", write_spec(tmp_path), *words)
    assert process.stdout is not None and process.stderr is not None
    while "step" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    found = strict_json(told)
    assert found["ended"] == "interrupted" and 0 < found["steps"] < 10_000_000
    with numpy.load(output) as archive:
        assert archive["y"].shape == (1, 2)
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"line.py", "theta.npz"}


def test_charts_change_the_numbers_and_not_an_invariant_method() -> None:
    autoencoder = ("train", SPECS / "autoencoder.py", "--steps", 20)
    for metric, same in (("quasi-diagonal-backpropagated", True), ("euclidean", False)):
        sigmoid, tanh = (run_json(*autoencoder, "--metric", metric, "--charts", name) for name in ("sigmoid", "tanh"))
        assert (sigmoid["charts"], tanh["charts"]) == ("sigmoid", "tanh")
        assert (abs(sigmoid["loss_bits"] - tanh["loss_bits"]) < 1e-9) == same
