"""The file of results: lines as they come, cut ones tolerated, wrong ones refused."""

from pathlib import Path

import pytest

from manifoldnet.errors import DataError
from manifoldnet.experiments.results_file import ResultsFile
from manifoldnet.experiments.task import Result, Task
from tests.cli.command import strict_json


def result(seed: int, **values: object) -> Result:
    task = Task(spec="a.py", metric="natural", steps=2, seed=seed)
    return Result(task=task, **{"steps": (1, 2), "seconds": (0.1, 0.2), "losses": (3.0, 2.0), "loss": 2.0, **values})


def test_lines_are_json_and_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kept = ResultsFile(path)
    written = [result(0), result(1, losses=(float("nan"), float("inf")), loss=None)]
    for one in written:
        kept.append(one)
    lines = path.read_text().splitlines()
    assert [strict_json(line)["task"]["seed"] for line in lines] == [0, 1]
    assert strict_json(lines[1])["losses"] == [None, None]
    again = ResultsFile(path)
    assert again.results[0] == written[0] and again.results[1].losses == (None, None) and again.remarks == []


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_last_line_cut_short_is_dropped_and_said(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    kept = ResultsFile(path)
    for seed in range(3):
        kept.append(result(seed))
    path.write_bytes(path.read_bytes()[:-cut])
    again = ResultsFile(path)
    assert [one.task.seed for one in again.results] == [0, 1]
    assert len(again.remarks) == 1 and "cut short" in again.remarks[0]
    again.append(result(5))
    last = ResultsFile(path)
    assert [one.task.seed for one in last.results] == [0, 1, 5] and last.remarks == []


def test_another_line_that_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for wrong in ("not json", "[1]", '{"task": {"spec": "a.py"}}', '{"loss": 1}', ""):
        path.write_text(f"{result(0).as_json()}\n{wrong}\n{result(1).as_json()}\n")
        before = path.read_bytes()
        with pytest.raises(DataError, match=r"a\.jsonl:2: this is no result"):
            ResultsFile(path)
        assert path.read_bytes() == before


def test_failed_and_foreign_results_do_not_count_as_done(tmp_path: Path) -> None:
    kept = ResultsFile(tmp_path / "a.jsonl")
    for one in (result(0), result(1, error="it failed", loss=None), result(2)):
        kept.append(one)
    tasks = [result(seed).task for seed in (0, 1, 3)]
    assert list(kept.done(tasks)) == [tasks[0].identity]
