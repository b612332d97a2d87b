"""What is attempted: declarations, maps, files, checkpoints and command lines, all a little or entirely wrong."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from typer.testing import CliRunner

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.cli.main import app
from manifoldnet.errors import RunError
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.keeping.history_file import read_history
from tests.fuzz.driver import Attempt, mutated, pick

ODD: list[Any] = [
    0, 1, -1, 2, 3, 2.5, float("nan"), float("inf"), "", "x", "h", "a/b", "\n", None, True, [], [1], {}, (), b"x",
    object(), int, print, numpy.zeros(3), numpy.array("a"), 10**6, "y", mn.Real(1), mn.tanh, lambda *a: a,
]  # fmt: skip
MANIFOLDS = [mn.Real(1), mn.Real(2), mn.Interval(0, 1), mn.Sphere(2), mn.Simplex(3), mn.Positive(1), mn.SPD(2)]


def declarations(rng: numpy.random.Generator) -> object:
    """A network whose every word may be wrong, compiled and evaluated if it comes so far."""
    net = mn.Network("n" if rng.random() < 0.95 else pick(rng, ODD))
    handles: list[Any] = []
    for name in ("x", "h", "k"):
        if rng.random() < 0.5:
            handles.append(
                net.input(
                    _or_odd(rng, name),
                    size=_or_odd(rng, int(rng.integers(1, 4))),
                    manifold=_or_odd(rng, pick(rng, MANIFOLDS)),
                )
            )
        else:
            parents = [_parent(rng, handles) for _ in range(int(rng.integers(0, 3)))]
            link = pick(rng, [mn.tanh, mn.logistic, mn.identity, mn.relu, mn.softplus])
            made = mn.Affine(_or_odd(rng, link))
            on = pick(rng, [None, None, *MANIFOLDS, *ODD]) if rng.random() < 0.2 else None
            handles.append(
                net.layer(
                    _or_odd(rng, name), size=_or_odd(rng, int(rng.integers(1, 4))), map=_or_odd(rng, made),
                    parents=_or_odd(rng, parents), manifold=on,
                )
            )  # fmt: skip
    outputs = pick(rng, [mn.SquareLoss(), mn.Bernoulli(), mn.Softmax(), mn.Spherical(), mn.Gaussian()])
    net.interpret(_or_odd(rng, outputs), parents=_or_odd(rng, [pick(rng, handles)]))
    program = mn.compile(net)
    theta = program.initialize(rng)
    return program.output(theta, _or_odd(rng, _inputs(rng, net)))


def _or_odd(rng: numpy.random.Generator, value: Any) -> Any:
    return pick(rng, ODD) if rng.random() < 0.06 else value


def _parent(rng: numpy.random.Generator, handles: list[Any]) -> Any:
    handle = pick(rng, [*handles, *handles, *handles, pick(rng, ODD)]) if handles else pick(rng, ODD)
    wirings = [mn.fan_in(1), mn.fan_out(1), mn.fan_in(99), [[1]], [[1, 0], [0, 1]], numpy.ones((3, 3)), pick(rng, ODD)]
    return (handle, pick(rng, wirings)) if rng.random() < 0.3 else handle


def _inputs(rng: numpy.random.Generator, net: mn.Network) -> Any:
    found = {layer: rng.uniform(0.1, 0.9, (2, 2, 1)) for layer in ("x", "h", "k") if rng.random() < 0.5}
    return pick(
        rng, [found, rng.uniform(0.1, 0.9, (2, int(rng.integers(1, 4)))), numpy.zeros((0, 2)), numpy.ones((2, 3, 3))]
    )


def graphs(rng: numpy.random.Generator) -> object:
    """The graph of a good network with nodes, edges and attributes changed, read back."""
    net = mn.Network("g")
    h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=2)])
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[h])])
    graph = net.graph.copy()
    for _ in range(int(rng.integers(1, 4))):
        nodes, edges = list(graph.nodes), list(graph.edges)
        kind = int(rng.integers(6))
        if kind == 0 and nodes:
            graph.remove_node(pick(rng, nodes))
        elif kind == 1 and edges:
            graph.remove_edge(*pick(rng, edges))
        elif kind == 2 and nodes:
            graph.add_edge(pick(rng, nodes), pick(rng, nodes), position=pick(rng, [0, 1, -1, "x", None]))
        elif kind == 3 and nodes:
            values = graph.nodes[pick(rng, nodes)]
            if values:
                values[pick(rng, list(values))] = pick(rng, ODD)
        elif kind == 4 and nodes:
            values = graph.nodes[pick(rng, nodes)]
            if values:
                del values[pick(rng, list(values))]
        elif edges:
            values = graph.edges[pick(rng, edges)]
            if values:
                values[pick(rng, list(values))] = pick(rng, ODD)
    return mn.compile(mn.Network.from_graph(graph))


def declarations_and_graphs(rng: numpy.random.Generator) -> object:
    return graphs(rng) if rng.random() < 0.4 else declarations(rng)


COUNTER = [0]


def _impure(theta: Any, x: Any) -> Any:
    COUNTER[0] += 1
    return np.tanh(theta[..., 0] * x[..., 0, 0] + COUNTER[0])


# Pieces that user maps are made of: how the parameter and the parent are read, what is done, and what is returned.
READS: list[Callable[[Any, Any], Any]] = [
    lambda t, x: t[..., 0] * x[..., 0, 0],
    lambda t, x: t * x[..., 0],
    lambda t, x: t[0] * x[0],
    lambda t, x: np.sum(x) * t[..., 0],
    lambda t, x: np.sum(x[..., 0], axis=-1) + t[..., 1],
    lambda t, x: t[..., 7],
    lambda t, x: x,
    lambda t, x: t @ x,
    lambda t, x: x[..., 0, 0] / 0.0,
    lambda t, x: np.sum(x, axis=9),
    lambda t, x: np.no_such_function(x),
    lambda t, x: numpy.where(x[..., 0, 0] > 0, t[..., 0], 0.0),
    lambda t, x: x.copy(order=3),
    _impure,
]
DOES: list[Callable[[Any], Any]] = [
    lambda v: v,
    np.tanh,
    lambda v: np.log(v),
    lambda v: np.sqrt(np.abs(v)),
    lambda v: float(v),
    lambda v: v.astype("float32"),
    lambda v: v.astype(int),
    lambda v: 1j * v,
    lambda v: v + numpy.random.standard_normal(),
    lambda v: np.sign(v),
    lambda v: v * numpy.nan,
    lambda v: 1e308 * v * 10.0,
    lambda v: "text",
    lambda v: None,
    lambda v: [v, v],
    lambda v: 1 / 0,
    lambda v: v[..., None],
    lambda v: np.stack([v, v], axis=-1),
    lambda v: v.reshape(-1),
    lambda v: v if numpy.shape(v) and numpy.shape(v)[0] == 1 else 2 * v,
    lambda v: np.exp(np.exp(v)),
    lambda v: exec("raise KeyError('from a map')"),
]


def maps(rng: numpy.random.Generator) -> object:
    """A map put together from pieces, most of them wrong, declared, compiled and differentiated."""
    read, steps = pick(rng, READS), [pick(rng, DOES) for _ in range(int(rng.integers(1, 4)))]
    is_good = rng.random() < 0.05
    if is_good:
        read, steps = READS[4], [np.tanh, np.sign if rng.random() < 0.3 else np.exp]

    def function(theta: Any, x: Any) -> Any:
        value = read(theta, x)
        for step in steps:
            value = step(value)
        return value

    def of_too_few(theta: Any) -> Any:
        return theta

    net = mn.Network("m")
    made = mn.Map(
        function if rng.random() < 0.95 else of_too_few,
        parameters=_or_odd(rng, pick(rng, MANIFOLDS)),
        activity=_or_odd(rng, pick(rng, MANIFOLDS)),
    )
    x = net.input("x", size=2)
    h = net.layer("h", size=2, map=made, parents=[x])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h])])
    program = mn.compile(net)
    theta = program.initialize(rng)
    inputs, targets = rng.standard_normal((3, 2)), rng.standard_normal((3, 1))
    with numpy.errstate(all="ignore"):
        slope = program.differential(theta, inputs, targets)
        return program.metric(mn.Backpropagated(), theta, inputs).solve(slope, damping=mn.Tikhonov(0.1))


def _program() -> mn.Program:
    net = mn.Network("d")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=2)])])
    return mn.compile(net)


def data_files(folder: Path) -> Attempt:
    """CSV and .npz files with damage, read, cleaned or not, and trained on for a step."""
    values = numpy.random.default_rng(0).standard_normal((12, 3))
    csv = ("a,b,c\n" + "\n".join(",".join(f"{v:.3f}" for v in row) for row in values) + "\n").encode()
    numpy.savez(folder / "plain.npz", inputs=values[:, :2], targets=values[:, 2:])
    numpy.savez_compressed(folder / "small.npz", inputs=values[:, :2], targets=values[:, 2:])
    good = {"csv": csv, "plain": (folder / "plain.npz").read_bytes(), "small": (folder / "small.npz").read_bytes()}
    program, before = _program(), set(folder.rglob("*"))

    def attempt(rng: numpy.random.Generator) -> object:
        kind = str(pick(rng, list(good)))
        path = folder / f"bad.{'csv' if kind == 'csv' else 'npz'}"
        is_inside = kind != "csv" and rng.random() < 0.5
        path.write_bytes(_rezipped(rng) if is_inside else mutated(rng, good[kind]))
        try:
            data = mn.read_csv(path, targets=["c"]) if kind == "csv" else mn.read_npz(path)
            data = mn.without_bad_rows(data) if rng.random() < 0.3 else data
            schedule = mn.Minibatches(steps=1, batch=4, damping=mn.Tikhonov(0.1))
            trainer = mn.trainer_for(program, data, mn.Backpropagated(), schedule)
            return trainer.step(trainer.start(program.parameters(numpy.zeros(3)), numpy.random.default_rng(0)))
        finally:
            path.unlink(missing_ok=True)
            assert set(folder.rglob("*")) == before, "a file was left"

    return attempt


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
    """Checkpoints with damage, half of them with checksums that fit it, and histories."""
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
    line = b'{"step": 1, "loss": 0.5, "rate": 0.1, "seconds": 2.0, "accepted": true}\n'

    def attempt(rng: numpy.random.Generator) -> object:
        kind = int(rng.integers(4))
        if kind == 0:
            (folder / "history.jsonl").write_bytes(mutated(rng, 5 * line))
            return read_history(folder / "history.jsonl")
        new_text = mutated(rng, text) if kind == 1 else text
        new_arrays = mutated(rng, arrays) if kind >= 2 else arrays
        if kind == 3 or rng.random() < 0.5:
            new_text = _with_checksums(rng, new_text, new_arrays)
        (folder / f"{name}.json").write_bytes(new_text)
        (folder / f"{name}.npz").write_bytes(new_arrays)
        found = load_checkpoint(folder / f"{name}.json", "run", trainer).state
        return trainer.step(found)

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


WORDS = [
    "train", "describe", "render", "compare", "verify", "--help", "--json", "--seed", "--set", "--metric", "--damping", "--steps",
    "--batch", "--rate", "--output", "--run", "--resume", "--checkpoint", "--charts", "--backend", "--drop-bad-rows", "--debug",
    "natural", "euclidean", "tikhonov:1e-4", "tikhonov:", "floor:0.1+", "none", "all", "0", "1", "2", "-1", "1e9", "nan", "", " ",
    "size=2", "size", "=", "a=b", "size=[1", "seed=3", "size=-1", "size=\x00", "tanh", "autograd", "nowhere/x.npz", "x.txt", ".",
    "..", "\u2603", "--", "-h", "--set=size=1", "--steps=1", "--nonsense",
]  # fmt: skip


def command_lines(folder: Path) -> Attempt:
    """Words in any order, around a spec that takes a moment; nothing may be written but where it is asked for."""
    spec = folder / "spec.py"
    spec.write_text(
        "import numpy\nimport manifoldnet as mn\nschedule = mn.FullBatch(steps=1)\n"
        "def network(seed=0, size=1):\n    net = mn.Network('s', seed=seed)\n"
        "    y = net.layer('y', size=size, map=mn.Affine(), parents=[net.input('x')])\n"
        "    net.interpret(mn.SquareLoss(), parents=[y])\n    return net\n"
        "def data(seed=0):\n    return mn.Dataset(numpy.eye(3)[:, :1], numpy.eye(3)[:, :1])\n",
        encoding="utf-8",
    )
    files = [spec, folder, folder / "none.py", folder / "out.npz", folder / "out.svg", folder / "run"]
    runner = CliRunner()

    def attempt(rng: numpy.random.Generator) -> object:
        words = [str(pick(rng, WORDS)) for _ in range(int(rng.integers(1, 7)))]
        if rng.random() < 0.8:
            # a heavy comparison is no mistake, and is left out
            words = [
                str(pick(rng, ["train", "describe", "render", "compare"])),
                str(pick(rng, [*files, spec, spec, spec])),
                *words,
            ]
        if "compare" in words:
            words += ["--steps", "1", "--seeds", "1"]
        result = runner.invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output or "--debug" in words, (words, result.output)
        assert result.exit_code in (0, 2), (words, result.exit_code, result.output)
        if result.exit_code == 2:
            assert result.output.strip(), words
            raise RunError(f"exit code 2: {result.output[-200:]}")
        return result

    return attempt
