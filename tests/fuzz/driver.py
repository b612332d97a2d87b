"""Bad input by the thousand: each attempt ends in a result or in one clear error of ours."""

import linecache
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy

import manifoldnet
from manifoldnet.errors import ManifoldNetError

PACKAGE = str(Path(manifoldnet.__file__).parent)
# An attempt that takes so many seconds of a processor, or of a clock on a busy machine, hangs. The longest, `verify` on
# what `new` has written, takes 12 s of a processor.
SECONDS, PATIENCE = 60, 300

Attempt = Callable[[numpy.random.Generator], object]


def is_ours(error: BaseException) -> bool:
    """Whether it was raised on purpose: an exception of this package, or a `raise` in its code; with words in it."""
    if not str(error):
        return False
    if isinstance(error, ManifoldNetError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return isinstance(error, TypeError | ValueError) and last.filename.startswith(PACKAGE) and line.startswith("raise ")


def tried(attempt: Attempt, count: int, seed: int) -> Counter[str]:
    """What so many attempts ended in; AssertionError with the first that ended in anything else, and its number."""
    found: Counter[str] = Counter()

    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still going on after {SECONDS} s of a processor, or {PATIENCE} s of the clock")

    before = [signal.signal(number, hangs) for number in (signal.SIGALRM, signal.SIGPROF)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for number in range(count):
                found[one(attempt, seed, number)] += 1
    finally:
        _allow(0, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)
    return found


def one(attempt: Attempt, seed: int, number: int) -> str:
    _allow(SECONDS, PATIENCE)
    try:
        attempt(numpy.random.default_rng([seed, number]))
    except Exception as error:
        if not is_ours(error):
            raise AssertionError(f"attempt {number} of seed {seed} ended in {type(error).__name__}: {error}") from error
        return type(error).__name__
    finally:
        _allow(0, 0)
    return "a result"


def _allow(seconds: int, patience: int) -> None:
    """Signals after so many seconds of a processor and of the clock; none for 0."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(patience)


def pick(rng: numpy.random.Generator, options: list) -> object:
    """One of some things, which need not be alike."""
    return options[int(rng.integers(len(options)))]


def mutated(rng: numpy.random.Generator, content: bytes, changes: int = 3) -> bytes:
    """Bytes with some cut out, doubled, changed or put in."""
    data = bytearray(content)
    for _ in range(1 + int(rng.integers(changes))):
        at = int(rng.integers(len(data) + 1))
        kind, length = int(rng.integers(6)), int(rng.integers(1, 20))
        if kind == 0:
            del data[at : at + length]
        elif kind == 1:
            data[at:at] = rng.bytes(length)
        elif kind == 2 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            del data[at:]
        else:
            word = bytes(
                pick(rng, [b"nan", b"1e999", b"-1", b"null", b"0" * 30, b"[", b'"', b"\x00", b"\xff\xfe", b",,", b"\n"])
            )
            data[at : at + len(word)] = word
    return bytes(data)
