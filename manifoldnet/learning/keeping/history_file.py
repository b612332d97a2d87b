"""The history of a run as a file: one line of JSON a record, appended as they come."""

import json
import math
import os
from pathlib import Path
from typing import Any, final

import attrs

from manifoldnet.errors import RunError
from manifoldnet.learning.history import History, Record

FIELDS = {field.name for field in attrs.fields(Record)}


@final
class HistoryFile:
    """Appends records; `size` is how many bytes they take. A record is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._path = path
        self.size = os.lseek(self._handle, 0, os.SEEK_END)

    def close(self) -> None:
        os.close(self._handle)

    def append(self, record: Record) -> None:
        """One line more; where it cannot be written whole, OSError, and none of it stays."""
        line = as_line(record)
        try:
            written = os.write(self._handle, line)
            if written != len(line):
                raise OSError(28, f"only {written} of {len(line)} bytes could be written")
        except OSError as error:
            self.cut(self.size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self.size += len(line)

    def reach_the_disk(self) -> None:
        os.fsync(self._handle)

    def cut(self, size: int) -> None:
        """Forget all records after the first `size` bytes."""
        os.ftruncate(self._handle, size)
        os.lseek(self._handle, 0, os.SEEK_END)
        self.size = size


def as_line(record: Record) -> bytes:
    """A record as a line; numbers that are not finite are null, and what there is not is left out.

    >>> as_line(Record(1, 0.5, 0.1, 2.0))
    b'{"step": 1, "loss": 0.5, "rate": 0.1, "seconds": 2.0, "accepted": true}\\n'
    """
    values = {key: value for key, value in attrs.asdict(record).items() if value is not None}
    plain = {key: _plain(value) for key, value in values.items()}
    return json.dumps(plain, allow_nan=False).encode() + b"\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_history(path: Path) -> History:
    """The records of a file, without a last line that is cut short; raises RunError for other lines that are no records.

    A run may be writing it meanwhile. Losses that were not finite come back as NaN.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    return History(tuple(_record(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)))


def _record(line: bytes, place: str) -> Record:
    try:
        values = json.loads(line)
        if not isinstance(values, dict) or not values.keys() <= FIELDS:
            raise RunError(f"{place}: this line is no record of training")
        floats = {key: math.nan for key in ("loss", "rate", "validation_loss") if key in values and values[key] is None}
        return Record(**{**values, **floats})
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{place}: this line is no record of training: {error}") from error
