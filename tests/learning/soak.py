"""An endurance run: online training on a stream, with checkpoints, killed at the end: `python soak.py FOLDER MINUTES`.

Every ten seconds the process's memory, its processor time and its records are looked at. Prints one JSON object with what
was seen. Samples are timed by the processor: the clock would tell what else the machine does.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

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


def processor_seconds(process: int) -> float:
    """The processor time that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def newest_step(history: Path) -> int:
    """The step of the last whole record of a history that is being written; 0 without any."""
    if not history.exists():
        return 0
    with history.open("rb") as stream:
        stream.seek(max(0, history.stat().st_size - 4096))
        lines = stream.read().split(b"\n")
    # the first of these may have lost its beginning, the last one its end
    return int(json.loads(lines[-2])["step"]) if len(lines) > 2 else 0


def watched(folder: Path, minutes: float) -> list[tuple[int, float, float]]:
    """Train for so long, then kill; (samples, processor seconds, MiB) as time went."""
    words = [str(folder / "endless.py"), "--run", str(folder / "run"), "--checkpoint", "5"]
    command = [sys.executable, "-W", "error", "-c", "from manifoldnet.cli.main import main; main()", "train", *words]
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        began, seen = time.monotonic(), []
        while time.monotonic() - began < 60.0 * minutes:
            time.sleep(min(10.0, 6.0 * minutes))
            assert process.poll() is None, (folder / "said.txt").read_text(encoding="utf-8")
            samples = newest_step(folder / "run" / "history.jsonl")
            seen.append((samples, processor_seconds(process.pid), resident(process.pid)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    return seen


def time_of_one(seen: NDArray[numpy.float64]) -> float:
    """Processor microseconds a sample, from the first look to the last."""
    return round(1e6 * float((seen[-1, 1] - seen[0, 1]) / (seen[-1, 0] - seen[0, 0])), 1)


def main(folder: Path, minutes: float) -> dict[str, Any]:
    (folder / "endless.py").write_text(SPEC, encoding="utf-8")
    seen = numpy.array(watched(folder, minutes))
    run = RunDirectory.open(folder / "run")
    history = run.history
    saved = max(int(path.stem) for path in (folder / "run" / "checkpoints").glob("[0-9]*.json"))
    again = ["train", "--resume", str(folder / "run"), "--steps", str(saved + 1000), "--json"]
    command = [sys.executable, "-c", "from manifoldnet.cli.main import main; main()", *again]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    steps, half, third = history.column("step"), len(seen) // 2, max(1, len(seen) // 3)
    return {
        "minutes": minutes,
        "samples": int(steps[-1]),
        "MiB at a tenth, half, end": [round(float(seen[i, 2]), 1) for i in (len(seen) // 10, half, -1)],
        "processor us a sample, by thirds": [
            time_of_one(seen[i : i + third + 1]) for i in (0, third, len(seen) - third - 1)
        ],
        "loss, first and last": [round(float(history.column("loss")[i]), 4) for i in (0, -1)],
        "cancelled": int((history.column("accepted") == 0).sum()),
        "lost by the kill": int(steps[-1]) - saved,
        "resumed to": json.loads(done.stdout)["steps"],
        "saved": saved,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), float(sys.argv[2]))))
