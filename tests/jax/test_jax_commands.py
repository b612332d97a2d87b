"""The command line on the JAX backend."""

from pathlib import Path

import pytest

from tests.cli.command import LINE, run, run_json, write_spec

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]


def test_training_ends_where_the_reference_does(tmp_path: Path) -> None:
    """Compiled steps; minibatches and metrics on all parameters, which are not; held-out data, of which all are told."""
    path = write_spec(tmp_path)
    ways = [[], ["--metric", "natural", "--damping", "tikhonov:1e-3"], ["--batch", "2", "--steps", "4"]]
    for words in ways:
        found, expected = (run_json("train", path, *words, "--backend", backend) for backend in ("jax", "autograd"))
        assert found["backend"] == "jax"
        for key in ("steps", "metric", "kept_step"):
            assert found[key] == expected[key]
        assert found["loss_nats"] == pytest.approx(expected["loss_nats"], rel=1e-6, abs=1e-12)
        assert found["validation"]["loss_nats"] == pytest.approx(
            expected["validation"]["loss_nats"], rel=1e-6, abs=1e-12
        )


def test_it_is_said_what_is_compiled(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    told = run("train", path, "--backend", "jax", "--steps", "3").stderr
    assert "steps are compiled by jax" in told
    told = run("train", path, "--backend", "jax", "--steps", "3", "--metric", "natural").stderr
    assert "steps are not compiled: a metric on all parameters at once" in told


def test_other_commands(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    assert run_json("describe", path, "--backend", "jax")["parameters"] == 2
    words = ("--backend", "jax", "--metrics", "euclidean,backpropagated", "--charts", "declared", "--seeds", "2")
    found = run_json("compare", path, *words, "--steps", "5", "--jobs", "1")
    assert [method["runs"] for method in found["methods"]] == [2, 2]


def test_a_run_is_kept_and_resumed(tmp_path: Path) -> None:
    """Also at a step in the middle of those that were compiled as one."""
    path = write_spec(tmp_path)
    whole = run_json("train", path, "--backend", "jax", "--steps", "12")
    run_json("train", path, "--backend", "jax", "--steps", "5", "--run", tmp_path / "kept")
    found = run_json("train", "--resume", tmp_path / "kept", "--steps", "12")
    assert (found["steps"], found["backend"]) == (12, "jax")
    assert found["loss_nats"] == whole["loss_nats"]


def test_32_bits(tmp_path: Path) -> None:
    """Training, a run that is resumed, comparisons; nothing is verified in so few."""
    # a parabola, which no line has without loss
    bent = LINE.replace("2.0 * inputs + 1.0", "inputs**2")
    path, words = write_spec(tmp_path, bent), ("--backend", "jax:float32", "--damping", "tikhonov:0.1")
    told = run("train", path, *words, "--steps", "3").stderr
    assert "keeps seven digits of each number" in told and "steps are compiled by jax" in told
    wide = run_json("train", path, "--backend", "jax", "--damping", "tikhonov:0.1", "--steps", "12")
    whole = run_json("train", path, *words, "--steps", "12")
    assert whole["backend"] == "jax:float32"
    assert 0.0 < abs(whole["loss_nats"] / wide["loss_nats"] - 1.0) < 1e-3
    run_json("train", path, *words, "--steps", "5", "--run", tmp_path / "kept")
    found = run_json("train", "--resume", tmp_path / "kept", "--steps", "12")
    assert (found["loss_nats"], found["backend"]) == (whole["loss_nats"], "jax:float32")
    words = (*words, "--metrics", "backpropagated", "--charts", "declared", "--seeds", "2")
    compared = run_json("compare", path, *words, "--steps", "5", "--jobs", "2")
    assert [method["runs"] for method in compared["methods"]] == [2]
    refused = run("verify", path, "--backend", "jax:float32")
    assert refused.exit_code == 2 and "to more digits than 32 bits have" in refused.stderr
