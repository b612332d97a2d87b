"""The steps written by hand are those of the JAX backend; how long they take is for `python -m tests.benchmarks.jax_steps`."""

import importlib
from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.declare.spec import load_spec

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
hand = importlib.import_module("tests.benchmarks.jax_hand")
steps = importlib.import_module("tests.benchmarks.jax_steps")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(600)]


@pytest.mark.parametrize("method", steps.METHODS)
def test_the_same_steps(method: str) -> None:
    spec = load_spec(Path(steps.SPEC), {})
    data = spec.data(0)
    program = mn.compile(spec.network(0), backend="jax")
    theta = program.initialize(numpy.random.default_rng(0))
    with jax.enable_x64(True):
        weights, wiring = steps.matrices(program, theta)
        x, y = jax.numpy.asarray(data.inputs), jax.numpy.asarray(data.targets)
        state = hand.start(method, weights, x, y, wiring, 0.1)
        for _ in range(8):
            state = hand.step(method, state, x, y, wiring)
        one, _ = steps.descents(program, data, method)
        ours = one.start(theta.flat, 0.1)
        for _ in range(8):
            ours, log = one.run(ours, [()])
    assert float(log.loss[0]) == pytest.approx(float(state[1]), rel=1e-8)
    assert float(log.left[0]) == float(state[2])
