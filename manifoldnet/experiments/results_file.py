"""A file of results, one line of JSON a task, written as they come: what a killed run resumes from."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import final

from manifoldnet.errors import DataError
from manifoldnet.experiments.task import Result, Task


@final
class ResultsFile:
    """Results kept in a file. Opening reads what is there, and cuts off a last line that a killed run left unfinished.

    `remarks` says so where it happened. Lines are written whole and flushed to the disk before `append` returns.
    Raises DataError, with the line's number, if another line is no result; OSError where the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = ResultsFile(Path(folder, "results.jsonl"))
    ...     kept.append(Result(task=Task(spec="net.py", metric="natural", steps=1), loss=2.5))
    ...     [result.loss for result in ResultsFile(kept.path).results]
    [2.5]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remarks: list[str] = []
        self.results: list[Result] = []
        self._read(path.read_bytes() if path.exists() else b"")

    def done(self, tasks: Iterable[Task]) -> dict[str, Result]:
        """Results that are there for tasks, by their identity; those that failed count as not done."""
        wanted = {task.identity for task in tasks}
        found = {result.task.identity: result for result in self.results if result.error is None}
        return {identity: result for identity, result in found.items() if identity in wanted}

    def append(self, result: Result) -> None:
        """Write one result at the end, all of it at once."""
        line = result.as_json().encode() + b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            written = os.write(handle, line)
            if written != len(line):
                raise OSError(28, f"only {written} of {len(line)} bytes could be written", str(self.path))
            os.fsync(handle)
        finally:
            os.close(handle)
        self.results.append(result)

    def _read(self, content: bytes) -> None:
        whole, _, rest = content.rpartition(b"\n")
        for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
            try:
                self.results.append(Result.from_json(line.decode(errors="replace")))
            except DataError as error:
                raise DataError(f"{self.path}:{number}: {error}; give another file, or take this line out") from error
        if rest:
            os.truncate(self.path, len(content) - len(rest))
            self.remarks.append(f"{self.path}: its last line was cut short, so that task is done again")
