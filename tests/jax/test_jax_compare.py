"""Comparisons on the JAX backend: seeds of one method share what is compiled."""

import importlib
import os
from pathlib import Path

import attrs
import pytest

from manifoldnet.errors import MissingExtraError
from manifoldnet.experiments import executors
from manifoldnet.experiments.comparison import bundles
from manifoldnet.experiments.executors import open_executor
from manifoldnet.experiments.run import run_task, run_tasks
from manifoldnet.experiments.task import Task

pytest.importorskip("jax", reason="needs the extra `jax`")
run = importlib.import_module("manifoldnet.experiments.run")
threads = importlib.import_module("manifoldnet.compiler.backends.jax.threads")
descent = importlib.import_module("manifoldnet.compiler.backends.jax.descent")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

SPEC = """
import numpy
import manifoldnet as mn

schedule = mn.FullBatch(steps=12)


def network(seed=0):
    net = mn.Network("ragged", seed=seed)
    x = net.input("x", size=60, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=6, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_out(2, replace=True))
    y = net.layer("y", size=3, map=mn.Affine(mn.logistic), parents=[h])
    net.interpret(mn.Bernoulli(), parents=[y])
    return net


def data(seed=0):
    bits = numpy.random.default_rng(seed).integers(0, 2, size=(9, 60)).astype(float)
    return mn.Dataset(bits, bits[:, :3])
"""


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    path = tmp_path / "ragged.py"
    path.write_text(SPEC, encoding="utf-8")
    one = Task(spec=str(path), metric="backpropagated", damping="tikhonov:1e-2", steps=12, backend="jax", charts="tanh")
    return [attrs.evolve(one, seed=seed) for seed in range(4)]


def test_seeds_of_a_method_go_together(tasks: list[Task]) -> None:
    others = [attrs.evolve(task, metric="euclidean") for task in tasks]
    plain = [attrs.evolve(task, backend="autograd") for task in tasks]
    mixed = [task for pair in zip(tasks, others, plain, strict=True) for task in pair]
    assert [len(bundle) for bundle in bundles(mixed)] == [4, 4, 1, 1, 1, 1]


def test_one_compilation_for_all_seeds(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    traced, step = [], descent._step
    monkeypatch.setattr(descent, "_step", lambda *given: traced.append(1) or step(*given))
    found = run_tasks(tasks)
    # once in Python, whatever the number of runs
    assert len(traced) == 1
    alone = [run_task(attrs.evolve(task, backend="autograd")) for task in tasks]
    for one, other in zip(found, alone, strict=True):
        assert one.error is None and one.steps == other.steps
        assert one.losses == pytest.approx(other.losses, rel=1e-6)
        assert one.cancelled == other.cancelled


def test_the_next_method_has_the_same_programs(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, compile = [], run.compile
    monkeypatch.setattr(run, "compile", lambda *given, **options: compiled.append(1) or compile(*given, **options))
    counts = []
    told = [attrs.evolve(task, digest="one") for task in tasks[:2]]
    others = [attrs.evolve(task, metric="euclidean") for task in told]
    # another version of the spec's file, and one of which nothing says which version it is
    for some in (told, others, [attrs.evolve(task, digest="two") for task in told], tasks[:2], tasks[:2]):
        assert all(result.error is None for result in run_tasks(some))
        counts.append(len(compiled))
    assert counts == [2, 2, 4, 6, 8]


def _threads() -> list[str]:
    """The names of this process's threads, each of which may use all processors that it may."""
    numbers = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    assert all(os.sched_getaffinity(number) == os.sched_getaffinity(0) for number in numbers)
    return [Path(f"/proc/self/task/{number}/comm").read_text().strip() for number in numbers]


def _processors() -> int:
    return len(os.sched_getaffinity(0))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are looked at where Linux tells of them")
def test_a_worker_computes_in_one_thread(tasks: list[Task]) -> None:
    with open_executor(2, backend="jax") as (executor, at_once):
        assert at_once == 2
        found = executor.submit(run_tasks, tasks[:2]).result()
        assert executor.submit(_processors).result() == _processors()
        assert executor.submit(_threads).result().count("tf_XLAEigen") == 1
    assert [result.error for result in found] == [None, None]
    for one, other in zip(found, run_tasks(tasks[:2]), strict=True):
        # more threads may add in another order
        assert one.losses == pytest.approx(other.losses, rel=1e-9)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes choose their processors on Linux")
def test_threads_that_have_ended_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Linux counts threads to 4,194,304 at most
    for number in (2**22 + 1, os.getpid()):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(threads, "_THREADS", tmp_path)
    before = os.sched_getaffinity(0)
    try:
        assert threads._allow({min(before)}) == 1
        assert os.sched_getaffinity(os.getpid()) == {min(before)}
    finally:
        os.sched_setaffinity(os.getpid(), before)


def test_workers_begin_without_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is told with each task; a worker that could not begin would end the whole comparison."""

    def missing(backend: str) -> None:
        raise MissingExtraError(f"{backend} is not installed")

    monkeypatch.setattr(executors, "compute_alone", missing)
    monkeypatch.setattr(executors, "_end_with", lambda watched: None)
    executors._begin(None, "jax")


def test_a_failure_is_told_with_its_task(tasks: list[Task]) -> None:
    found = run_tasks([attrs.evolve(task, settings={"colour": 1}) for task in tasks])
    assert all(result.error is not None and "colour" in result.error for result in found)
