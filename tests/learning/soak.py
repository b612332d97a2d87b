"""An endurance run: online training on a stream, with checkpoints, killed at the end: `python soak.py FOLDER MINUTES`.

Every ten seconds the process's memory and its records are looked at. Prints one JSON object with what was seen.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy

from manifoldnet.learning.keeping.directory import RunDirectory

SPEC = """
import numpy
import manifoldnet as mn

schedule = mn.Online(steps=10**9, record_every=1000, damping=mn.Intrinsic(0.03))
metric = "backpropagated"

def network(seed=0):
    net = mn.Network("endless", seed=seed)
    x = net.input("x", size=12)
    h = net.layer("h", size=10, map=mn.Affine(mn.tanh), parents=[x])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[h])])
    return net

def data(seed=0):
    def batches():
        rng = numpy.random.default_rng(seed)
        turn = rng.standard_normal((12, 4))
        while True:
            x = rng.standard_normal((500, 12))
            yield x, (x @ turn + 0.5 * rng.standard_normal((500, 4))).argmax(axis=1)
    return mn.Stream(batches)
"""


def resident(process: int) -> float:
    """The memory of a process in MiB."""
    text = Path(f"/proc/{process}/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * 4096 / 2**20


def watched(folder: Path, minutes: float) -> list[tuple[float, float]]:
    """Train for so long, then kill; (seconds, MiB) as time went."""
    words = [str(folder / "endless.py"), "--run", str(folder / "run"), "--checkpoint", "5"]
    command = [sys.executable, "-W", "error", "-c", "from manifoldnet.cli.main import main; main()", "train", *words]
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        began, seen = time.monotonic(), []
        while time.monotonic() - began < 60.0 * minutes:
            time.sleep(min(10.0, 6.0 * minutes))
            assert process.poll() is None, (folder / "said.txt").read_text(encoding="utf-8")
            seen.append((time.monotonic() - began, resident(process.pid)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    return seen


def main(folder: Path, minutes: float) -> dict[str, Any]:
    (folder / "endless.py").write_text(SPEC, encoding="utf-8")
    seen = numpy.array(watched(folder, minutes))
    run = RunDirectory.open(folder / "run")
    history = run.history
    saved = max(int(path.stem) for path in (folder / "run" / "checkpoints").glob("[0-9]*.json"))
    again = ["train", "--resume", str(folder / "run"), "--steps", str(saved + 1000), "--json"]
    command = [sys.executable, "-c", "from manifoldnet.cli.main import main; main()", *again]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, steps = history.column("seconds"), history.column("step")
    pace = numpy.diff(seconds) / numpy.diff(steps)
    half, third = len(seen) // 2, max(1, len(pace) // 3)
    return {
        "minutes": minutes,
        "samples": int(steps[-1]),
        "MiB at a tenth, half, end": [round(float(seen[i, 1]), 1) for i in (len(seen) // 10, half, -1)],
        "us a sample, first and last third": [
            round(1e6 * float(numpy.median(p)), 1) for p in (pace[:third], pace[-third:])
        ],
        "loss, first and last": [round(float(history.column("loss")[i]), 4) for i in (0, -1)],
        "cancelled": int((history.column("accepted") == 0).sum()),
        "lost by the kill": int(steps[-1]) - saved,
        "resumed to": json.loads(done.stdout)["steps"],
        "saved": saved,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), float(sys.argv[2]))))
