"""Files with damage: data, checkpoints, runs, graphs, parameters and histories. Whatever they hold, nothing of it runs."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet

import manifoldnet as mn
from manifoldnet.experiments.results_file import ResultsFile
from manifoldnet.experiments.task import Result, Task
from manifoldnet.interop.graphs import read_graph, write_graph
from manifoldnet.interop.histories import read_history as read_exported
from manifoldnet.interop.histories import write_history
from manifoldnet.interop.parameters import read_parameters, write_parameters
from manifoldnet.learning.history import History, Record
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.keeping.directory import RunDirectory
from manifoldnet.learning.state import State
from manifoldnet.learning.trainer import Trainer
from tests.fuzz.driver import Attempt, mutated, pick


def _network() -> mn.Network:
    net = mn.Network("d")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=2)])])
    return net


def _program() -> mn.Program:
    return mn.compile(_network())


def data_files(folder: Path) -> Attempt:
    """CSV, .npz and Parquet files with damage, read, cleaned or not, and trained on for a step."""
    values = numpy.random.default_rng(0).standard_normal((12, 3))
    csv = ("a,b,c\n" + "\n".join(",".join(f"{v:.3f}" for v in row) for row in values) + "\n").encode()
    numpy.savez(folder / "plain.npz", inputs=values[:, :2], targets=values[:, 2:])
    numpy.savez_compressed(folder / "small.npz", inputs=values[:, :2], targets=values[:, 2:])
    table = pyarrow.table(dict(zip("abc", values.T, strict=True)))
    pyarrow.parquet.write_table(table, folder / "table.parquet", row_group_size=5)
    names = {"plain": "plain.npz", "small": "small.npz", "parquet": "table.parquet"}
    good = {"csv": csv, **{kind: (folder / name).read_bytes() for kind, name in names.items()}}
    program, before = _program(), set(folder.rglob("*"))

    def attempt(rng: numpy.random.Generator) -> object:
        kind = str(pick(rng, list(good)))
        path = folder / f"bad.{kind if kind in ('csv', 'parquet') else 'npz'}"
        is_inside = path.suffix == ".npz" and rng.random() < 0.5
        path.write_bytes(_rezipped(rng) if is_inside else mutated(rng, good[kind]))
        try:
            data = READERS[path.suffix](path)
            data = mn.without_bad_rows(data) if rng.random() < 0.3 else data
            schedule = mn.Minibatches(steps=1, batch=4, damping=mn.Tikhonov(0.1))
            trainer = mn.trainer_for(program, data, mn.Backpropagated(), schedule)
            return trainer.step(trainer.start(program.parameters(numpy.zeros(3)), numpy.random.default_rng(0)))
        finally:
            path.unlink(missing_ok=True)
            assert set(folder.rglob("*")) == before, "a file was left"

    return attempt


READERS: dict[str, Callable[[Path], mn.Dataset]] = {
    ".csv": lambda path: mn.read_csv(path, targets=["c"]),
    ".npz": lambda path: mn.read_npz(path),
    ".parquet": lambda path: mn.read_parquet(path, targets=["c"]),
}


def _rezipped(rng: numpy.random.Generator) -> bytes:
    """A whole archive around damaged arrays, so that the damage is met behind the checksums of the archive."""
    values = numpy.random.default_rng(0).standard_normal((4, 2))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", int(pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:  # type: ignore[arg-type]
        for name, part in (("inputs", values), ("targets", values[:, :1])):
            inner = io.BytesIO()
            numpy.lib.format.write_array(inner, part, allow_pickle=False)
            archive.writestr(f"{name}.npy", mutated(rng, inner.getvalue()) if rng.random() < 0.7 else inner.getvalue())
    return buffer.getvalue()


def checkpoints(folder: Path) -> Attempt:
    """Checkpoints with damage, half of them with checksums that fit it, and the other files of a run."""
    program = _program()
    data = mn.Dataset(numpy.random.default_rng(0).standard_normal((12, 2)), numpy.zeros((12, 1)))
    schedule = mn.Minibatches(steps=9, batch=4, damping=mn.Intrinsic(0.1))
    trainer = mn.trainer_for(program, data, mn.Backpropagated(), schedule)
    state = trainer.start(program.parameters(numpy.ones(3)), numpy.random.default_rng(0))
    for _ in range(3):
        state, _ = trainer.step(state)
    save_checkpoint(folder, "run", trainer, state, 100)
    name = f"{state.step:012d}"
    text, arrays = (folder / f"{name}.json").read_bytes(), (folder / f"{name}.npz").read_bytes()
    run = _run_with_damage(folder / "whole", trainer, state)

    def attempt(rng: numpy.random.Generator) -> object:
        kind = int(rng.integers(4))
        if kind == 0:
            return run(rng)
        new_text = mutated(rng, text) if kind == 1 else text
        new_arrays = mutated(rng, arrays) if kind >= 2 else arrays
        if kind == 3 or rng.random() < 0.5:
            new_text = _with_checksums(rng, new_text, new_arrays)
        (folder / f"{name}.json").write_bytes(new_text)
        (folder / f"{name}.npz").write_bytes(new_arrays)
        found = load_checkpoint(folder / f"{name}.json", "run", trainer).state
        return trainer.step(found)

    return attempt


def _run_with_damage(folder: Path, trainer: Trainer, state: State) -> Attempt:
    """A run one of whose files is damaged, looked at and continued."""
    (folder.parent / "spec.py").write_text("x = 1\n", encoding="utf-8")
    with RunDirectory.create(folder, {"metric": "backpropagated"}, folder.parent / "spec.py") as run:
        for step in range(1, 6):
            run.append(Record(step, 0.5, 0.1, 2.0))
        run.save(trainer, state)
        run.finish({"loss": 0.5})
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def attempt(rng: numpy.random.Generator) -> object:
        for path, content in whole.items():
            path.write_bytes(content)
        path = pick(rng, [path for path in whole if path.name != "lock"])
        assert isinstance(path, Path)
        path.write_bytes(mutated(rng, whole[path]))
        run = RunDirectory.open(folder)
        seen = run.history, run.summary, run.parameters()
        run.require_same_spec()
        with run:
            return seen, run.latest(trainer)

    return attempt


def exchanged_files(folder: Path) -> Attempt:
    """Graphs, parameters, histories and results of comparisons as others may send them, with damage, read."""
    net = _network()
    program = mn.compile(net)
    history = History(tuple(Record(step, 0.5, 0.1, 2.0) for step in range(1, 4)))
    result = Result(task=Task(spec="net.py", metric="natural", steps=2), steps=(1, 2), losses=(0.5, None))
    write_graph(net, folder / "net.json")
    write_graph(net, folder / "net.graphml")
    write_parameters(folder / "theta.npz", program.parameters(numpy.ones(3)))
    write_history(history, folder / "history.json")
    write_history(history, folder / "history.csv")
    ResultsFile(folder / "results.jsonl").append(result)
    readers: dict[str, Callable[[Path], object]] = {
        "net.json": lambda path: mn.compile(read_graph(path)),
        "net.graphml": lambda path: mn.compile(read_graph(path)),
        "theta.npz": lambda path: read_parameters(path, program),
        "history.json": read_exported,
        "history.csv": read_exported,
        "results.jsonl": lambda path: ResultsFile(path).results,
    }
    good = {name: (folder / name).read_bytes() for name in readers}
    before = set(folder.rglob("*"))

    def attempt(rng: numpy.random.Generator) -> object:
        name = str(pick(rng, list(good)))
        (folder / name).write_bytes(mutated(rng, good[name]))
        found = readers[name](folder / name)
        assert set(folder.rglob("*")) == before, "a file was left"
        return found

    return attempt


def _with_checksums(rng: numpy.random.Generator, text: bytes, arrays: bytes) -> bytes:
    """The text with one value changed, and checksums as someone would make them who means to be believed."""
    try:
        about = json.loads(text)
        about.pop("checksum", None)
        about["archive"].update(bytes=len(arrays), sha256=hashlib.sha256(arrays).hexdigest())
        place = pick(
            rng, [about, about["state"], about["state"]["best"], about["state"]["position"], about["state"]["rng"]]
        )
        key = pick(rng, list(place))
        place[key] = pick(rng, [None, -1, 1.5, "x", [], {}, 10**400, True, [1], {"a": 1}, place[key]])
        checksum = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return json.dumps({**about, "checksum": checksum}).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return text
