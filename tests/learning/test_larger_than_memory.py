"""Data ten times larger than the memory allowed, trained on at about the speed of reading."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from tests.house import tree

# MiB that data may take beyond what the interpreter, the package and training on small data have taken already.
ALLOWED = 64
COLUMNS = 64

SCRIPT = """
import json, resource, sys, time
from pathlib import Path
import numpy
import manifoldnet as mn
from manifoldnet.learning.train import train
if sys.argv[1] == "parquet":
    import pyarrow.parquet

kind, path, allowed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
net = mn.Network("wide")
net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=63)])])
program = mn.compile(net)
metric, how = mn.QuasiDiagonal(mn.Backpropagated()), dict(batch=4096, damping=mn.Floor(0.1) + mn.LeastNorm())
theta, rng = program.parameters(numpy.zeros(64)), numpy.random.default_rng(0)
small = rng.standard_normal((8192, 64))
train(program, theta, mn.Dataset(small[:, :63], small[:, 63:]), metric, mn.Minibatches(steps=2, **how), rng)
status = lambda key: int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) / 1024
limit = int((status("VmData") + allowed) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def memmap(path):
    table = numpy.memmap(path, "float64", "r").reshape(-1, 64)
    return mn.Dataset(table[:, :63], table[:, 63:])


data = {
    "memmap": memmap,
    "npz": mn.read_npz,
    "csv": lambda path: mn.read_csv(path, targets=["c63"]),
    "parquet": lambda path: mn.read_parquet(path, targets=["c63"]),
}[kind](path)
assert data.samples * 64 * 8 >= 10 * allowed * 2**20
clock = time.process_time()
for start in range(0, data.samples, data.block):
    sum(float(numpy.asarray(part).sum()) for part in data.batch(slice(start, start + data.block)))
reading = time.process_time() - clock
trainer = mn.trainer_for(program, data, metric, mn.Minibatches(steps=-(-data.samples // 4096), **how))
state, clock, base, peak = trainer.start(theta, rng), time.process_time(), status("RssAnon"), 0.0
for state, record in trainer.steps_from(state):
    peak = max(peak, status("RssAnon"))
training = time.process_time() - clock
print(json.dumps({"reading": reading, "training": training, "grown by MiB": peak - base, "loss": record.loss}))
"""


def written(kind: str, folder: Path) -> Path:
    """A file of `kind` with ten times as many numbers as are allowed in memory; the last column is the others' sum."""
    rows, some = 10 * ALLOWED * 2**20 // (8 * COLUMNS), 2**14
    part = numpy.random.default_rng(0).standard_normal((some, COLUMNS))
    part[:, -1] = part[:, :-1].sum(axis=1)
    path, names = folder / f"table.{kind}", [f"c{i}" for i in range(COLUMNS)]
    if kind == "parquet":
        table = pyarrow.table(dict(zip(names, part.T, strict=True)))
        with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
            for _ in range(rows // some):
                writer.write_table(table, row_group_size=4096)
        return path
    if kind == "csv":
        text = io.StringIO()
        numpy.savetxt(text, part, fmt="%.9f", delimiter=",")
        with path.open("w", encoding="ascii") as stream:
            stream.write(",".join(names) + "\n")
            for _ in range(rows // some):
                stream.write(text.getvalue())
        return path
    plain = path.with_suffix(".memmap")
    with plain.open("wb") as raw:
        for _ in range(rows // some):
            part.tofile(raw)
    if kind == "npz":
        whole = numpy.memmap(plain, "float64", "r").reshape(-1, COLUMNS)
        numpy.savez(path, inputs=whole[:, :-1], targets=whole[:, -1:])
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["memmap", "npz", "csv", "parquet"])
def test_data_ten_times_larger_than_memory(kind: str, tmp_path: Path) -> None:
    """640 MiB of numbers, where the system gives the process no more than 64 MiB beyond what it has."""
    words = [sys.executable, "-W", "error", "-c", SCRIPT, kind, str(written(kind, tmp_path)), str(ALLOWED)]
    # threads and pools that only reserve memory would count as memory
    few = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tree.ROOT, env={**os.environ, **few})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(kind, found)
    assert found["grown by MiB"] < ALLOWED
    assert found["loss"] < 1.0


def test_a_row_group_too_large_for_memory_is_told(tmp_path: Path) -> None:
    """Half a gigabyte of equal numbers takes some kilobytes in the file."""
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(numpy.zeros(2**20, "int32")), pyarrow.array([1.0]))
    table = pyarrow.table({f"c{i}": column for i in range(64)})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2**20)
    assert (tmp_path / "t.parquet").stat().st_size < 2**20
    script = SCRIPT.replace("assert data.samples", "data.batch(slice(0, 10))\nassert data.samples")
    words = [sys.executable, "-W", "error", "-c", script, "parquet", str(tmp_path / "t.parquet"), str(ALLOWED)]
    few = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tree.ROOT, env={**os.environ, **few})
    assert "MemoryLimitError" in done.stderr and "row_group_size=" in done.stderr
