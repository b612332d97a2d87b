"""`manifoldnet describe`: what it counts and how it looks."""

from pathlib import Path

import pytest

from manifoldnet.metrics.names import METRICS
from tests.cli.command import LINE, SPECS, run, run_json, write_spec

ALL_SPECS = sorted(path.name for path in SPECS.glob("*.py"))


@pytest.mark.parametrize("name", ALL_SPECS)
def test_json_holds_what_the_design_promises(name: str) -> None:
    found = run_json("describe", SPECS / name)
    assert found.keys() >= {"name", "layers", "parameters", "stages", "metrics"}
    for layer in found["layers"]:
        assert layer.keys() >= {"name", "units", "manifold", "chart", "map", "parameters"}
    nodes = found["layers"] + found["interpretations"]
    assert sum(node["parameters"] for node in nodes) == found["parameters"]
    assert [metric["name"] for metric in found["metrics"]] == list(METRICS)
    computed = {layer for stage in found["stages"] for layer in stage["layers"]}
    assert computed == {layer["name"] for layer in found["layers"] if layer["map"] is not None}


@pytest.mark.parametrize("name", ALL_SPECS)
def test_tables_fit_80_columns(name: str) -> None:
    result = run("describe", SPECS / name)
    assert result.exit_code == 0 and max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout


def test_the_digits_network() -> None:
    """Counted by hand: 64 (64 + 1) and 10 (64 + 1) parameters."""
    found = run_json("describe", SPECS / "digits.py")
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert (found["name"], found["parameters"]) == ("digits", 4160 + 650)
    assert [layer["parameters"] for layer in found["layers"]] == [0, 4160, 650]
    assert [layers[name]["manifold"] for name in layers] == ["Interval(0, 1)", "Interval(-1, 1)", "Real(1)"]
    assert layers["image"]["map"] is None and layers["h"]["map"] == "affine, tanh"
    assert layers["digit"]["reads"] == [{"layer": "h", "units": "0:64", "wiring": "dense", "links": 640}]
    assert found["samples"] == 64 and found["stages"][1]["units"] == 10


def test_settings_and_seed_reach_the_network() -> None:
    assert run_json("describe", SPECS / "digits.py", "--set", "hidden=3")["parameters"] == 3 * 65 + 10 * 4
    spec = SPECS / "autoencoder.py"
    wired = [run_json("describe", spec, "--seed", seed)["parameters"] for seed in (0, 0, 1)]
    assert wired[0] == wired[1] != wired[2]
    distinct = run_json("describe", spec, "--set", "replace=false")
    # without replacement every link is there: 500 + 150 + 150 + 500, and a bias for each of 170 units
    assert distinct["parameters"] == 1300 + 170


def test_memory_is_that_of_so_many_samples(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    assert run_json("describe", path)["samples"] == 3
    assert run_json("describe", path, "--samples", 7)["samples"] == 7
    without_data = write_spec(tmp_path, LINE[: LINE.index("def data(")])
    assert run_json("describe", without_data)["samples"] == 1


def test_help_shows_an_example_of_each_command() -> None:
    for command in ("train", "describe", "render"):
        result = run(command, "--help")
        assert result.exit_code == 0 and f"manifoldnet {command} specs/" in result.stdout
        for option in ("--json", "--seed", "--set", "--backend", "--debug"):
            assert option in result.stdout


def test_names_are_not_read_as_markup(tmp_path: Path) -> None:
    path = write_spec(tmp_path, LINE.replace('net.input("x")', 'net.input("[bold]x")'))
    assert run("describe", path).stdout.count("[bold]x") == 2


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifoldnet.cli.main.version", {"manifoldnet": "1.2.3"}.__getitem__)
    assert run("--version").stdout == "manifoldnet 1.2.3\n"
