"""Histories of training as CSV and JSON, one record a step."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from manifoldnet.errors import DataError
from manifoldnet.learning.files import written_whole
from manifoldnet.learning.history import History, Record

SUFFIXES = (".csv", ".json")
FIELDS = tuple(field.name for field in attrs.fields(Record))
REQUIRED = tuple(field.name for field in attrs.fields(Record) if field.default is attrs.NOTHING)
INTEGERS, TRUTHS, TEXTS = {"step"}, {"accepted"}, {"trouble", "remark"}
OPTIONAL = {"validation_loss", "accuracy", "trouble", "remark"}
WORDS = {"true": True, "false": False, "True": True, "False": False}


def to_records(history: History) -> list[dict[str, Any]]:
    """Records as mappings, as a table of any kind takes them: `pandas.DataFrame(to_records(history))`.

    >>> to_records(History((Record(1, 0.5, 0.1, 0.25),)))[0]["loss"]
    0.5
    """
    return [attrs.asdict(record) for record in history.records]


def write_history(history: History, path: str | Path) -> Path:
    """Write a history as .csv (a header, empty where there is no value) or .json (a list of records); whole or not at all.

    Losses are in nats. Numbers lead back to themselves to the last bit; those that are not finite are written as the
    texts "inf", "-inf" and "nan". Raises DataError for another suffix.
    """
    place = Path(path)
    text = _as_json(history) if _suffix(place) == ".json" else _as_csv(history)
    with written_whole(place) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return place


def read_history(path: str | Path) -> History:
    """The history of a .csv or .json file; raises DataError, with the record's number, for anything else."""
    place = Path(path)
    suffix, text = _suffix(place), _text(place)
    rows = _from_json(place, text) if suffix == ".json" else list(csv.DictReader(io.StringIO(text)))
    return History(tuple(_record(place, number, row) for number, row in enumerate(rows, start=1)))


def _text(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is no text in UTF-8: {error}") from error


def _as_csv(history: History) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for record in to_records(history):
        writer.writerow({name: "" if value is None else str(_worded(value)) for name, value in record.items()})
    return out.getvalue()


def _as_json(history: History) -> str:
    rows = [{name: _worded(value) for name, value in record.items()} for record in to_records(history)]
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"


def _worded(value: Any) -> Any:
    """The value, or the word for a number that is not finite, which JSON has not."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return value


def _from_json(place: Path, text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise DataError(f"{place} holds no list of records")
    return rows


def _record(place: Path, number: int, row: Any) -> Record:
    if not isinstance(row, Mapping) or not set(REQUIRED) <= set(row):
        raise DataError(f"{place}: record {number} lacks one of {', '.join(REQUIRED)}")
    try:
        return Record(**{name: _value(name, row[name]) for name in FIELDS if name in row})
    except (ValueError, TypeError) as error:
        raise DataError(f"{place}: record {number} cannot be read: {error}") from error


def _value(name: str, value: Any) -> Any:
    if name in OPTIONAL and value in ("", None):
        return None
    if name in TRUTHS:
        if value not in (*WORDS, True, False):
            raise ValueError(f"{name} is true or false, found {value!r}")
        return WORDS[value] if isinstance(value, str) else value
    if name in TEXTS:
        return str(value)
    return int(value) if name in INTEGERS else float(value)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} does not say how a history is written: its name must end in {' or '.join(SUFFIXES)}")
    return suffix
