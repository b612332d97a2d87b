"""W1 on the JAX backend beside the same steps written by hand: `python -m tests.benchmarks.jax_steps`.

Process time in microseconds a step, medians of interleaved repeats in one run; one call a step, and scanned. All of it
on one thread, XLA's included. Scanned steps stand beside those of a small C program too, where there is a C compiler.
"""

import json
import platform
import tempfile
import time
from pathlib import Path

import jax
import numpy
import threadpoolctl

import manifoldnet as mn
from manifoldnet.compiler.backends.jax.descent import Descent
from manifoldnet.compiler.compile import compute_alone
from manifoldnet.declare.spec import load_spec
from manifoldnet.learning.compiled import damping_recipe
from manifoldnet.metrics.names import metric_named
from tests.benchmarks import jax_hand as hand
from tests.benchmarks.c_steps import METHODS, CSteps, NoCompiler, built
from tests.benchmarks.work import masks

SPEC = Path(__file__).parents[2] / "specs" / "autoencoder.py"
NAMES = {
    "gradient": "euclidean",
    "quasi-backpropagated": "quasi-diagonal-backpropagated",
    "quasi-fisher": "quasi-diagonal-natural",
    "blocks-backpropagated": "backpropagated",
    "blocks-fisher": "unitwise-natural",
}
RATE, SCANNED, REPEATS, CALLS = 0.01, 100, 9, 100


def descents(program: mn.Program, data: mn.Dataset, method: str) -> list[Descent]:
    """Ours, one step a call and many."""
    damping = damping_recipe(None if method == "gradient" else mn.Tikhonov(hand.EPS))
    points, targets = program.prepare(data.inputs, data.targets)
    recipe = metric_named(NAMES[method]).recipe
    return [program.engine.descent(recipe, damping, 1.1, 0.5, length, points, targets) for length in (1, SCANNED)]


def matrices(program: mn.Program, theta: mn.Parameters) -> tuple[list[tuple], list[dict]]:
    """The same parameters as dense matrices, with their masks."""
    found, masks = [], []
    values = numpy.append(theta.flat, 0.0)
    for stage in program.lowered.stages:
        weights = stage.matrix([values[part] for part in stage.stored.parents])
        present = numpy.append(numpy.ones(len(theta.flat)), 0.0)
        masks.append(stage.matrix([present[part] for part in stage.stored.parents]))
        found.append((weights, values[stage.stored.bias][:, 0]))
    return found, hand.wiring_of(masks)


def per_step(call, count: int) -> float:
    begun = time.process_time()
    call()
    return (time.process_time() - begun) / count * 1e6


def timed(
    program: mn.Program, theta: mn.Parameters, data: mn.Dataset, method: str, in_c: CSteps | None
) -> dict[str, float]:
    """Microseconds a step: ours and by hand, called one by one and scanned, and in C."""
    one, many = descents(program, data, method)
    weights, wiring = matrices(program, theta)
    x, y = jax.numpy.asarray(data.inputs), jax.numpy.asarray(data.targets)
    wiring = jax.tree.map(jax.numpy.asarray, wiring)
    at = {"one": one.start(theta.flat, RATE), "many": many.start(theta.flat, RATE)}
    begun = hand.start(method, weights, x, y, wiring, RATE)
    at |= {"hand one": begun, "hand many": begun}

    def ours(key: str, descent: Descent, calls: int) -> None:
        for _ in range(calls):
            at[key], _ = descent._ran(at[key], (), descent.plan.length)
        jax.block_until_ready(at[key].loss)

    def by_hand(calls: int) -> None:
        for _ in range(calls):
            at["hand one"] = hand.step(method, at["hand one"], x, y, wiring)
        jax.block_until_ready(at["hand one"])

    def by_hand_scanned() -> None:
        at["hand many"] = jax.block_until_ready(hand.steps(method, SCANNED, at["hand many"], x, y, wiring))

    rows = {
        "one": lambda: per_step(lambda: ours("one", one, CALLS), CALLS),
        "hand one": lambda: per_step(lambda: by_hand(CALLS), CALLS),
        "many": lambda: per_step(lambda: ours("many", many, 1), SCANNED),
        "hand many": lambda: per_step(by_hand_scanned, SCANNED),
    }
    if in_c is not None:
        given = (theta.flat, RATE, data.inputs, data.targets)
        rows["c"] = lambda: per_step(lambda: in_c.descend(method, SCANNED, *given), SCANNED)
    times = {key: [] for key in rows}
    for repeat in range(REPEATS + 1):
        for key, row in rows.items():
            found = row()
            if repeat:
                times[key].append(found)
    gap = abs(float(at["one"].loss) - float(at["hand one"][1])) / float(at["hand one"][1])
    assert gap < 1e-3, f"{method}: the two do not take the same steps ({gap:.1e})"
    return {key: float(numpy.median(values)) for key, values in times.items()}


def small_c_program(net: mn.Network, folder: str) -> CSteps | None:
    try:
        return CSteps(built(Path(folder)), masks(net), hand.EPS)
    except NoCompiler as problem:
        print(f"{problem}: no column for it")
        return None


def line(method: str, t: dict[str, float]) -> str:
    c = f"{t['c']:8.0f}{t['many'] / t['c']:8.2f}" if "c" in t else ""
    return (
        f"{method:24}{t['one']:8.0f}{t['hand one']:8.0f}{t['one'] / t['hand one']:10.2f}"
        f"{t['many']:10.0f}{t['hand many']:8.0f}{t['many'] / t['hand many']:8.2f}{c}"
    )


def main() -> None:
    compute_alone("jax")
    spec = load_spec(SPEC, {})
    data, net = spec.data(0), spec.network(0)
    program = mn.compile(net, backend="jax")
    theta = program.initialize(numpy.random.default_rng(0))
    versions = {"jax": jax.__version__, "numpy": numpy.__version__, "python": platform.python_version()}
    print(f"{'W1':24}{'one call a step':>26}{'scanned':>42}")
    print(f"{'':24}{'ours':>8}{'hand':>8}{'ratio':>10}{'ours':>10}{'hand':>8}{'ratio':>8}{'C':>8}{'ratio':>8}")
    table = {}
    with tempfile.TemporaryDirectory() as folder, jax.enable_x64(True), threadpoolctl.threadpool_limits(1):
        in_c = small_c_program(net, folder)
        for method in METHODS:
            table[method] = timed(program, theta, data, method, in_c)
            print(line(method, table[method]), flush=True)
    print(json.dumps({"versions": versions, "microseconds": table}))


if __name__ == "__main__":
    main()
