"""`manifoldnet compare`: what it runs, keeps, draws and prints, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from manifoldnet.experiments.executors import HereAndNow
from manifoldnet.experiments.results_file import ResultsFile
from tests.cli.command import SPECS, mistake, run, run_json, start, strict_json
from tests.experiments.specs import STRINGS, write_strings

QUICK = ("--metrics", "euclidean,backpropagated", "--seeds", 2, "--jobs", 1)


def test_json(tmp_path: Path) -> None:
    path = write_strings(tmp_path)
    found = run_json("compare", path, *QUICK, "--steps", 5, "--set", "hidden=2", "--seed", 3)
    assert found["budget"] == {"kind": "steps", "amount": 5, "measured_seconds": None}
    assert (found["seeds"], found["charts"], found["settings"]) == ([3, 4], ["sigmoid", "tanh"], {"hidden": 2})
    methods = {(group["metric"], group["charts"]): group for group in found["methods"]}
    assert set(methods) == {(m, c) for m in ("euclidean", "backpropagated") for c in ("sigmoid", "tanh")}
    for group in methods.values():
        values = group["loss_bits"]["values"]
        assert group["runs"] == len(values) == 2 and group["failures"] == [] and "paper" not in group
        assert group["loss_bits"]["mean"] == pytest.approx(sum(values) / 2)
        assert group["steps"]["values"] == [5, 5]
    trained = run_json("train", path, "--metric", "euclidean", "--steps", 5, "--seed", 4, "--set", "hidden=2")
    assert methods["euclidean", "sigmoid"]["loss_bits"]["values"][1] == pytest.approx(trained["loss_bits"], rel=1e-6)


def test_charts_make_no_difference_to_an_invariant_metric(tmp_path: Path) -> None:
    words = ("--metrics", "euclidean,quasi-diagonal-backpropagated", "--damping", "least-norm", "--seeds", 1)
    found = run_json("compare", write_strings(tmp_path), *words, "--jobs", 1)
    losses = {(group["metric"], group["charts"]): group["loss_bits"]["mean"] for group in found["methods"]}
    same = [losses["quasi-diagonal-backpropagated", charts] for charts in ("sigmoid", "tanh")]
    other = [losses["euclidean", charts] for charts in ("sigmoid", "tanh")]
    assert same[0] == pytest.approx(same[1], rel=1e-6) and other[0] != pytest.approx(other[1], rel=1e-3)


def test_the_papers_numbers_stand_beside_ours() -> None:
    words = (
        "compare",
        SPECS / "autoencoder.py",
        "--metrics",
        "backpropagated",
        "--seeds",
        1,
        "--jobs",
        1,
        "--steps",
        2,
    )
    sigmoid, tanh = run_json(*words)["methods"]
    assert (sigmoid["paper"]["mean"], tanh["paper"]["mean"], tanh["paper"]["steps"]) == (0.8, 0.3, [4200, 4300])
    assert sigmoid["damping"] == "tikhonov:0.0001"
    long = "quasi-diagonal-monte-carlo-natural"
    table = run(*words, "--metrics", long).stdout
    assert f"{long}  sigmoid" in table and "10.1 ± 2.5" in table and "3,900-4,000" in table


def test_the_table(tmp_path: Path) -> None:
    result = run("compare", write_strings(tmp_path), *QUICK, "--steps", 3)
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["method", "charts", "bits", "steps", "seconds", "runs"]
    assert [row.split()[:2] for row in rows] == [
        [metric, charts] for metric in ("euclidean", "backpropagated") for charts in ("sigmoid", "tanh")
    ]
    assert all("±" in row for row in rows)
    assert "8/8  backpropagated, tanh, seed 1: " in result.stderr and " left" in result.stderr


def test_equal_seconds_and_the_papers_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("compare", write_strings(tmp_path), "--metrics", "backpropagated", "--charts", "tanh", "--seeds", 2)
    found = run_json(*words, "--jobs", 1, "--seconds", 0.1)["methods"][0]
    assert all(0.1 <= value < 1.0 for value in found["seconds"]["values"])
    monkeypatch.setattr("manifoldnet.experiments.paper.BACKPROPAGATIONS", 100)
    kept = tmp_path / "a.jsonl"
    measured = run_json(*words, "--jobs", 1, "--budget", "paper", "--results", kept)
    yardsticks = [one for one in ResultsFile(kept).results if one.task.metric == "euclidean"]
    assert [one.step_count for one in yardsticks] == [100, 100]
    seconds = measured["budget"]["measured_seconds"]
    assert seconds == pytest.approx(sum(one.duration for one in yardsticks) / 2)
    assert [group["metric"] for group in measured["methods"]] == ["backpropagated"]
    assert all(value >= seconds for value in measured["methods"][0]["seconds"]["values"])
    assert run_json(*words, "--jobs", 1, "--budget", "paper", "--results", kept) == measured


def test_table_1_gives_each_method_its_steps() -> None:
    command = ("compare", SPECS / "autoencoder.py", "--metrics", "outer-product", "--budget", "table1")
    assert "no steps for outer-product" in mistake(*command)


def test_figures_are_pictures(tmp_path: Path) -> None:
    words = ("--metrics", "diagonal-gauss-newton,quasi-diagonal-backpropagated", "--seeds", 2, "--jobs", 1)
    found = run_json(
        "compare", write_strings(tmp_path), *words, "--steps", 4, "--figures", tmp_path / "new" / "figures"
    )
    names = [Path(path).name for path in found["figures"]]
    assert names == [
        "loss-against-steps.png",
        "loss-against-seconds.png",
        "non-diagonal-terms.png",
        "sigmoid-and-tanh.png",
    ]
    for path in found["figures"]:
        content = Path(path).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 5000


def test_a_run_that_fails_is_told_and_done_again(tmp_path: Path) -> None:
    """Without damping a dead unit leaves the natural metric singular: the others go on."""
    kept = tmp_path / "a.jsonl"
    words = ("--metrics", "natural,euclidean", "--damping", "none", "--seeds", 1, "--charts", "sigmoid", "--jobs", 1)
    command = ("compare", write_strings(tmp_path), *words, "--steps", 3, "--results", kept)
    assert (
        run_json(*command, "--metrics", "natural", "--figures", tmp_path, "--results", tmp_path / "b")["figures"] == []
    )
    found = run_json(*command)
    natural, euclidean = found["methods"]
    assert natural["runs"] == 0 and "Singular" in natural["failures"][0]["error"]
    assert euclidean["runs"] == 1
    assert "failed: natural" in run(*command).stdout
    assert [one.task.metric for one in ResultsFile(kept).results] == ["natural", "euclidean", "natural"]


def test_a_run_that_ended_worse_than_it_began_is_told(tmp_path: Path) -> None:
    """Steps as far as one sample at a time asks for, from the best parameters of all."""
    path = tmp_path / "wandering.py"
    path.write_text(
        "import numpy\nimport manifoldnet as mn\n"
        "schedule = mn.Minibatches(steps=40, batch=1, rate=1.0, radius=100.0, decay=None)\n"
        "def network(seed=0):\n    net = mn.Network('line', seed=seed)\n"
        "    y = net.layer('y', size=1, map=mn.Affine(), parents=[net.input('x')])\n"
        "    net.interpret(mn.SquareLoss(), parents=[y])\n    return net\n"
        "def initial(program, rng):\n    return numpy.zeros(2)\n"
        "def data(seed=0):\n    x = numpy.array([[-1.0], [1.0], [-1.0], [1.0]])\n"
        "    return mn.Dataset(x, numpy.array([1.0, 1.0, -1.0, -1.0]))\n",
        encoding="utf-8",
    )
    words = ("compare", path, "--metrics", "euclidean", "--charts", "declared", "--seeds", 1, "--jobs", 1)
    assert run_json(*words)["methods"][0]["worsened"] == [0]
    result = run(*words)
    assert "worse: euclidean, declared, seed 0: the loss began at" in result.stdout
    better = run_json("compare", write_strings(tmp_path), "--metrics", "euclidean", "--seeds", 1, "--jobs", 1)
    assert [group["worsened"] for group in better["methods"]] == [[], []]


def test_results_are_kept_and_not_done_twice(tmp_path: Path) -> None:
    path, kept = write_strings(tmp_path), tmp_path / "a.jsonl"
    words = ("compare", path, *QUICK, "--steps", 4, "--results", kept)
    first = run_json(*words)
    before = kept.read_bytes()
    assert len(before.splitlines()) == 8
    again = run(*words, "--json")
    assert strict_json(again.stdout) == first and "8 of them done before" in again.stderr
    assert kept.read_bytes() == before
    kept.write_bytes(before[:-9])
    mended = run(*words, "--json")
    assert "cut short" in mended.stderr and "7 of them done before" in mended.stderr
    assert len(ResultsFile(kept).results) == 8
    write_strings(tmp_path, STRINGS.replace("hidden=3", "hidden=2"))
    run_json(*words)
    assert len(ResultsFile(kept).results) == 16


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
def test_a_killed_run_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    """SIGKILL between two results; then the same command does what is missing, and nothing twice."""
    path, kept = write_strings(tmp_path), tmp_path / "a.jsonl"
    command = ("compare", path, "--metrics", "euclidean", "--charts", "sigmoid", "--seeds", 6, "--seconds", 0.4)
    command = (*command, "--results", kept)
    process = start(*command, "--jobs", 2)
    try:
        until(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= 2, process)
        workers = children(process.pid)
    finally:
        process.kill()
        process.communicate()
    before = ResultsFile(kept).results
    assert 2 <= len(before) < 6
    until(lambda: not any(alive(worker) for worker in workers))
    found = run_json(*command, "--jobs", 1)
    after = ResultsFile(kept).results
    assert after[: len(before)] == before and sorted(one.task.seed for one in after) == list(range(6))
    assert found["methods"][0]["runs"] == 6


def test_a_lost_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Future:
        future: Future = Future()
        future.set_exception(BrokenProcessPool("gone"))
        return future

    monkeypatch.setattr(HereAndNow, "submit", lost)
    result = run("compare", write_strings(tmp_path), *QUICK)
    assert result.exit_code == 2 and "a worker process was killed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
def test_an_interruption_shows_what_there_is(tmp_path: Path) -> None:
    command = ("--metrics", "euclidean", "--charts", "sigmoid", "--seeds", 2, "--steps", 100_000_000, "--jobs", 2)
    process = start("compare", write_strings(tmp_path), *command, "--json")
    assert process.stderr is not None and "2 runs" in process.stderr.readline()
    until(lambda: len(children(process.pid)) >= 2, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    try:
        told, said = process.communicate(timeout=60)
    finally:  # left running, it would fail whichever test comes next
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130 and "Traceback" not in said
    assert strict_json(told)["interrupted"] is True


def until(condition, process: subprocess.Popen | None = None, seconds: float = 40.0) -> None:  # type: ignore[no-untyped-def]
    """Wait for something; fail if it does not come, or a process ends before it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        assert process is None or process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in told.split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout


