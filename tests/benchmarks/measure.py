"""Medians of interleaved repeats in process time, on one thread."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping

import numpy
from threadpoolctl import threadpool_limits

# An entry is repeated within one reading until this many seconds have passed, so that the clock's grain is nothing.
_READING = 0.004

# Of float64: 16 MiB.
_LARGE = 2**21


def interleaved(entries: Mapping[str, Callable[[], object]], seconds: float = 1.0) -> dict[str, float]:
    """Seconds of process time that each entry takes: the median over readings that take turns.

    `seconds` is about what all readings of one entry take together.
    """
    _keep_what_is_freed()
    with threadpool_limits(limits=1):
        counts = {name: _count(entry) for name, entry in entries.items()}
        longest = max(_reading(entry, counts[name]) * counts[name] for name, entry in entries.items())
        readings: dict[str, list[float]] = {name: [] for name in entries}
        gc.collect()
        gc.disable()
        try:
            for _ in range(max(3, round(seconds / longest))):
                for name, entry in entries.items():
                    readings[name].append(_reading(entry, counts[name]))
        finally:
            gc.enable()
    return {name: statistics.median(found) for name, found in readings.items()}


def _keep_what_is_freed() -> None:
    """Free a large array, as any program has done that has read data.

    The GNU C library hands the end of its heap back to the system when more is free there than twice the largest array
    that was freed so far. In a process that has only ever had small ones it is chance whether every step does so, and
    whether it then pays a third of its time again for memory that is new to it.
    """
    numpy.empty(_LARGE)


def _count(entry: Callable[[], object]) -> int:
    entry()
    return max(1, round(_READING / max(1e-6, _reading(entry, 3))))


def _reading(entry: Callable[[], object], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        entry()
    return (time.process_time() - start) / count
