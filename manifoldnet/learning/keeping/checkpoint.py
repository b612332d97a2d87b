"""Checkpoints: a state of training as an archive of arrays and a text beside it, each with a checksum."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.errors import DataError, ManifoldNetError, RunError
from manifoldnet.learning.archives import read_archive, write_archive
from manifoldnet.learning.files import settle, written_whole
from manifoldnet.learning.generator import restored
from manifoldnet.learning.state import Best, Position, State
from manifoldnet.learning.trainer import Trainer

FORMAT, VERSION = "manifoldnet checkpoint", 1
KEPT = 2
ESTIMATE = "estimate."
# A text with the state of a generator takes some thousand bytes.
LARGEST_TEXT = 2**20


@final
@attrs.frozen(eq=False)
class Checkpoint:
    """A state read from a file, and how many bytes of history belong to it."""

    state: State
    history_bytes: int
    place: Path


def save_checkpoint(folder: Path, run: str, trainer: Trainer, state: State, history_bytes: int) -> None:
    """Write a state into a folder and take away all but the last two; OSError leaves the older ones as they are.

    The text is written last, so that a checkpoint is one only when both files are whole.
    """
    name = f"{state.step:012d}"
    archive = folder / f"{name}.npz"
    with written_whole(archive) as temporary:
        write_archive(temporary, _arrays(trainer, state), compress=False)
        digest, size = _digest(temporary), temporary.stat().st_size
    about = {
        "format": FORMAT,
        "version": VERSION,
        "run": run,
        "history_bytes": history_bytes,
        "archive": {"name": archive.name, "bytes": size, "sha256": digest},
        "state": _scalars(state),
    }
    text = json.dumps({**about, "checksum": _checksum(about)}, indent=1, allow_nan=False)
    with written_whole(folder / f"{name}.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for old in sorted(folder.glob("[0-9]*.json"))[:-KEPT]:
        # the text first: an archive without one is no checkpoint
        old.unlink(missing_ok=True)
        old.with_suffix(".npz").unlink(missing_ok=True)


def clear_leftovers(folder: Path) -> None:
    """Take away what a killed process left: files half written, and archives without a text."""
    for path in [*folder.glob(".*.partial*"), *folder.glob("*.npz")]:
        if path.name.startswith(".") or not path.with_suffix(".json").exists():
            path.unlink(missing_ok=True)
    settle(folder)


def latest_checkpoint(folder: Path, run: str, trainer: Trainer) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, with remarks on newer ones that are not; RunError where none is.

    Those that are not are set aside, under names that end in `.damaged`, once an older one is found.
    """
    remarks: list[str] = []
    damaged: list[Path] = []
    for path in sorted(folder.glob("[0-9]*.json"), reverse=True):
        try:
            found = load_checkpoint(path, run, trainer)
        except (ManifoldNetError, OSError) as error:
            damaged.append(path)
            remarks.append(f"the checkpoint {path.name} cannot be used: {error}")
        else:
            for bad in damaged:
                _set_aside(bad)
            return found, remarks
    raise RunError(f"{folder} holds no checkpoint that can be used. " + ". ".join(remarks))


def _set_aside(text: Path) -> None:
    for path in (text, text.with_suffix(".npz")):
        if path.exists():
            path.replace(path.with_name(path.name + ".damaged"))


def load_checkpoint(path: Path, run: str, trainer: Trainer) -> Checkpoint:
    """Read and check one; raises RunError or DataError for one that is damaged, foreign, or does not fit."""
    about = read_text(path)
    archive = path.with_suffix(".npz")
    if about["run"] != run:
        raise RunError(f"it belongs to another run ({about['run']}, expected {run})")
    if about["archive"]["name"] != archive.name:
        raise RunError(f"its arrays are expected in {archive.name}, it names another file")
    size = archive.stat().st_size if archive.exists() else -1
    if size != about["archive"]["bytes"] or _digest(archive) != about["archive"]["sha256"]:
        raise RunError(f"{archive.name} is not the file that was written: its size or checksum differs")
    # arrays are stored as they are: they cannot take more than the file does
    arrays = read_archive(archive, limit=size)
    return Checkpoint(_state(about["state"], arrays, trainer), _whole(about, "history_bytes"), path)


