"""Carrying out many tasks, in whatever order they end, each result kept as it comes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import final

import attrs

from manifoldnet.errors import ManifoldNetError
from manifoldnet.experiments.results_file import ResultsFile
from manifoldnet.experiments.run import run_tasks
from manifoldnet.experiments.task import Result, Task

# Called with every result of a comparison as it comes.
Observer = Callable[[Result], None]

LOST = (
    "a worker process was killed before its task was done, perhaps for want of memory: the same command with --results "
    "goes on with what is missing; --jobs 1 takes the least memory"
)


@final
class WorkerLostError(ManifoldNetError, RuntimeError):
    """A process that carried out a task ended before the task did."""


def carry_out(
    tasks: Sequence[Task], executor: Executor, at_once: int, kept: ResultsFile | None, observe: Observer
) -> list[Result]:
    """Results of tasks in their order; those that the file has are taken from it, the others are written to it.

    `observe` is told of those that had to be carried out. Raises WorkerLostError if a worker process is killed.
    """
    found = {} if kept is None else kept.done(tasks)
    for result in _results(bundles([task for task in tasks if task.identity not in found]), executor, at_once):
        if kept is not None:
            kept.append(result)
        found[result.task.identity] = result
        observe(result)
    return [found[task.identity] for task in tasks]


def bundles(tasks: Sequence[Task]) -> list[list[Task]]:
    """Tasks to be carried out by one worker one after the other: where steps are compiled, all seeds of a method.

    Others are on their own.
    """
    found: dict[str, list[Task]] = {}
    for task in tasks:
        alone = task.backend == "autograd"
        found.setdefault(task.identity if alone else attrs.evolve(task, seed=0).identity, []).append(task)
    return list(found.values())


def _results(bundled: Sequence[Sequence[Task]], executor: Executor, at_once: int) -> Iterator[Result]:
    """Results as they come; no more than `at_once` bundles are under way, so that an end comes soon when it must."""
    waiting, running = iter(bundled), set[Future]()
    for bundle in waiting:
        running.add(_submitted(executor, bundle))
        if len(running) >= at_once:
            yield from _ended(running)
    while running:
        yield from _ended(running)


def _submitted(executor: Executor, bundle: Sequence[Task]) -> Future:
    try:
        return executor.submit(run_tasks, bundle)
    except BrokenExecutor as error:
        raise WorkerLostError(LOST) from error
    except RuntimeError as error:
        # a process that is being started imports the script that started it, which must not start more
        raise WorkerLostError(
            "processes cannot be started from here: each one imports the script that it is started from, so a script "
            "must compare under `if __name__ == '__main__':`, or with jobs=1"
        ) from error


def _ended(running: set[Future]) -> Iterator[Result]:
    """Results of at least one of the futures, which are taken out of the set."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= done
    for future in done:
        try:
            yield from future.result()
        except BrokenExecutor as error:
            raise WorkerLostError(LOST) from error
