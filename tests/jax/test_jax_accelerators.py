"""Whatever is compiled can be lowered for accelerators that this machine does not have: nothing in it is a processor's own."""

import importlib
from typing import Any

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.train import train
from tests.jax.kinds import KINDS, data

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
export = importlib.import_module("jax.export")
compilation = importlib.import_module("manifoldnet.compiler.backends.jax.compilation")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

PLATFORMS = ("cuda", "tpu")
METRICS: tuple[MetricRule, ...] = (
    mn.Backpropagated(),
    mn.QuasiDiagonal(mn.Natural()),
    mn.UnitwiseMonteCarloNatural(1),
    mn.OuterProduct(),
)
SCHEDULES = (
    mn.FullBatch(steps=2, damping=mn.Tikhonov(0.1)),
    mn.Minibatches(steps=2, batch=3, damping=mn.Tikhonov(0.1)),
    mn.Online(steps=2, damping=mn.Tikhonov(0.1)),
)


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """The names of the functions that are called, with each platform that they have been lowered for."""
    found: set[tuple[str, str]] = set()
    call = compilation.Compiled.__call__

    def lowering(self: Any, *arguments: Any) -> Any:
        for platform in PLATFORMS:
            # raises where an operation has no rule for the platform
            assert export.export(self.jitted, platforms=[platform])(*arguments).platforms == (platform,)
            found.add((self.jitted.__name__, platform))
        return call(self, *arguments)

    monkeypatch.setattr(compilation.Compiled, "__call__", lowering)
    return found


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "float64") for name in KINDS), ("sparse", "float32"), ("dense", "float32")]
)
@pytest.mark.filterwarnings("ignore::manifoldnet.errors.ConditioningWarning")
def test_lowered_for_accelerators(name: str, precision: str, lowered: set[tuple[str, str]]) -> None:
    program = mn.compile(KINDS[name](), backend="jax", precision=precision)
    x, y = data(name)
    theta, rng = program.initialize(numpy.random.default_rng(0)), numpy.random.default_rng(0)
    program.losses(theta, x, y)
    program.differential(theta, x, y)
    for metric in METRICS:
        program.metric(metric, theta, x, y, rng=rng)
    for schedule in SCHEDULES:
        train(program, theta, mn.Dataset(x, y), METRICS[0], schedule, rng)
    train(program, theta, mn.Dataset(x, y), METRICS[1], SCHEDULES[0], rng)
    expected = {"losses", "differential", "averages", "rows", "numbers", "_run", "run_steps"}
    assert {(function, platform) for function in expected for platform in PLATFORMS} <= lowered
