"""What training shows while it runs."""

import io
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from manifoldnet.cli.progress import PLAIN_LINES, LiveLine, PlainLines, watch
from manifoldnet.learning.history import Record
from manifoldnet.learning.schedule import FullBatch, Minibatches


def records(steps: int) -> list[Record]:
    """A loss of 2^-step nats, a second each, validated at every tenth step."""
    return [
        Record(
            step,
            math.log(2.0) / step,
            0.01,
            float(step),
            validation_loss=1.0 if step % 10 == 0 else None,
            accuracy=0.987 if step % 10 == 0 else None,
        )
        for step in range(1, steps + 1)
    ]


def plain(schedule: FullBatch | Minibatches, steps: int) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with watch(console, schedule) as watcher:
        assert isinstance(watcher, PlainLines)
        for record in records(steps):
            watcher.see(record)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@settings(max_examples=30)
@given(st.integers(1, 3000))
def test_plain_lines_are_few_and_show_the_first_and_the_last_step(steps: int) -> None:
    lines = plain(FullBatch(steps=steps), steps)
    numbers = [int(re.findall(r"step +(\d+)/", line)[0]) for line in lines]
    assert len(lines) <= PLAIN_LINES and (numbers[0], numbers[-1]) == (1, steps)
    assert len(lines) >= min(steps, PLAIN_LINES // 2)


def test_a_plain_line_tells_loss_rate_validation_and_time_left() -> None:
    line = plain(FullBatch(steps=100), 100)[2]
    assert line == "step  12/100  0.08333 bits  rate 0.01  validation 1.44 bits, 98.7%  1:28 left"


def test_the_loss_of_minibatches_is_averaged() -> None:
    line = plain(Minibatches(steps=2), 2)[-1]
    assert "0.7500 bits" in line


@pytest.mark.parametrize("schedule", [FullBatch(steps=1_000_000), Minibatches(steps=1_000_000)])
def test_the_live_line_fits_80_columns(schedule: FullBatch | Minibatches) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with watch(console, schedule) as watcher:
        assert isinstance(watcher, LiveLine)
        for record in records(123456)[-1000:]:
            watcher.see(record)
    last = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n").splitlines()  # type: ignore[attr-defined]
    shown = [line for line in last if "123456/1000000" in line]
    assert shown and all(len(line.rstrip()) <= 80 for line in last)
    assert "bits  rate 0.01  validation 98.7%" in shown[-1]


def test_an_interruption_before_the_first_step_shows_nothing_wrong() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with pytest.raises(KeyboardInterrupt), watch(console, FullBatch(steps=5)):
        raise KeyboardInterrupt
    assert "0/5" in console.file.getvalue()  # type: ignore[attr-defined]
