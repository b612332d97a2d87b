"""What `memory` predicts for a metric and its solution, against what NumPy allocates at most."""

import gc
import tracemalloc
from collections.abc import Callable

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.damping import Damping

RULES: dict[str, MetricRule] = {
    "euclidean": mn.Euclidean(),
    "quasi-diagonal backpropagated": mn.QuasiDiagonal(mn.Backpropagated()),
    "quasi-diagonal natural": mn.QuasiDiagonal(mn.UnitwiseNatural()),
    "backpropagated": mn.Backpropagated(),
    "unitwise natural": mn.UnitwiseNatural(),
    "outer product": mn.OuterProduct(),
    "natural": mn.Natural(),
    "diagonal": mn.Diagonal(mn.Backpropagated()),
}

# Metrics that the damping makes regular on any data, with affine units.
INTRINSIC = {"quasi-diagonal natural", "backpropagated", "unitwise natural", "natural"}


def sparse(samples: int, lowering: str) -> Run:
    net = mn.Network("sparse", seed=0)
    x = net.input("x", size=100)
    h = net.layer("h", size=30, map=mn.Affine(mn.tanh), parents=[x], wiring=mn.fan_out(5))
    net.interpret(mn.SquareLoss(), [net.layer("y", 50, map=mn.Affine(), parents=[h], wiring=mn.fan_in(5))])
    return prepared(net, samples, lowering)


def dense(samples: int, lowering: str) -> Run:
    net = mn.Network("dense", seed=0)
    h = net.layer("h", size=64, map=mn.Affine(mn.tanh), parents=[net.input("x", size=300)])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=5, map=mn.Affine(), parents=[h])])
    return prepared(net, samples, lowering)


def prepared(net: mn.Network, samples: int, lowering: str) -> Run:
    program, rng = mn.compile(net, lowering=lowering), numpy.random.default_rng(0)  # type: ignore[arg-type]
    inputs = rng.standard_normal((samples, net.validated().layer("x").size))
    targets = rng.standard_normal((samples, net.validated().layer("y").size))
    # small chunks, so that the largest batches are cut
    small = attrs.evolve(program, workspace=2**24)
    return Run(small, small.initialize(rng), *small.prepare(inputs, targets), None)


def peak(call: Callable[[], object]) -> int:
    """Bytes allocated at most while it runs, the garbage collector standing still."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lowering", ["auto", "general"])
@pytest.mark.parametrize("samples", [16, 200, 3000])
@pytest.mark.parametrize("make", [sparse, dense])
def test_no_more_than_predicted(make: Callable[[int, str], Run], samples: int, lowering: str, rule: str) -> None:
    run = make(samples, lowering)
    predicted = RULES[rule].memory(run.program, samples)
    if predicted > 500 * 2**20:
        pytest.skip("too large for a test")

    for damping in (mn.Tikhonov(1e-3), mn.Intrinsic(0.03)):

        def step(damping: Damping = damping) -> None:
            here = attrs.evolve(run)
            here.metric(RULES[rule]).solve(here.differential(), None if rule == "euclidean" else damping)

        if damping.rule.absolute or (rule in INTRINSIC and lowering == "auto"):
            assert peak(step) <= 1.3 * predicted, damping


@pytest.mark.parametrize("lowering", ["auto", "general"])
def test_nothing_waits_for_the_garbage_collector(lowering: str) -> None:
    """What an evaluation took is given back when it ends: nothing holds on to itself."""
    run = sparse(50, lowering)

    def step() -> None:
        here = attrs.evolve(run)
        here.metric(mn.Backpropagated()).solve(here.differential(), mn.Tikhonov(1e-3))

    step()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        step()
        assert tracemalloc.get_traced_memory()[0] < 50_000 < tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
