"""Kept inverses: after any number of updates they are those that are computed anew."""

import numpy
import pytest
from numpy.typing import NDArray

from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.damping import Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.kept import TOLERABLE, KeptInverse, inverse_updated, kept_inverse
from manifoldnet.linalg.partition_roots import one_unit
from manifoldnet.linalg.tensor import Damping
from manifoldnet.linalg.units import Partition, Units, Whole

# Three affine units, one with a parent less, and two general ones.
AFFINE = Units([[0], [3], [6]], [[[[1], [2]], [[4], [5]], [[7], [12]]]], padding=12)
PARTITION = Partition(12, [AFFINE, Whole([[8, 9], [10, 11]])])


def rows(rng: numpy.random.Generator, rank: int = 1) -> list[NDArray]:
    """What a sample might add: the constant 1 and readings off centre, times a weight."""
    found = []
    for group in PARTITION.groups:
        part = rng.standard_normal((group.units, group.width, rank)) + 1.0
        part[:, 0] = 1.0
        if group.mask is not None:
            part[~group.mask] = 0.0
        found.append(part * rng.uniform(0.2, 2.0, (group.units, 1, rank)))
    return found


def begun(rng: numpy.random.Generator, damping: Damping | None = None) -> KeptInverse:
    """The average over thirty samples."""
    samples = [rows(rng) for _ in range(30)]
    blocks = [sum(part[g] @ part[g].swapaxes(1, 2) for part in samples) / 30 for g in range(2)]
    floor = Blocks(PARTITION, tuple(0.5 * b for b in blocks))
    reference = Blocks(PARTITION, tuple(numpy.broadcast_to(numpy.eye(b.shape[1]), b.shape) for b in blocks))
    return kept_inverse(Blocks(PARTITION, tuple(blocks), floor=floor, reference=reference), PARTITION, damping)


def off(kept: KeptInverse) -> float:
    """How far the kept inverses are from those computed anew, relative to the largest entry of each unit."""
    worst = 0.0
    for group, matrix, inverse in zip(PARTITION.groups, kept.damped, kept.inverses, strict=True):
        for unit in range(group.units):
            there = group.index[unit] != PARTITION.size
            exact = numpy.linalg.inv(matrix[unit][there][:, there])
            difference = numpy.abs(inverse[unit][there][:, there] - exact).max()
            worst = max(worst, float(difference / numpy.abs(exact).max()))
    return worst


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_updates_are_those_of_the_inverse(rank: int) -> None:
    rng = numpy.random.default_rng(rank)
    kept = begun(rng)
    for _ in range(200):
        kept = kept.updated(rows(rng, rank), 0.02)
    assert off(kept) < 1e-12
    covector = rng.standard_normal(12)
    solved = Blocks(PARTITION, kept.blocks).solve(covector)
    numpy.testing.assert_allclose(kept.solve(covector), solved, rtol=1e-10)
    assert kept.residual(covector) < 1e-12


@pytest.mark.parametrize(
    "damping",
    [None, Tikhonov(0.1), Intrinsic(0.2), Floor(0.3), LeastNorm(), PseudoInverse(), Floor(0.1) + Intrinsic(0.1)],
)
def test_a_damped_inverse_is_that_of_the_damped_matrix(damping: Damping | None) -> None:
    """At the start `solve` of the tensor is the oracle; after updates, the inverse of what `damped` says."""
    rng = numpy.random.default_rng(4)
    kept = begun(rng, damping)
    assert off(kept) < 1e-12
    tensor = Blocks(
        PARTITION,
        kept.blocks,
        floor=Blocks(PARTITION, tuple(0.5 * b for b in kept.blocks)),
        reference=Blocks(PARTITION, tuple(numpy.broadcast_to(numpy.eye(b.shape[1]), b.shape) for b in kept.blocks)),
    )
    covector = rng.standard_normal(12)
    numpy.testing.assert_allclose(kept.solve(covector), tensor.solve(covector, damping), rtol=1e-10, atol=1e-13)
    for _ in range(50):
        kept = kept.updated(rows(rng), 0.02)
    assert off(kept) < 1e-12