def test_mistakes(tmp_path: Path) -> None:
    path = write_strings(tmp_path)
    for words, said in (
        (("--metrics", "euclidean,fast"), "there is no 'fast'"),
        (("--metrics", ","), "there are no names"),
        (("--charts", "log"), "there is no 'log'"),
        (("--steps", 3, "--seconds", 2), "two budgets"),
        (("--seconds", 0), "takes a positive number"),
        (("--budget", "free"), "paper or table1"),
        (("--damping", "strong"), "'strong' is not a damping"),
        (("--results", tmp_path), "is a folder"),
        (("--set", "colour=1"), "nothing takes the setting"),
    ):
        assert said in mistake("compare", path, *words)
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("{}\n")
    assert "wrong.jsonl:1" in mistake("compare", path, "--results", wrong)


def test_a_missing_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_strings(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "manifoldnet.experiments.dask_cluster", raising=False)
    assert "manifoldnet[dask]" in mistake("compare", path, "--executor", "tcp://127.0.0.1:1")[-200:]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "manifoldnet.views.matplotlib.comparison", raising=False)
    assert "manifoldnet[plot]" in mistake("compare", path, "--figures", tmp_path)


def test_a_spec_may_say_which_methods(tmp_path: Path) -> None:
    path = write_strings(tmp_path, STRINGS + '\nmethods = ["natural", "adagrad"]\n')
    found = run_json("compare", path, "--seeds", 1, "--charts", "declared", "--steps", 1, "--jobs", 1)
    assert [group["metric"] for group in found["methods"]] == ["natural", "adagrad"]
