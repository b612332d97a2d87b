"""Handwritten digits by every method, and by Adam as what one would pick instead: `python -m tests.benchmarks.digits`.

Each method by its default damping and the schedule of specs/digits.py without early stopping; Adam (Kingma and Ba, 2015)
on the same network, gradients and batches, at every rate of a grid, with batches of each size that is given for it. Seconds
are those of all steps, in equal parts, scores left out: process time, and by the clock. With `--backend jax` the steps of both
run compiled, some dozen in one loop; compilation is not counted.
"""

import argparse
import importlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import manifoldnet as mn
from manifoldnet.compiler.run import Run
from manifoldnet.declare.spec import Spec, load_spec
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.train import trainer_for
from manifoldnet.learning.validation import score
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import METRICS, metric_named

SPEC = Path(__file__).parents[2] / "specs" / "digits.py"
RATES = (1e-3, 3e-3, 1e-2, 2e-2, 3e-2, 5e-2, 1e-1)
EVERY, WANTED = 25, 0.98
SIZES = 64, 64, 10


class Curve(NamedTuple):
    """Scores on held-out data along one run: nats, fraction right; and what a step took, in process time and by the clock."""

    method: str
    seed: int
    steps: list[int]
    losses: list[float]
    accuracies: list[float]
    seconds: float
    clock: float

    @property
    def reached(self) -> float:
        """Steps to the accuracy that is wanted; infinite if it never came."""
        return next((s for s, a in zip(self.steps, self.accuracies, strict=True) if a >= WANTED), numpy.inf)


class Adam:
    """theta - rate * m / (sqrt(v) + 1e-8), m and v averages of gradients and their squares without bias."""

    def __init__(self, rate: float, size: int) -> None:
        self._rate, self._steps = rate, 0
        self._first, self._second = numpy.zeros(size), numpy.zeros(size)

    def step(self, slope: NDArray) -> NDArray:
        """What to add to the parameters."""
        self._steps += 1
        self._first = 0.9 * self._first + 0.1 * slope
        self._second = 0.999 * self._second + 0.001 * slope**2
        first = self._first / (1.0 - 0.9**self._steps)
        second = self._second / (1.0 - 0.999**self._steps)
        return -self._rate * first / (numpy.sqrt(second) + 1e-8)


def by_adam(seed: int, rate: float, steps: int, batch: int, every: int = EVERY, backend: str = "autograd") -> Curve:
    program, data, theta = _begun(seed, "autograd")
    inputs, targets = program.prepare(data.inputs, data.targets)
    batches = list(_batches(data.samples, batch, steps, numpy.random.default_rng(seed)))
    name, ready = f"adam, batch {batch}, rate {rate:g}", (seed, program, data)
    if backend == "jax":
        adam_points = importlib.import_module("tests.benchmarks.jax_adam").adam_points
        x, y = inputs["image"][:, :, 0], (targets or {})["out"]
        # what it takes to compile is not counted
        next(adam_points(theta.flat, SIZES, x, y, batches[:1], rate))
        flats = adam_points(theta.flat, SIZES, x, y, batches, rate)
        return _followed(name, *ready, (theta.replace(flat) for flat in flats), every)
    adam = Adam(rate, theta.flat.size)

    def points() -> Iterator[mn.Parameters]:
        here = theta
        for rows in batches:
            part = {name: values[rows] for name, values in inputs.items()}
            wanted = {name: values[rows] for name, values in (targets or {}).items()}
            slope = Run(program, here, part, wanted, None).differential().flat
            here = here.replace(here.flat + adam.step(slope))
            yield here

    return _followed(name, *ready, points(), every)


def by_metric(
    seed: int,
    name: str,
    steps: int,
    batch: int,
    every: int = EVERY,
    changes: Mapping[str, Any] | None = None,
    backend: str = "autograd",
) -> Curve:
    """By the spec's schedule, with `changes`."""
    program, data, theta = _begun(seed, backend)
    rule = metric_named(name)
    schedule = _spec().schedule
    assert isinstance(schedule, mn.Minibatches)
    schedule = attrs.evolve(schedule, steps=steps, batch=batch, patience=None, damping=default_damping(rule))
    schedule = attrs.evolve(schedule, **(changes or {}))
    # training is judged here, for all methods alike, and outside the time that counts
    trainer = trainer_for(program, mn.Dataset(data.inputs, data.targets), rule, schedule)
    begun = trainer.start(theta, numpy.random.default_rng(seed))
    if backend == "jax":
        # what it takes to compile is not counted
        trainer.step(begun)
    return _followed(name, seed, program, data, (state.theta for state, _ in trainer.steps_from(begun)), every)


@cache
def _spec() -> Spec:
    """Loaded once: the functions of one that is loaded again are others, and compiled again."""
    return load_spec(SPEC)


