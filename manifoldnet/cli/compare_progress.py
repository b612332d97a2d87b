"""How a comparison shows itself while it runs: a line for each result, and on a terminal a bar below them."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from manifoldnet.cli.progress import clock
from manifoldnet.experiments.task import Result, Task


@final
class Pace:
    """How long the tasks that are left will take: each as long as those of its method did, or else of all methods."""

    def __init__(self, tasks: Iterable[Task], at_once: int) -> None:
        self._left = {task.identity: task for task in tasks}
        self._at_once = at_once
        self._durations: dict[str, list[float]] = {}
        self.total = len(self._left)

    def see(self, result: Result) -> None:
        self._left.pop(result.task.identity, None)
        self._durations.setdefault(result.task.metric, []).append(result.duration)

    @property
    def done(self) -> int:
        return self.total - len(self._left)

    @property
    def seconds(self) -> float | None:
        """Seconds left, None before the first result."""
        known = [value for values in self._durations.values() for value in values]
        if not known:
            return None
        usual = {metric: sum(values) / len(values) for metric, values in self._durations.items()}
        overall = sum(known) / len(known)
        return sum(usual.get(task.metric, overall) for task in self._left.values()) / self._at_once


@final
class ComparisonWatch:
    """Tells of results as they come; a context manager around them."""

    def __init__(self, console: Console, pace: Pace) -> None:
        self._console, self._pace = console, pace
        self._started = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total} runs"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("", total=pace.total, left="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def see(self, result: Result) -> None:
        """A result has come."""
        self._pace.see(result)
        seconds = self._pace.seconds
        left = "" if not seconds else f"about {clock(seconds)} left"
        self._progress.update(self._bar, completed=self._pace.done, left=left)
        place = f"{self._pace.done:>{len(str(self._pace.total))}}/{self._pace.total}"
        said = f"{place}  {told(result)}" + ("" if self._console.is_terminal or not left else f"  {left}")
        self._console.print(said, soft_wrap=True)


def told(result: Result) -> str:
    """A result in one line.

    >>> told(Result(task=Task(spec="a.py", metric="natural", steps=9), steps=(9,), seconds=(0.51,), loss=2.5))
    'natural, declared, seed 0: 2.500 bits after 9 steps in 0.5 s'
    """
    task = result.task
    name = f"{task.metric}, {task.charts}, seed {task.seed}"
    if result.error is not None:
        return f"{name} FAILED: {result.error}"
    loss = "a loss that is not finite" if result.loss is None else f"{result.loss:#.4g} bits"
    return f"{name}: {loss} after {result.step_count:,} steps in {result.duration:.1f} s"
