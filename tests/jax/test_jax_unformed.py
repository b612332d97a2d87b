"""Blocks of wide units on few samples: never formed, as on the other backend."""

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.linalg.shared_reads import SharedReads
from manifoldnet.linalg.tensor import Damping
from tests.jax.kinds import data, dense

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]

WIDTH = 13
DAMPINGS = (
    mn.Tikhonov(0.1),
    mn.Intrinsic(0.1),
    mn.PseudoInverse(),
    mn.Tikhonov(0.1) + mn.Floor(0.1),
)


def solution(program: mn.Program, samples: int, damping: Damping) -> numpy.ndarray:
    x, y = data("dense", samples)
    theta = program.initialize(numpy.random.default_rng(0))
    slope = numpy.random.default_rng(1).standard_normal(program.tangent_layout.size)
    return program.metric(mn.UnitwiseNatural(), theta, x, y).solve(slope, damping)


def kinds(program: mn.Program, samples: int) -> list[type]:
    x, _ = data("dense", samples)
    theta = program.initialize(numpy.random.default_rng(0))
    return [type(part) for part in program.metric(mn.Backpropagated(), theta, x).blocks]


@pytest.mark.parametrize("damping", DAMPINGS, ids=repr)
@pytest.mark.parametrize("samples", [2, WIDTH - 1, WIDTH + 2])
def test_the_same_as_of_blocks_that_are_formed(samples: int, damping: Damping) -> None:
    formed = mn.compile(dense(), plans={"h": "dense", "y": "dense"})
    expected = solution(formed, samples, damping)
    for plans in ({}, {"h": "dual", "y": "dual"}):
        found = solution(mn.compile(dense(), backend="jax", plans=plans), samples, damping)
        assert numpy.abs(found - expected).max() < 1e-8 * (1.0 + numpy.abs(expected).max())


def test_which_are_formed() -> None:
    program = mn.compile(dense(), backend="jax")
    assert kinds(program, WIDTH - 1)[0] is SharedReads
    assert SharedReads not in kinds(program, WIDTH)
    assert kinds(mn.compile(dense(), backend="jax", plans={"h": "dense"}), 2)[0] is numpy.ndarray
    assert kinds(mn.compile(dense(), backend="jax", plans={"h": "dual"}), 40)[0] is SharedReads


def test_in_pieces() -> None:
    """A batch that is taken in uneven pieces."""
    x, _ = data("dense", WIDTH - 1)
    program = mn.compile(dense(), backend="jax")
    workspace = 3 * program.workspace // program.chunk_size(1)
    small = mn.Program(program.declaration, program.lowered, "jax", workspace=workspace, engine=program.engine)
    theta = program.initialize(numpy.random.default_rng(0))
    assert small.chunk_size(1) < WIDTH - 1
    found, expected = (p.metric(mn.Backpropagated(), theta, x) for p in (small, program))
    assert isinstance(found.blocks[0], SharedReads)
    assert numpy.abs(found.as_matrix() - expected.as_matrix()).max() < 1e-12