def test_a_matrix_of_all_parameters_is_one_unit() -> None:
    rng = numpy.random.default_rng(0)
    samples = rng.standard_normal((40, 12))
    tensor = Dense(samples.T @ samples / 40, partition=PARTITION)
    kept = kept_inverse(tensor, one_unit(12), Tikhonov(0.1))
    row = rng.standard_normal((1, 12, 2))
    new = kept.updated([row], 0.1)
    exact = 0.9 * (tensor.matrix + 0.1 * numpy.eye(12)) + 0.1 * row[0] @ row[0].T
    numpy.testing.assert_allclose(new.inverses[0][0], numpy.linalg.inv(exact), rtol=1e-10)


def test_what_damping_left_out_stays_out_until_it_is_computed_anew() -> None:
    """A parent that never varied is left alone, though it varies now."""
    rng = numpy.random.default_rng(1)
    units = Partition(3, [Units([[0]], [[[[1], [2]]]])])
    readings = numpy.stack([numpy.ones(20), rng.standard_normal(20), numpy.full(20, 0.5)], axis=1)
    kept = kept_inverse(Blocks(units, [(readings.T @ readings / 20)[None]]), units, Intrinsic(0.01))
    for _ in range(20):
        kept = kept.updated([numpy.array([1.0, rng.standard_normal(), rng.standard_normal()])[None, :, None]], 0.05)
    assert kept.solve(numpy.array([1.0, 1.0, 1.0]))[2] == 0.0
    again = kept_inverse(Blocks(units, kept.blocks), units, Intrinsic(0.01))
    assert again.solve(numpy.array([1.0, 1.0, 1.0]))[2] != 0.0


def test_the_residual_sees_an_inverse_that_is_off() -> None:
    kept = begun(numpy.random.default_rng(2))
    wrong = [part.copy() for part in kept.inverses]
    wrong[0][1, 0, 0] *= 1.0 + 1e-8
    covector = numpy.ones(12)
    assert kept.residual(covector) < TOLERABLE
    assert KeptInverse(PARTITION, kept.blocks, kept.damped, tuple(wrong)).residual(covector) > TOLERABLE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_updates_keep_the_inverse() -> None:
    """Within 1e-8 of one computed anew, at any time, with the residual looked at as training does, in blocks of 8 and 3."""
    rng, gamma = numpy.random.default_rng(3), 1e-3
    width, units = 8, 3
    partition = Partition(units * width, [Whole(numpy.arange(units * width).reshape(units, width))])
    samples = rng.standard_normal((units, width, 200)) * numpy.logspace(0, -3, width)[:, None] + 0.3
    kept = kept_inverse(Blocks(partition, [samples @ samples.swapaxes(1, 2) / 200]), partition, None)
    worst, refreshed = 0.0, 0
    for step in range(1_000_000):
        if step % 1000 == 0:
            # inputs drift, and so do their scales
            chunk = rng.standard_normal((1000, units, width, 1)) * numpy.logspace(0, -3, width)[:, None]
            chunk += 0.3 * numpy.cos(step / 1e5)
        kept = kept.updated([chunk[step % 1000]], gamma)
        if step % 64 == 0 and not kept.residual(chunk[step % 1000].reshape(-1)) <= TOLERABLE:
            kept = kept_inverse(Blocks(partition, kept.blocks), partition, None)
            refreshed += 1
        if step % 5000 == 4999:
            exact = numpy.linalg.inv(kept.damped[0])
            worst = max(
                worst, float((numpy.abs(kept.inverses[0] - exact).max((1, 2)) / numpy.abs(exact).max((1, 2))).max())
            )
    print(f"worst {worst:.2e}, computed anew {refreshed} times")
    assert worst < 1e-8


def test_without_a_damping_nothing_is_added() -> None:
    kept = begun(numpy.random.default_rng(0))
    assert all(numpy.array_equal(a, b) for a, b in zip(kept.blocks, kept.damped, strict=True))
    moved = inverse_updated(kept.inverses[1], numpy.zeros((2, 2, 1)), 0.5)
    numpy.testing.assert_allclose(moved, 2.0 * kept.inverses[1])
