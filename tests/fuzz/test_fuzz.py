"""Bad input of six kinds: some hundreds in every run, ten thousand of each with `-m slow`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import attempts, stored
from tests.fuzz.driver import Attempt, tried

KINDS: dict[str, Callable[[Path], Attempt]] = {
    "graphs and declarations": lambda folder: attempts.declarations_and_graphs,
    "user maps": lambda folder: attempts.maps,
    "data files": stored.data_files,
    "checkpoints": stored.checkpoints,
    "files of others": stored.exchanged_files,
    "command lines": attempts.command_lines,
}
FEW = {
    "graphs and declarations": 150, "user maps": 100, "data files": 150, "checkpoints": 150, "files of others": 150,
    "command lines": 40,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_a_result_or_an_error_of_ours(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = tried(KINDS[kind](tmp_path), FEW[kind], 0)
    assert sum(found.values()) == FEW[kind] and found["a result"] < FEW[kind]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_of_each(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = tried(KINDS[kind](tmp_path), 10_000, 1)
    print(kind, dict(found))
    assert sum(found.values()) == 10_000 and 0 < found["a result"] < 10_000
