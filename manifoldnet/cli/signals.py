"""Ctrl-C and SIGTERM as requests: the step at hand is finished, and what there is is saved."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def requests_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether someone has asked to stop; who asks twice is obeyed at once, by KeyboardInterrupt.

    Signals reach the main thread alone: elsewhere nobody can ask.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in ASKING}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
