"""Runs in directories: killed, interrupted, short of disk, damaged, changed, used twice. Nothing is lost, all is told."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest

from manifoldnet.errors import RunError
from manifoldnet.learning.keeping.directory import RunDirectory
from tests.cli.command import mistake, run, run_json, start, strict_json, write_spec
from tests.house import tree
from tests.learning.killing import SPEC, end_of, newest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits are those of POSIX")
LONG = ("--steps", 1_000_000)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_spec(tmp_path, SPEC, "small.py")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose last two checkpoints are of its last two steps; to be copied."""
    folder = tmp_path_factory.mktemp("kept")
    run_json("train", write_spec(folder, SPEC, "small.py"), "--run", folder / "run", "--checkpoint", 0)
    return folder / "run"


@pytest.fixture
def copied(kept: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(kept, tmp_path / "copied"))


def kill_often(folder: Path, kills: int, seed: int) -> dict[str, int]:
    script = Path(__file__).with_name("killing.py")
    words = [sys.executable, "-W", "error", str(script), str(folder), str(kills), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tree.ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == kills and found["finished"] == found["runs"]
    return found


def test_kills_lose_nothing(tmp_path: Path) -> None:
    found = kill_often(tmp_path, 8, 0)
    assert found["inside"] >= 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    """At random instants, of which most are within training, where there is a checkpoint at every step."""
    found = kill_often(tmp_path, 200, 1)
    assert found["inside"] >= 120 and found["runs"] >= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_with_130(number: signal.Signals, spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("train", spec, "--run", folder, "--json", "--checkpoint", 1000, *LONG)
    assert process.stdout is not None and process.stderr is not None
    while "step" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    found = strict_json(told)
    assert found["ended"] == "interrupted" and found["steps"] == newest(folder) > 0
    assert RunDirectory.open(folder).summary == found
    # as if it had not been interrupted
    further = ("--steps", found["steps"] + 20)
    run_json("train", "--resume", folder, *further)
    run_json("train", spec, "--run", tmp_path / "whole", *further)
    assert end_of(folder) == end_of(tmp_path / "whole")


def test_two_signals_end_it_at_once(tmp_path: Path) -> None:
    """A step that does not end cannot hold up who asks twice."""
    text = SPEC.replace("patience=1000", "patience=None")
    text += """
def data(seed=0):
    def batches():
        x = numpy.zeros((8, 3))
        yield x, numpy.zeros(8, dtype=int)
        import sys, time
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(600)
        yield x, numpy.zeros(8, dtype=int)
    return mn.Stream(batches)
"""
    process = start("train", write_spec(tmp_path, text), "--run", tmp_path / "run")
    assert process.stderr is not None
    while "waiting" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said


def test_a_resumed_run_is_the_same_to_the_bit(copied: Path) -> None:
    expected = end_of(copied)
    for path in (copied / "checkpoints").glob("*120*"):
        path.unlink()
    assert run_json("train", "--resume", copied)["steps"] == 120 and end_of(copied) == expected
    for path in (copied / "checkpoints").iterdir():
        path.unlink()
    assert "holds no checkpoint that can be used" in mistake("train", "--resume", copied)


def test_a_run_goes_farther_than_it_was_asked(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_json("train", spec, "--run", folder, "--steps", 30)
    assert run_json("train", "--resume", folder)["steps"] == 30
    assert run_json("train", "--resume", folder, "--steps", 60)["steps"] == 60
    assert run_json("train", "--resume", folder)["steps"] == 60
    assert RunDirectory.open(folder).history.column("step").tolist() == list(range(1, 61))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def nonsense(path: Path) -> None:
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut short": cut_short,
    "a flipped bit": flip,
    "empty": lambda path: os.truncate(path, 0),
    "a pickle": nonsense,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside(damage: str, suffix: str, copied: Path) -> None:
    expected = end_of(copied)
    DAMAGES[damage](copied / "checkpoints" / f"{120:012d}{suffix}")
    result = run("train", "--resume", copied)
    assert result.exit_code == 0, result.stderr
    if (damage, suffix) != ("gone", ".json"):
        assert "000000000120.json cannot be used" in result.stderr and "the one of step 119 is used" in result.stderr
        assert list((copied / "checkpoints").glob("*.damaged"))
    assert end_of(copied) == expected


def test_a_foreign_checkpoint_is_not_used(copied: Path, tmp_path: Path) -> None:
    """One of another run of the same spec, newer than its own."""
    expected = end_of(copied)
    run_json("train", RunDirectory.open(copied).spec, "--run", tmp_path / "other", "--seed", 1)
    for path in (tmp_path / "other" / "checkpoints").glob("*120*"):
        shutil.copy(path, copied / "checkpoints" / path.name)
    result = run("train", "--resume", copied)
    assert result.exit_code == 0 and "belongs to another run" in result.stderr
    assert end_of(copied) == expected


def test_without_any_whole_checkpoint_nothing_is_made_up(copied: Path) -> None:
    for path in (copied / "checkpoints").glob("*.npz"):
        path.write_bytes(b"")
    told = mistake("train", "--resume", copied)
    assert "holds no checkpoint that can be used" in told and "its size or checksum differs" in told


def test_a_history_that_lost_lines_is_refused(copied: Path) -> None:
    cut_short(copied / "history.jsonl")
    assert "put the file back" in mistake("train", "--resume", copied)


def test_a_changed_spec_is_refused_with_what_changed(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_json("train", spec, "--run", folder, "--steps", 5)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    spec.write_text(SPEC.replace("size=4", "size=5"), encoding="utf-8")
    result = run("train", "--resume", folder)
    assert result.exit_code == 2 and "has changed since the run began" in result.stderr
    assert any(line.startswith("-") and "size=4" in line for line in result.stderr.splitlines())
    assert any(line.startswith("+") and "size=5" in line for line in result.stderr.splitlines())
    spec.unlink()
    assert "is no longer there" in mistake("train", "--resume", folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_changed_data_are_refused(tmp_path: Path) -> None:
    numpy.save(tmp_path / "x.npy", numpy.random.default_rng(0).standard_normal((60, 3)))
    text = SPEC.replace("rng.standard_normal((60, 3))", f"numpy.load({str(tmp_path / 'x.npy')!r})")
    spec, folder = write_spec(tmp_path, text), tmp_path / "run"
    run_json("train", spec, "--run", folder, "--steps", 5)
    numpy.save(tmp_path / "x.npy", numpy.random.default_rng(1).standard_normal((60, 3)))
    assert "its data was" in mistake("train", "--resume", folder)


def test_a_second_process_is_refused(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("train", spec, "--run", folder, *LONG)
    assert process.stderr is not None
    try:
        while "step" not in process.stderr.readline():
            assert process.poll() is None
        told = mistake("train", "--resume", folder)
        assert f"is in use by process {process.pid}" in told
        assert mistake("train", spec, "--run", folder).startswith(f"{folder} is in use")
        # who only reads is not kept out
        assert RunDirectory.open(folder).history.records
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert run_json("train", "--resume", folder, "--steps", newest(folder) + 1)["ended"] == "finished"


def test_a_directory_that_is_not_empty_is_refused(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear", encoding="utf-8")
    assert "is not empty" in mistake("train", spec, "--run", folder)
    assert (folder / "letter.txt").read_text(encoding="utf-8") == "dear"
    assert "holds no run" in mistake("train", "--resume", folder)
    assert "holds no run" in mistake("train", "--resume", tmp_path / "nowhere")


def test_what_does_not_go_with_resume_is_refused(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_json("train", spec, "--run", folder, "--steps", 5)
    assert "leave out the spec" in mistake("train", spec, "--resume", folder)
    for words in (("--metric", "natural"), ("--seed", 3), ("--set", "a=1"), ("--charts", "tanh"), ("--batch", 3)):
        assert "only --steps" in mistake("train", "--resume", folder, *words)


def test_a_file_that_may_not_grow_stops_training_cleanly(kept: Path, spec: Path, tmp_path: Path) -> None:
    """What every system has in place of a full disk: a limit on the size of files."""
    expected = end_of(kept)
    folder = tmp_path / "run"
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({9_000}, {9_000}))\n"
    code += "from manifoldnet.cli.main import main; main()"
    words = [sys.executable, "-c", code, "train", str(spec), "--run", str(folder), "--checkpoint", "0"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "history.jsonl" in done.stderr.splitlines()[-1] and "--resume" in done.stderr
    check_whole(folder)
    run_json("train", "--resume", folder)
    assert end_of(folder) == expected
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 9_000


def check_whole(folder: Path) -> None:
    """No half file is left: every checkpoint loads, every line of history is one."""
    directory = RunDirectory.open(folder)
    assert newest(folder) > 0 and directory.parameters()
    assert (folder / "history.jsonl").read_bytes().endswith(b"\n")
    assert directory.history.column("step").tolist() == list(range(1, len(directory.history.records) + 1))
    assert not list(folder.rglob("*.partial*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 100 kB, where we may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk; the test with a limit on the size of files runs everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing(kept: Path, spec: Path, tmp_path: Path, small_disk: Path) -> None:
    expected = end_of(kept)
    folder, ballast = small_disk / "run", small_disk / "ballast"
    ballast.write_bytes(bytes(52_000))
    told = mistake_last("train", spec, "--run", folder, "--checkpoint", 0)
    assert "No space left on device" in told and "--resume" in told
    check_whole(folder)
    assert "No space left" in mistake_last("train", "--resume", folder, "--checkpoint", 0)
    check_whole(folder)
    ballast.unlink()
    run_json("train", "--resume", folder)
    assert end_of(folder) == expected


def mistake_last(*words: object) -> str:
    """The message of a command that ends with exit code 2 after it has reported progress."""
    result = run(*words)
    assert result.exit_code == 2 and result.stdout == "" and "Traceback" not in result.stderr, result.output
    return result.stderr.splitlines()[-1]


def test_damaged_texts_are_told(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_json("train", spec, "--run", folder, "--steps", 3)
    text = (folder / "run.json").read_text(encoding="utf-8")
    for bad in ("{", "[]", text.replace("manifoldnet run", "something"), text.replace('"call"', '"cal"'), "[" * 10_000):
        (folder / "run.json").write_text(bad, encoding="utf-8")
        assert "run.json" in mistake("train", "--resume", folder)
    (folder / "run.json").write_text(text, encoding="utf-8")
    with (folder / "history.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"step": "no", "what": 1}\n')
    with pytest.raises(RunError, match=r"history.jsonl:4: this line is no record"):
        _ = RunDirectory.open(folder).history
