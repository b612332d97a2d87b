"""What is attempted: declarations, maps and command lines, all a little or entirely wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from typer.testing import CliRunner

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.cli.main import app
from manifoldnet.errors import RunError
from manifoldnet.learning.archives import read_archive
from tests.fuzz.driver import Attempt, pick

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


WORDS = [
    "train", "describe", "render", "compare", "verify", "--help", "--json", "--seed", "--set", "--metric", "--damping", "--steps",
    "--batch", "--rate", "--output", "--run", "--resume", "--checkpoint", "--charts", "--backend", "--drop-bad-rows", "--debug",
    "natural", "euclidean", "tikhonov:1e-4", "tikhonov:", "floor:0.1+", "none", "all", "0", "1", "2", "-1", "1e9", "nan", "", " ",
    "size=2", "size", "=", "a=b", "size=[1", "seed=3", "size=-1", "size=\x00", "tanh", "autograd", "nowhere/x.npz", "x.txt", ".",
    "..", "\u2603", "--", "-h", "--set=size=1", "--steps=1", "--nonsense",
]  # fmt: skip


# Options with values that serve and values that do not.
VALUES: dict[str, list[str]] = {
    "--seed": ["0", "3", "-1", "x", "1e3", "99999999999999999999"],
    "--set": ["size=2", "size=0", "size=-1", "size=[1", "sizes=2", "size", "=", "size=null", "size=1e400", "seed=1"],
    "--metric": ["natural", "euclidean", "quasi-diagonal-natural", "adagrad", "natura", "", "natural,euclidean"],
    "--damping": ["tikhonov:1e-4", "intrinsic:0.03", "floor:0.1+least-norm", "none", "tikhonov:", "x:1", "tikhonov:-1", "+"],
    "--steps": ["1", "2", "0", "-1", "1.5", "nan", ""],
    "--batch": ["all", "1", "2", "0", "-3", "many", "100000000000"],
    "--rate": ["0.1", "0", "-1", "nan", "inf", "x"],
    "--charts": ["declared", "sigmoid", "tanh", "none", ""],
    "--backend": ["autograd", "torch", ""],
    "--checkpoint": ["0", "1", "-1", "nan", "x"],
    "--output": ["theta.npz", "net.svg", "net.txt", "nowhere/theta.npz", ".", "", "theta.npz/x"],
    "--run": ["run", "run2", ".", "", "spec.py", "nowhere/run", "theta.npz"],
    "--resume": ["run", "run2", "nowhere", ".", "spec.py"],
    "--results": ["results.jsonl", "nowhere/r.jsonl", ".", "spec.py"],
    "--seeds": ["1", "0", "-1", "x"],
    "--metrics": ["euclidean", "euclidean,natural", "none", ","],
    "--units": ["weights", "x"],
    "--json": [], "--drop-bad-rows": [], "--debug": [], "--help": [],
}  # fmt: skip


def _words(rng: numpy.random.Generator, files: list[Path]) -> list[str]:
    """Words in any order; or a command, a file and options, most of which could be meant."""
    if rng.random() < 0.3:
        return [str(pick(rng, WORDS)) for _ in range(int(rng.integers(1, 7)))]
    words = [str(pick(rng, ["train", "train", "describe", "render", "compare", "verify", "report", "new"]))]
    if rng.random() < 0.9:
        words.append(str(pick(rng, files)))
    for _ in range(int(rng.integers(0, 4))):
        option = str(pick(rng, list(VALUES)))
        words.append(option)
        if VALUES[option] and rng.random() < 0.95:
            value = str(pick(rng, VALUES[option] if rng.random() < 0.4 else VALUES[option][:2]))
            in_folder = option in ("--output", "--run", "--resume", "--results")
            words.append(str(files[1] / value) if in_folder else value)
    return words


# What comparisons alone take; half of them would be wrong elsewhere.
COMPARED: dict[str, list[str]] = {
    "--charts": ["declared", "sigmoid,tanh", "tanh,", "round", ""],
    "--metrics": ["euclidean", "natural,adagrad", "all", "none", ","],
    "--damping": ["default", "paper", "tikhonov:1e-4", "none", "x"],
    "--seconds": ["0.01", "0", "-1", "nan", "inf", "x"],
    "--budget": ["table1", "paper", "steps", ""],
    "--results": ["results.jsonl", "nowhere/r.jsonl", ".", "spec.py"],
    "--report": ["report.html", "nowhere/r.html", ".", ""],
    "--executor": ["tcp://nowhere:1", "x", ""],
}


def _bounded(rng: numpy.random.Generator, words: list[str]) -> list[str]:
    """What keeps a comparison short, and some options more; a heavy one is no mistake, and is left out."""
    found = []
    for option in COMPARED:
        if rng.random() < 0.15:
            value = str(pick(rng, COMPARED[option] if rng.random() < 0.4 else COMPARED[option][:2]))
            found += [option, value]
    # processes take long to start
    jobs = ["--jobs", "1"] if rng.random() < 0.95 else []
    return [*found, "--steps", str(pick(rng, ["1", "2", "5"])), "--seeds", str(pick(rng, ["1", "1", "2"])), *jobs]


def command_lines(folder: Path) -> Attempt:
    """Words around a spec that takes a moment; nothing may be written but where it is asked for, and that whole."""
    spec = folder / "spec.py"
    spec.write_text(
        "import numpy\nimport manifoldnet as mn\nschedule = mn.FullBatch(steps=1)\n"
        "def network(seed=0, size=1):\n    net = mn.Network('s', seed=seed)\n"
        "    y = net.layer('y', size=size, map=mn.Affine(), parents=[net.input('x')])\n"
        "    net.interpret(mn.SquareLoss(), parents=[y])\n    return net\n"
        "def data(seed=0):\n    return mn.Dataset(numpy.eye(3)[:, :1], numpy.eye(3)[:, :1])\n",
        encoding="utf-8",
    )
    (folder / "broken.py").write_text("def network(:\n", encoding="utf-8")
    files = [spec, folder, spec, spec, spec, spec, folder / "none.py", folder / "broken.py", folder / "run"]
    runner = CliRunner()

    def attempt(rng: numpy.random.Generator) -> object:
        words = _words(rng, files)
        if "compare" in words:
            words += _bounded(rng, words)
        before = set(folder.rglob("*"))
        result = runner.invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        _check_written(folder, before, failed=result.exit_code != 0, words=words)
        assert "Traceback" not in result.output or "--debug" in words, (words, result.output)
        assert result.exit_code in ENDS, (words, result.exit_code, result.output)
        # what has been made would be in the way of all later attempts
        if len(before) > 60:
            _emptied(folder, {spec, folder / "broken.py"})
        if result.exit_code == 2:
            assert result.output.strip(), words
            raise RunError(f"exit code 2: {result.output[-200:]}")
        return result

    return attempt


# All is well; `verify` found a deviation; a mistake.
ENDS = (0, 1, 2)


def _emptied(folder: Path, kept: set[Path]) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path not in kept:
            path.unlink()


def _check_written(folder: Path, before: set[Path], failed: bool, words: list[str]) -> None:
    """No file is half written; where a command failed there is none that was not there before, but for a run's."""
    for path in set(folder.rglob("*")) - before:
        if path.is_dir():
            continue
        assert ".partial" not in path.name, (words, path)
        in_a_run = any((parent / "lock").exists() for parent in path.parents)
        assert in_a_run or not failed or path.suffix == ".jsonl", (words, path)
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".npz":
            read_archive(path)
