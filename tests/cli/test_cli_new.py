"""`manifoldnet new` writes a spec that trains at once."""

from pathlib import Path

import pytest

from tests.cli.command import mistake, run, run_json


def test_it_trains_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("new", "wine")
    assert result.stdout == "written: wine.py\nnext:    manifoldnet train wine.py\n"
    found = run_json("train", "wine.py", "--steps", 150)
    assert found["network"] == "wine" and found["validation"]["accuracy"] > 0.9
    assert run_json("describe", "wine.py", "--set", "hidden=5")["layers"][1]["units"] == 5
    # every line may be read in a window of the usual width
    assert max(map(len, Path("wine.py").read_text().splitlines())) <= 130


def test_what_is_there_stays(tmp_path: Path) -> None:
    spec = tmp_path / "wine.py"
    spec.write_text("mine")
    assert "wine.py is there already" in mistake("new", spec)
    assert spec.read_text() == "mine"
    assert "there is no folder" in mistake("new", tmp_path / "none" / "wine")
    assert "letters, digits" in mistake("new", tmp_path / '";import os;".py')
    assert run_json("new", tmp_path / "two words")["spec"] == str(tmp_path / "two words.py")