def read_text(path: Path) -> dict[str, Any]:
    """The text of a checkpoint once its checksum is right; raises RunError."""
    if path.stat().st_size > LARGEST_TEXT:
        raise RunError(f"{path.name} has {path.stat().st_size} bytes, expected at most {LARGEST_TEXT}")
    try:
        about = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RunError(f"{path.name} is no checkpoint of manifoldnet")
    if about.get("version") != VERSION:
        raise RunError(f"{path.name} is of version {about.get('version')!r}, this manifoldnet reads {VERSION}")
    checksum = about.pop("checksum", None)
    keys = {"run": str, "history_bytes": int, "archive": dict, "state": dict}
    if checksum != _checksum(about) or any(type(about.get(key)) is not kind for key, kind in keys.items()):
        raise RunError(f"{path.name} is damaged: its checksum does not fit")
    if about["archive"].keys() != {"name", "bytes", "sha256"}:
        raise RunError(f"{path.name} is damaged: it does not tell name, size and checksum of its arrays")
    return about


def checkpoint_parameters(path: Path, run: str) -> dict[str, NDArray]:
    """The flat vectors of a checkpoint, without a trainer: `theta`, `trusted`, and `best` where there is one."""
    about = read_text(path)
    archive = path.with_suffix(".npz")
    if about["run"] != run or _digest(archive) != about["archive"]["sha256"]:
        raise RunError(f"{archive.name} is damaged, or belongs to another run")
    arrays = read_archive(archive, limit=archive.stat().st_size)
    return {name: values for name, values in arrays.items() if not name.startswith(ESTIMATE)}


def _arrays(trainer: Trainer, state: State) -> dict[str, NDArray]:
    found = {"theta": state.theta.flat, "trusted": state.trusted.flat}
    if state.best.theta is not None:
        found["best"] = state.best.theta.flat
    estimate = trainer.estimate_arrays(state.estimate)
    return {**found, **{ESTIMATE + name: numpy.asarray(values) for name, values in estimate.items()}}


def _scalars(state: State) -> dict[str, Any]:
    best = {"loss": _finite(state.best.loss), "step": state.best.step, "worse": state.best.worse}
    return {
        "step": state.step,
        "rate": float(state.rate),
        "rng": state.rng,
        "position": attrs.asdict(state.position),
        "best": best,
        "cuts": state.cuts,
        "seconds": state.seconds,
        "ended": state.ended,
        "pending": list(state.pending),
        "began": None if state.began is None else _finite(state.began),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _state(about: Mapping[str, Any], arrays: Mapping[str, NDArray], trainer: Trainer) -> State:
    try:
        theta, trusted = (_parameters(arrays, name, trainer) for name in ("theta", "trusted"))
        best = _parameters(arrays, "best", trainer) if "best" in arrays else None
        estimate = {n.removeprefix(ESTIMATE): values for n, values in arrays.items() if n.startswith(ESTIMATE)}
        restored(about["rng"])
        loss = about["best"]["loss"]
        return State(
            step=_whole(about, "step"),
            theta=theta,
            trusted=theta if numpy.array_equal(theta.flat, trusted.flat) else trusted,
            rate=float(about["rate"]),
            rng=about["rng"],
            position=_position(about["position"]),
            estimate=trainer.estimate_from(estimate),
            best=Best(
                math.inf if loss is None else float(loss),
                best,
                _whole(about["best"], "step"),
                _whole(about["best"], "worse"),
            ),
            cuts=_whole(about, "cuts"),
            seconds=float(about["seconds"]),
            ended=None if about["ended"] is None else str(about["ended"]),
            pending=(float(about["pending"][0]), _counted(about["pending"][1], "pending")),
            began=_began(about.get("began")),
        )
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ManifoldNetError):
            raise
        raise DataError(f"the checkpoint does not hold a state of training: {error}") from error


def _began(value: Any) -> float | None:
    """None where it was infinite, which nothing is worse than, or where no samples are looked at."""
    if value is None:
        return None
    if not math.isfinite(float(value)):
        raise DataError(f"began must be a finite loss, found {value}")
    return float(value)


def _position(about: Mapping[str, Any]) -> Position:
    order = about["order"]
    if order is not None:
        restored(order)
    return Position(_whole(about, "epoch"), _whole(about, "batch"), order)


def _parameters(arrays: Mapping[str, NDArray], name: str, trainer: Trainer) -> Parameters:
    if name not in arrays:
        raise DataError(f"the checkpoint holds no {name!r}")
    return trainer.program.parameters(arrays[name])


def _whole(values: Mapping[str, Any], key: str) -> int:
    return _counted(values[key], key)


def _counted(value: Any, name: str) -> int:
    # a count that no float holds would end in an overflow some steps later
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise DataError(f"{name} must be a whole number below 2^53, found {str(value)[:40]}")
    return value


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checksum(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
