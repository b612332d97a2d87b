"""`manifoldnet render` writes pictures."""

import xml.etree.ElementTree
from pathlib import Path

import pytest

from tests.cli.command import LINE, SPECS, mistake, run, run_json, write_spec


@pytest.mark.parametrize("name", sorted(path.name for path in SPECS.glob("*.py")))
def test_every_spec_is_drawn(name: str, tmp_path: Path) -> None:
    picture = tmp_path / "net.svg"
    result = run("render", SPECS / name, "--output", picture)
    assert result.exit_code == 0, result.stderr
    assert xml.etree.ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_json_says_what_was_written(tmp_path: Path) -> None:
    found = run_json("render", write_spec(tmp_path), "--output", tmp_path / "net.dot")
    assert found["output"] == str(tmp_path / "net.dot") and found["format"] == "dot" and found["name"] == "line"
    assert "digraph" in (tmp_path / "net.dot").read_text()


def test_without_an_output_the_picture_is_named_after_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_spec(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("render", path).stdout == "written: line.svg\n"
    assert (tmp_path / "line.svg").is_file()


def test_a_network_that_is_not_complete_leaves_no_file(tmp_path: Path) -> None:
    path = write_spec(tmp_path, LINE.replace("net.interpret(mn.SquareLoss(), parents=[y])", "pass"))
    assert "no interpretation" in mistake("render", path, "--output", tmp_path / "net.svg")
    assert not (tmp_path / "net.svg").exists()


def test_units_of_trained_parameters(tmp_path: Path) -> None:
    spec, trained = write_spec(tmp_path), tmp_path / "line.npz"
    run("train", spec, "--output", trained)
    found = run_json("render", spec, "--run", trained, "--output", tmp_path / "net.dot")
    assert found["modulus"] == "fisher" and found["samples"] == 3 and found["parameters"] == "line.npz, step 20"
    assert found["moduli"] == {"y": [1.0]}
    # y = 2 x + 1 is learned in 20 steps
    text = (tmp_path / "net.dot").read_text()
    assert "x[0] to y[0]: weight 2" in text and "line.npz, step 20" in text
    assert (
        run_json("render", spec, "--units", "--colour", "backpropagated", "--output", tmp_path / "net.svg")[
            "parameters"
        ]
        == "initial parameters, seed 0"
    )


def test_mistakes_about_units(tmp_path: Path) -> None:
    spec, picture = write_spec(tmp_path), tmp_path / "net.svg"
    assert "no modulus is called 'red'" in mistake("render", spec, "--units", "--colour", "red", "--output", picture)
    assert "there is no such file" in mistake("render", spec, "--run", tmp_path / "none.npz", "--output", picture)
    run("train", spec, "--output", tmp_path / "line.npz", "--steps", 2)
    message = mistake("render", spec, "--run", tmp_path / "line.npz", "--set", "size=2", "--output", picture)
    assert "'y' holds float64 of shape (1, 2), expected numbers of shape (2, 2)" in message
    assert not picture.exists()
