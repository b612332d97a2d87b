"""Mistakes of a person end in one message and exit code 2, an interruption in 130, our own faults in a traceback."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import final

import typer

from manifoldnet.declare.spec import spec_place
from manifoldnet.errors import ManifoldNetError

MISTAKE = 2
INTERRUPTED = 130


@final
class CallError(ManifoldNetError, ValueError):
    """The command line asks for something that there is not."""


@contextlib.contextmanager
def reported(spec: Path, debug: bool) -> Iterator[None]:
    """Turn mistakes in the spec or the call into a message on stderr and exit code 2.

    With `debug` the traceback stands above the message. Exceptions that are neither ours nor from code of
    the spec pass.
    """
    try:
        yield
    except Exception as error:
        message = explained(error, spec)
        if message is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"manifoldnet: {message}", file=sys.stderr)
        raise typer.Exit(MISTAKE) from error


def explained(error: Exception, spec: Path) -> str | None:
    """What to tell the person, with the line of their spec where it arose; None for a fault of ours."""
    place = spec_place(error, spec)
    if isinstance(error, ManifoldNetError):
        located = place != str(spec) and str(spec) not in str(error)
        return f"{place}: {error}" if located else str(error)
    if place != str(spec):
        return f"{place}: {type(error).__name__}: {error} (--debug shows where it came from)"
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f': {error}' if str(error) else ''}. Smaller batches or blocks take less"
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return None
