"""Kills training at random instants, over and over, and looks at what it left: `python killing.py FOLDER KILLS SEED`.

A program of its own, because it forks: the children are spared the imports, so that most kills meet training and not its
start. Prints one JSON object.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from manifoldnet.cli.main import app
from manifoldnet.learning.keeping.directory import RunDirectory

SPEC = """
import numpy
import manifoldnet as mn

schedule = mn.Minibatches(steps=120, batch=8, validate_every=5, patience=1000)

def network(seed=0):
    net = mn.Network("small", seed=seed)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h])])
    return net

def data(seed=0):
    rng = numpy.random.default_rng(seed)
    x = rng.standard_normal((60, 3))
    return mn.split(x, numpy.digitize(x[:, 0], [-0.5, 0.5]), seed=seed)
"""
# The longest wait before a kill: a run takes about so long from its start to its end, checkpoints at every step included.
LONGEST = 0.6


def command(*words: str) -> int:
    """The command in this process, silently; its exit code."""
    try:
        app(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def begin(words: list[str]) -> int:
    """The command in a child; its process number."""
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        os._exit(command(*words))
    return child


def end_of(folder: Path) -> tuple[list[str], bytes]:
    """What a run came to: its records without their seconds, and its parameters."""
    run = RunDirectory.open(folder)
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [json.dumps({k: v for k, v in line.items() if k != "seconds"}) for line in lines], run.parameters()[
        "theta"
    ].tobytes()


def newest(folder: Path) -> int:
    """The step of the newest checkpoint whose text is there, -1 without any."""
    return max((int(path.stem) for path in (folder / "checkpoints").glob("[0-9]*.json")), default=-1)


def looked_at(folder: Path, before: int) -> int:
    """Check what a kill left; the newest checkpoint's step. It has not gone back, and the history follows it."""
    if not (folder / "run.json").exists():
        # killed before the directory was one
        return -1
    now = newest(folder)
    assert now >= before, f"the newest checkpoint went back from {before} to {now}"
    content = (folder / "history.jsonl").read_bytes() if (folder / "history.jsonl").exists() else b""
    steps = [json.loads(line)["step"] for line in content.split(b"\n")[:-1]]
    assert steps == list(range(1, len(steps) + 1)), "the history skips or repeats steps"
    assert len(steps) >= now, f"a checkpoint of step {now} with {len(steps)} records"
    if now >= 0:
        RunDirectory.open(folder).parameters()
    return now


def main(folder: Path, kills: int, seed: int) -> dict[str, int]:
    draw, spec = random.Random(seed), folder / "spec.py"
    spec.write_text(SPEC, encoding="utf-8")
    # here and not in a child: so that all that is imported late is there before any is killed
    with contextlib.redirect_stdout(sys.stderr):
        assert command("train", str(spec), "--run", str(folder / "whole")) == 0
    expected = end_of(folder / "whole")
    found = {"kills": 0, "runs": 0, "finished": 0, "resumed": 0, "inside": 0}
    while found["kills"] < kills or found["finished"] < found["runs"]:
        # a run is killed until it has finished; the last one is left alone once there were kills enough
        place, at = folder / f"run{found['runs']}", -1
        found["runs"] += 1
        while not one_life(place, spec, draw.uniform(0.0, LONGEST) if found["kills"] < kills else None):
            found["kills"] += 1
            at = looked_at(place, at)
            if at < 0:
                # nothing had begun: an empty folder, a lock, a copy of the spec may be there
                place = folder / f"{place.name}x"
            found["resumed"] += at >= 0
            found["inside"] += at > 0
        assert end_of(place) == expected, "a run that was killed came to something else"
        found["finished"] += 1
    return found


def one_life(place: Path, spec: Path, wait: float | None) -> bool:
    """Begin or continue a run and kill it after a while, if there is one; whether it finished before."""
    fresh = newest(place) < 0
    words = ["train", str(spec), "--run", str(place)] if fresh else ["train", "--resume", str(place)]
    child = begin([*words, "--checkpoint", "0"])
    if wait is not None:
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"it ended by itself: {os.WEXITSTATUS(status)}"
    return os.WIFEXITED(status)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
