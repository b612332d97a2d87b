"""How training shows itself while it runs: a live line on a terminal, a few plain lines elsewhere."""

import abc
import math
import time
from collections import deque
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import Minibatches
from manifoldnet.learning.train import Schedule

# a plain run says so many things at most
PLAIN_LINES = 20
# redrawing the line costs as much as a small step
REDRAW_SECONDS = 0.1


def bits(nats: float) -> float:
    """Losses are nats inside and bits when reported.

    >>> bits(math.log(2))
    1.0
    """
    return nats / math.log(2.0)


@final
class Readings:
    """What to say of the steps so far: the loss, averaged over recent batches, and the last validation."""

    def __init__(self, schedule: Schedule) -> None:
        self._losses: deque[float] = deque(maxlen=25 if isinstance(schedule, Minibatches) else 1)
        self._steps = schedule.steps
        self._record: Record | None = None
        self._validated: Record | None = None

    def see(self, record: Record) -> None:
        self._record = record
        if math.isfinite(record.loss):
            self._losses.append(record.loss)
        if record.validation_loss is not None:
            self._validated = record

    @property
    def step(self) -> int:
        return 0 if self._record is None else self._record.step

    @property
    def place(self) -> str:
        """The step, out of how many."""
        return f"{self.step:>{len(str(self._steps))}}/{self._steps}"

    @property
    def loss(self) -> str:
        if self._record is None:
            return ""
        loss = bits(sum(self._losses) / len(self._losses)) if self._losses else math.nan
        return f"{loss:#.4g} bits  rate {self._record.rate:.2g}"

    @property
    def validation(self) -> list[str]:
        """The score on held-out data in its parts, the most telling last."""
        if self._validated is None or self._validated.validation_loss is None:
            return []
        loss, accuracy = self._validated.validation_loss, self._validated.accuracy
        return [f"{bits(loss):#.3g} bits"] + ([] if accuracy is None else [f"{100.0 * accuracy:.1f}%"])

    @property
    def left(self) -> float:
        """Seconds until the last step, at the pace so far."""
        if self._record is None:
            return math.nan
        return self._record.seconds / self._record.step * (self._steps - self._record.step)


class Watch(abc.ABC):
    """Watches training; a context manager around it."""

    @abc.abstractmethod
    def __enter__(self) -> Self: ...

    @abc.abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abc.abstractmethod
    def see(self, record: Record) -> None:
        """Take notice of a step."""


def watch(console: Console, schedule: Schedule) -> Watch:
    """A live line if the console is a terminal, plain lines else."""
    return LiveLine(console, schedule) if console.is_terminal else PlainLines(console, schedule)


@final
class LiveLine(Watch):
    """One line that is drawn over and over."""

    def __init__(self, console: Console, schedule: Schedule) -> None:
        self._readings, self._drawn = Readings(schedule), 0.0
        self._progress = Progress(
            TextColumn("{task.fields[place]}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task = self._progress.add_task("", total=schedule.steps, place=self._readings.place, said="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        self._progress.stop()

    def see(self, record: Record) -> None:
        self._readings.see(record)
        if time.monotonic() - self._drawn > REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        seen, said = self._readings, self._readings.loss
        if seen.validation:
            # one word of it, so that the line fits 80 columns
            said += f"  validation {seen.validation[-1]}"
        self._progress.update(self._task, completed=seen.step, place=seen.place, said=said)


@final
class PlainLines(Watch):
    """A line now and then, at most twenty in a run."""

    def __init__(self, console: Console, schedule: Schedule) -> None:
        self._console, self._readings, self._steps = console, Readings(schedule), schedule.steps
        self._every = math.ceil(schedule.steps / (PLAIN_LINES - 2))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put away."""

    def see(self, record: Record) -> None:
        self._readings.see(record)
        if record.step in (1, self._steps) or record.step % self._every == 0:
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> str:
        seen = self._readings
        parts = [f"step {seen.place}", seen.loss]
        if seen.validation:
            parts.append(f"validation {', '.join(seen.validation)}")
        if seen.step < self._steps:
            parts.append(f"{clock(seen.left)} left")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, with hours where there are some.

    >>> clock(61.2), clock(3600)
    ('1:01', '1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
