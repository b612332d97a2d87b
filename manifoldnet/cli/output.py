"""What commands print: results to stdout, everything else to stderr."""

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
from rich.console import Console


def results() -> Console:
    """The console for results, at most 80 columns where it is not a terminal."""
    return Console(highlight=False, markup=False, emoji=False)


def remarks() -> Console:
    """The console for progress and remarks."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """Send what is printed in the block to stderr if stdout is to hold JSON alone."""
    if not wanted:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(values: Mapping[str, Any]) -> None:
    """One valid JSON object on stdout; numbers that are not finite become null."""
    print(json.dumps(plain(values), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Values as JSON has them.

    >>> plain({"loss": float("nan"), "steps": numpy.int64(3), "units": (1, 2), "map": print})
    {'loss': None, 'steps': 3, 'units': [1, 2], 'map': '<built-in function print>'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, numpy.ndarray | numpy.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
