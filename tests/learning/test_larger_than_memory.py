"""Data ten times larger than the memory allowed, trained on at about the speed of reading."""

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from tests.house import tree

# MiB: what the interpreter and the package take with them, and what data may take on top.
ALLOWED = 64

SCRIPT = """
import json, resource, sys, time
import numpy
import manifoldnet as mn
from manifoldnet.learning.train import train

rows, path, allowed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
net = mn.Network("wide")
net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=63)])])
program = mn.compile(net)
metric, how = mn.QuasiDiagonal(mn.Backpropagated()), dict(batch=4096, damping=mn.Floor(0.1) + mn.LeastNorm())
theta, rng = program.parameters(numpy.zeros(64)), numpy.random.default_rng(0)
small = rng.standard_normal((8192, 64)).astype("float32")
train(program, theta, mn.Dataset(small[:, :63], small[:, 63:]), metric, mn.Minibatches(steps=2, **how), rng)
statm = lambda: int(open("/proc/self/statm").read().split()[1]) / 256
before, peak = statm(), 0.0
table = numpy.memmap(path, "float32", "r", shape=(rows, 64))
steps = rows // 4096
began = time.process_time()
trainer = mn.trainer_for(program, mn.Dataset(table[:, :63], table[:, 63:]), metric, mn.Minibatches(steps=steps, **how))
state, looked, began = trainer.start(theta, rng), time.process_time() - began, time.process_time()
anonymous = lambda: sum(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")) / 1024
base = anonymous()
for state, record in trainer.steps_from(state):
    peak = max(peak, anonymous())
print(json.dumps({"looked": looked, "trained": time.process_time() - began, "above": peak - base, "loss": record.loss}))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_data_ten_times_larger_than_memory(tmp_path: Path) -> None:
    """640 MiB of float32, of which 64 MiB may be in memory as anything but the system's cache of files."""
    rows = 10 * ALLOWED * 2**20 // 256
    table = numpy.memmap(tmp_path / "table", "float32", "w+", shape=(rows, 64))
    rng = numpy.random.default_rng(0)
    for start in range(0, rows, 2**16):
        part = table[start : start + 2**16]
        part[:] = rng.standard_normal(part.shape, dtype=numpy.float32)
        part[:, 63] = part[:, :63].sum(axis=1)
    table.flush()
    del table
    words = [sys.executable, "-c", SCRIPT, str(rows), str(tmp_path / "table"), str(ALLOWED)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tree.ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["above"] < ALLOWED
    assert found["loss"] < 1.0
