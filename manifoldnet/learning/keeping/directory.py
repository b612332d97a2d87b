"""A run of training in a directory: what was asked, what happened, and states to continue from."""

import datetime
import difflib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy

from manifoldnet.errors import RunError
from manifoldnet.learning.files import settle, written_whole
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.keeping.checkpoint import (
    checkpoint_parameters,
    clear_leftovers,
    latest_checkpoint,
    save_checkpoint,
)
from manifoldnet.learning.keeping.history_file import HistoryFile, read_history
from manifoldnet.learning.keeping.lock import Lock
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Trainer

FORMAT, VERSION = "manifoldnet run", 1
ABOUT, SPEC, HISTORY, SUMMARY, CHECKPOINTS, LOCK = (
    "run.json",
    "spec.py",
    "history.jsonl",
    "summary.json",
    "checkpoints",
    "lock",
)
LARGEST_TEXT = 16 * 2**20
SHOWN_LINES = 20


@final
class RunDirectory:
    """A directory that holds a run. Reading needs no more; writing is for one process at a time, in a `with` block.

    See docs/training.md for the files. Nothing in it is ever run, the copy of the spec neither.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], lock: Lock | None = None) -> None:
        self.path, self.about = path, dict(about)
        self._lock = lock
        self._history: HistoryFile | None = None
        self._saved = time.monotonic()

    @classmethod
    def create(cls, path: Path, about: Mapping[str, Any], spec: Path) -> "RunDirectory":
        """A new one, with `about` and a copy of the spec, held for writing; RunError where there is something already."""
        path.mkdir(parents=True, exist_ok=True)
        lock = Lock(path / LOCK).__enter__()
        try:
            return cls(path, _begun(path, about, spec), lock)
        except BaseException:
            lock.__exit__(None, None, None)
            raise

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """One that is there; raises RunError if it is none, or of another version."""
        if not (path / ABOUT).is_file():
            raise RunError(f"{path} holds no run: there is no {ABOUT} in it")
        about = read_json(path / ABOUT)
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise RunError(f"{path / ABOUT} is not of a run that this manifoldnet reads ({FORMAT}, version {VERSION})")
        spec = about.get("spec")
        if not isinstance(spec, dict) or not isinstance(about.get("id"), str) or not isinstance(spec.get("path"), str):
            raise RunError(f"{path / ABOUT} is damaged: it tells no id or spec")
        return cls(path, about)

    def __enter__(self) -> Self:
        if self._lock is None:
            self._lock = Lock(self.path / LOCK).__enter__()
        self._history = HistoryFile(self.path / HISTORY)
        clear_leftovers(self.path / CHECKPOINTS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._history is not None:
            self._history.close()
        if self._lock is not None:
            self._lock.__exit__(kind, error, trace)
            self._lock = None

    @property
    def spec(self) -> Path:
        """Where the spec was when the run began."""
        return Path(self.about["spec"]["path"])

    @property
    def history(self) -> History:
        """All records so far; a run may be writing them meanwhile."""
        path = self.path / HISTORY
        return read_history(path) if path.exists() else History(())

    @property
    def summary(self) -> dict[str, Any] | None:
        """What `train --json` prints, as it was when the run last ended; None if it has not yet."""
        path = self.path / SUMMARY
        return read_json(path) if path.exists() else None

    def parameters(self) -> dict[str, numpy.ndarray]:
        """Flat parameters of the newest checkpoint: `theta`, `trusted`, and `best` where there was validation."""
        remarks = []
        for path in sorted((self.path / CHECKPOINTS).glob("[0-9]*.json"), reverse=True):
            try:
                return checkpoint_parameters(path, self.about["id"])
            except (ValueError, OSError) as error:
                remarks.append(f"{path.name}: {error}")
        raise RunError(f"{self.path} holds no checkpoint that can be read. {'. '.join(remarks)}")

    def append(self, record: Record) -> None:
        """Write one record; OSError leaves the history as it was."""
        assert self._history is not None
        self._history.append(record)

    def save(self, trainer: Trainer, state: State) -> None:
        """Write a checkpoint, after all records so far have reached the disk."""
        assert self._history is not None
        self._history.reach_the_disk()
        save_checkpoint(self.path / CHECKPOINTS, self.about["id"], trainer, state, self._history.size)
        self._saved = time.monotonic()

    def seconds_since_saved(self) -> float:
        return time.monotonic() - self._saved

    def latest(self, trainer: Trainer) -> tuple[State, list[str]]:
        """The newest state that can be continued, and remarks on what could not; the history is cut to fit it."""
        assert self._history is not None
        found, remarks = latest_checkpoint(self.path / CHECKPOINTS, self.about["id"], trainer)
        if self._history.size < found.history_bytes:
            raise RunError(
                f"{self.path / HISTORY} has {self._history.size} bytes, the checkpoint of step {found.state.step} was "
                f"written after {found.history_bytes}: put the file back, or begin another run"
            )
        self._history.cut(found.history_bytes)
        return found.state, remarks

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write what came of it."""
        write_json(self.path / SUMMARY, summary)

    def amend(self, about: Mapping[str, Any]) -> None:
        """Replace some of what is said of the run."""
        self.about.update(about)
        write_json(self.path / ABOUT, self.about)

    def require_same_spec(self) -> None:
        """Raise RunError, with what changed, unless the spec is still what it was when the run began."""
        kept = self.path / SPEC
        if not self.spec.is_file():
            raise RunError(f"the spec {self.spec} of this run is no longer there: put it back (a copy is {kept})")
        text = self.spec.read_bytes()
        if hashlib.sha256(text).hexdigest() != self.about["spec"].get("sha256"):
            raise RunError(
                f"{self.spec} has changed since the run began, so it cannot be continued: begin another run, or put "
                f"{kept} back. What changed:\n{_difference(kept, text)}"
            )


def _begun(path: Path, about: Mapping[str, Any], spec: Path) -> dict[str, Any]:
    if any(entry.name != LOCK for entry in path.iterdir()):
        remedy = "continue it by --resume, or give" if (path / ABOUT).exists() else "give"
        raise RunError(f"{path} is not empty: {remedy} the name of a new directory")
    text = spec.read_bytes()
    found = {
        "format": FORMAT,
        "version": VERSION,
        "id": secrets.token_hex(8),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "spec": {"path": str(spec.resolve()), "sha256": hashlib.sha256(text).hexdigest()},
        **about,
    }
    (path / CHECKPOINTS).mkdir()
    with written_whole(path / SPEC) as temporary:
        temporary.write_bytes(text)
    # last of all: a directory without it is none
    write_json(path / ABOUT, found)
    return found


def _difference(kept: Path, text: bytes) -> str:
    before = kept.read_text(encoding="utf-8", errors="replace").splitlines() if kept.exists() else []
    after = text.decode("utf-8", errors="replace").splitlines()
    lines = list(difflib.unified_diff(before, after, "when the run began", "now", n=0, lineterm=""))
    rest = [f"... and {len(lines) - SHOWN_LINES} lines more"] if len(lines) > SHOWN_LINES else []
    return "\n".join([*lines[:SHOWN_LINES], *rest])


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(values, indent=1, allow_nan=False)
    with written_whole(path) as temporary:
        temporary.write_text(text + os.linesep, encoding="utf-8")
    settle(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises RunError if it is none."""
    if path.stat().st_size > LARGEST_TEXT:
        raise RunError(f"{path} has {path.stat().st_size} bytes, expected at most {LARGEST_TEXT}")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} holds {type(found).__name__}, expected an object")
    return found
