"""A comparison on a real Dask scheduler with two workers, one of them killed midway: nothing is lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifoldnet.experiments.results_file import ResultsFile
from tests.cli.command import mistake, start, strict_json
from tests.experiments.specs import write_strings
from tests.experiments.test_compare import until
from tests.house import tree

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.dask, pytest.mark.timeout(110)]


def launched(*words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dask", *words]
    return subprocess.Popen(command, cwd=tree.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a scheduler, and its two workers, which take one task at a time."""
    told = tmp_path / "scheduler.json"
    scheduler = launched("scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard", f"--scheduler-file={told}")
    workers: list[subprocess.Popen] = []
    try:
        until(lambda: told.exists() and told.read_text().endswith("}"), scheduler)
        address = str(strict_json(told.read_text())["address"])
        for number in range(2):
            place = f"--local-directory={tmp_path}"
            worker = launched(
                "worker", address, "--nthreads=1", "--no-nanny", "--no-dashboard", place, f"--name={number}"
            )
            workers.append(worker)
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=40)
        yield address, workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()


def test_a_worker_is_killed_midway(tmp_path: Path, cluster: tuple[str, list[subprocess.Popen]]) -> None:
    address, workers = cluster
    kept = tmp_path / "a.jsonl"
    words = ("--metrics", "euclidean", "--charts", "sigmoid", "--seeds", 8, "--seconds", 0.5, "--results", kept)
    process = start("compare", write_strings(tmp_path), *words, "--executor", address, "--json")
    try:
        until(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= 2, process)
        workers[0].kill()
        told, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    found = strict_json(told)["methods"][0]
    assert sorted(found["seeds"]) == list(range(8)) and found["failures"] == []
    assert sorted(one.task.seed for one in ResultsFile(kept).results) == list(range(8))


def test_nobody_answers(tmp_path: Path) -> None:
    said = mistake("compare", write_strings(tmp_path), "--executor", "tcp://127.0.0.1:9")
    assert "no Dask scheduler answers" in said
