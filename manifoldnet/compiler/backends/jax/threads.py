"""How many threads JAX computes with on a processor: as many as the process may use processors when its client starts."""

import os
from pathlib import Path

import jax

# The threads of this process, by number, where the system tells (Linux).
_THREADS = Path("/proc/self/task")


def start_with_one_thread() -> None:
    """Start JAX's client with a single thread to compute with, in a process that has not computed anything yet.

    JAX has no option for that: while the client starts, the process may use one processor alone, and all of them
    afterwards. Nothing changes where the system does not let a process choose, or where the client has been started.
    """
    if not hasattr(os, "sched_setaffinity"):
        jax.devices()
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        jax.devices()
    finally:
        _allow(allowed)


def _allow(processors: set[int]) -> int:
    """Let every thread of the process use processors, since those that were started keep to what was allowed then; how
    many ended before their turn."""
    ended = 0
    for thread in _THREADS.iterdir():
        try:
            os.sched_setaffinity(int(thread.name), processors)
        except ProcessLookupError:
            ended += 1
    return ended


__all__ = ["start_with_one_thread"]