def _begun(seed: int, backend: str) -> tuple[mn.Program, mn.Dataset, mn.Parameters]:
    spec = _spec()
    program, data = mn.compile(spec.network(seed), backend=backend), spec.data(seed)
    assert isinstance(data, mn.Dataset)
    return program, data, program.parameters(program.initialize(numpy.random.default_rng(seed)))


def _batches(samples: int, batch: int, steps: int, rng: numpy.random.Generator) -> Iterator[NDArray]:
    """Rows of random batches, every sample once an epoch."""
    done = 0
    while done < steps:
        order = rng.permutation(samples)
        for start in range(0, samples - batch + 1, batch):
            if done < steps:
                yield order[start : start + batch]
            done += 1


def _followed(
    method: str, seed: int, program: mn.Program, data: mn.Dataset, points: Iterator[mn.Parameters], every: int
) -> Curve:
    assert data.validation is not None
    process, clock, kept = time.process_time(), time.perf_counter(), []
    for step, theta in enumerate(points, start=1):
        if step % every == 0:
            kept.append((step, theta))
    process, clock = time.process_time() - process, time.perf_counter() - clock
    held_out = program.prepare(*data.validation)
    found = [score(Run(program, theta, *held_out, None)) for _, theta in kept]
    accuracies = [each.accuracy for each in found if each.accuracy is not None]
    steps, losses = [step for step, _ in kept], [each.loss for each in found]
    return Curve(method, seed, steps, losses, accuracies, process / step, clock / step)


def measured(methods: Sequence[str], chosen: argparse.Namespace) -> Iterator[Curve]:
    given = {
        name: getattr(chosen, name) for name in ("rate", "radius", "renewal", "decay", "refresh", "momentum", "damping")
    }
    changes = {name: value for name, value in given.items() if value is not None}
    for seed in range(chosen.seeds):
        for batch, rate in itertools.product(chosen.adam_batch or [chosen.batch], RATES):
            yield by_adam(seed, rate, chosen.adam_steps, batch, chosen.every, chosen.backend)
        for name in methods:
            yield by_metric(seed, name, chosen.steps, chosen.batch, chosen.every, changes, chosen.backend)


def show(curves: Sequence[Curve], console: Console) -> None:
    """Medians over seeds: the lowest loss and when it came, the best accuracy, steps and seconds to the one that is wanted."""
    table = Table(
        "digits, medians", "lowest nats", "at step", "best accuracy", f"steps to {WANTED:.0%}", "process s", "clock s",
        "ms a step", "seeds", box=None,
    )  # fmt: skip
    for method in dict.fromkeys(curve.method for curve in curves):
        own = [curve for curve in curves if curve.method == method]
        table.add_row(method, *_summary(own))
    console.print(table)


def _summary(own: Sequence[Curve]) -> list[str]:
    reached = [curve.reached for curve in own]
    return [
        f"{numpy.median([min(curve.losses) for curve in own]):.4f}",
        f"{numpy.median([curve.steps[int(numpy.argmin(curve.losses))] for curve in own]):.0f}",
        f"{numpy.median([max(curve.accuracies) for curve in own]):.4f}",
        f"{numpy.median(reached):.0f}",
        f"{numpy.median([curve.reached * curve.seconds for curve in own]):.4f}",
        f"{numpy.median([curve.reached * curve.clock for curve in own]):.4f}",
        f"{1e3 * numpy.median([curve.seconds for curve in own]):.3f}",
        f"{sum(numpy.isfinite(reached))} of {len(own)}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.digits", description=__doc__)
    parser.add_argument("methods", nargs="*", help=f"of {', '.join(METRICS)}; by default the quick ones")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000, help="of every method")
    parser.add_argument("--adam-steps", type=int, default=4000, help="of Adam, whose steps are cheaper")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step, for all")
    parser.add_argument("--adam-batch", type=int, nargs="+", help="the same for Adam, if others")
    parser.add_argument("--every", type=int, default=EVERY, help="steps from one score to the next")
    for name in ("rate", "radius", "renewal", "decay"):
        parser.add_argument(f"--{name}", type=float, help="of the schedule, in place of the spec's")
    parser.add_argument("--damping", type=damping_from_text, help="in place of each metric's own")
    parser.add_argument("--refresh", type=int, help="steps from one evaluation of the metric to the next")
    parser.add_argument("--momentum", action="store_true", default=None, help="steps that build on the last one")
    parser.add_argument("--backend", choices=("autograd", "jax"), default="autograd", help="of all methods, Adam too")
    parser.add_argument("--keep", type=Path, help="a file that gets every curve as a line of JSON")
    chosen = parser.parse_args()
    curves: list[Curve] = []
    with threadpool_limits(limits=1):
        for curve in measured(chosen.methods or QUICK, chosen):
            curves.append(curve)
            if chosen.keep is not None:
                with chosen.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(curve._asdict()) + "\n")
    show(curves, Console(width=140))


QUICK = tuple(name for name in METRICS if name not in {"natural", "outer-product", "monte-carlo-natural"})

if __name__ == "__main__":
    main()
