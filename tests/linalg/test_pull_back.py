"""Tensors in other coordinates."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifoldnet.errors import ShapeError
from manifoldnet.linalg import (
    Blocks,
    Dense,
    Diagonal,
    Factor,
    Implicit,
    Intrinsic,
    LeastNorm,
    Partition,
    QuasiDiagonal,
    Tikhonov,
    Units,
    Whole,
    pull_back,
)
from tests.linalg.drawing import close, cut_entries, draw_blocks, partitions, reduced, unit_diagonal_blocks, well


def draw_jacobians(partition, rng, keep=()):
    """Jacobians by group (rubbish where padded), and the matrix they make."""
    matrix, blocks = numpy.zeros((partition.size, partition.size)), []
    for number, group in enumerate(partition.groups):
        part = rng.normal(size=(group.units, group.width, group.width)) + 3.0 * numpy.eye(group.width)
        part = numpy.broadcast_to(numpy.eye(group.width), part.shape) if number in keep else part
        blocks.append(None if number in keep else part)
        for unit, row in enumerate(group.index):
            real = numpy.flatnonzero(row != partition.size)
            matrix[numpy.ix_(row[real], row[real])] = part[unit][numpy.ix_(real, real)]
    return blocks, matrix


@settings(max_examples=40)
@given(partition=partitions(), seed=st.integers(0, 10**6), keep=st.sampled_from([(), (0,), (0, 1, 2)]))
def test_every_structure_pulls_back_as_its_matrix_does(partition, seed, keep):
    rng = numpy.random.default_rng(seed)
    jacobians, j = draw_jacobians(partition, rng, keep)
    full, drawn, rows = well(rng, partition.size), draw_blocks(partition, rng), rng.normal(size=(2, partition.size))
    quasi = QuasiDiagonal(partition, cut_entries(drawn.matrix, partition))
    u = rng.normal(size=partition.size)
    for tensor, expected in (
        (Dense(full), Dense),
        (Blocks(partition, drawn.blocks), Blocks),
        (quasi, QuasiDiagonal),
        (Diagonal(numpy.diagonal(full)), Blocks),
        (Factor(rows), Factor),
        (Factor(rows).plus(quasi), None),
        (Implicit(partition.size, lambda v: full @ v, quasi), Implicit),
    ):
        pulled = pull_back(tensor, jacobians, partition)
        assert expected is None or type(pulled) is expected
        close(pulled.as_matrix(), j.T @ tensor.as_matrix() @ j, 1e-8)
        close(pulled.norm2(u), tensor.norm2(j @ u), 1e-8)
    implicit = pull_back(Implicit(partition.size, lambda v: full @ v, quasi), jacobians, partition)
    close(implicit.solve(u), numpy.linalg.solve(j.T @ full @ j, u), 1e-6)


@settings(max_examples=20)
@given(partition=partitions(), seed=st.integers(0, 10**6))
def test_solutions_transform_as_tangents_and_tikhonov_is_seen_not_to(partition, seed):
    rng = numpy.random.default_rng(seed)
    jacobians, j = draw_jacobians(partition, rng)
    drawn, b = draw_blocks(partition, rng), rng.normal(size=partition.size)
    tensor = QuasiDiagonal(partition, cut_entries(drawn.matrix, partition))
    pulled = pull_back(tensor, jacobians, partition)
    close(j @ pulled.solve(j.T @ b), tensor.solve(b), 1e-6)
    damped = j @ pulled.solve(j.T @ b, Tikhonov(1.0))
    assert numpy.abs(damped - tensor.solve(b, Tikhonov(1.0))).max() > 1e-4 * numpy.abs(damped).max()


def test_affine_units_become_whole_and_the_reference_moves_along():
    rng = numpy.random.default_rng(0)
    partition = Partition(6, [Units([[0]], [[[[1], [2]]]], name="h"), Whole([[3, 4, 5]])])
    jacobians, j = draw_jacobians(partition, rng)
    drawn, reference, floor = (draw_blocks(partition, rng) for _ in range(3))
    calls = []

    def carried(blocks):
        calls.append(1)
        return Blocks(partition, blocks)

    tensor = QuasiDiagonal(
        partition,
        cut_entries(drawn.matrix, partition),
        reference=lambda: carried(reference.blocks),
        floor=lambda: carried(floor.blocks),
        name="backpropagated metric",
    )
    pulled = pull_back(tensor, jacobians, partition)
    assert [type(group) for group in pulled.partition.groups] == [Whole, Whole]
    assert (pulled.name, pulled.partition.groups[0].name) == ("backpropagated metric", "h")
    assert not calls
    close(pulled.floor.as_matrix(), j.T @ floor.matrix @ j)
    close(pulled.reference.as_matrix(), j.T @ reference.matrix @ j)
    assert len(calls) == 2
    b = rng.normal(size=6)
    # In whole units Intrinsic is relative to the reference, which has moved too: the same step.
    whole = Blocks(Partition(6, [Whole([[0, 1, 2]]), Whole([[3, 4, 5]])]), drawn.blocks, reference=tensor.reference)
    moved = pull_back(whole, jacobians, whole.partition)
    close(j @ moved.solve(j.T @ b, Intrinsic(0.3)), whole.solve(b, Intrinsic(0.3)), 1e-8)
    close(j @ moved.solve(j.T @ b, LeastNorm()), whole.solve(b, LeastNorm()), 1e-8)
    kept = pull_back(tensor, [None, jacobians[1]], partition)
    assert kept.partition is partition
    block = j[3:, 3:]
    expected = reduced(drawn.matrix, partition)
    expected[3:, 3:] = block.T @ drawn.matrix[3:, 3:] @ block
    close(kept.as_matrix(), expected)


def test_coordinates_may_be_fewer_or_stand_elsewhere():
    rng = numpy.random.default_rng(0)
    ambient, frame = Partition(6, [Whole([[0, 1, 2], [3, 4, 5]])]), Partition(4, [Whole([[3, 0], [1, 2]])])
    jacobian, full = rng.normal(size=(2, 3, 2)), well(rng, 6)
    j = numpy.zeros((6, 4))
    j[numpy.ix_([0, 1, 2], [3, 0])], j[numpy.ix_([3, 4, 5], [1, 2])] = jacobian
    blocks = unit_diagonal_blocks(full, ambient)
    parts = numpy.array([blocks[:3, :3], blocks[3:, 3:]])
    for tensor in (Dense(full), Blocks(ambient, [parts]), Factor(numpy.linalg.cholesky(full).T)):
        pulled = pull_back(tensor, [jacobian], ambient, frame)
        close(pulled.as_matrix(), j.T @ tensor.as_matrix() @ j)
        assert pulled.size == 4


ONE = Partition(2, [Whole([[0, 1]])])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Diagonal([1.0]), [None], ONE), "expected a partition of 1 parameters .* received one of 2 in 1 groups"),
        ((Diagonal([1.0, 1.0]), [], ONE), "and 0 Jacobians"),
        ((Diagonal([1.0, 1.0]), [numpy.eye(2)], ONE), r"group 0: expected Jacobians \(1, 2, 2\), received \(2, 2\)"),
        ((Diagonal([1.0, 1.0]), [None], ONE, Partition(1, [Whole([[0]])])), "group 0: expected a Jacobian"),
        ((Diagonal([1.0, 1.0]), [None], ONE, Partition(2, [Whole([[0]]), Whole([[1]])])), "2 groups, expected 1"),
        ((Blocks(ONE, [numpy.eye(2)[None]]), [None], Partition(2, [Whole([[1, 0]])])), "holds other units"),
    ],
)
def test_jacobians_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ShapeError, match=message):
        pull_back(*arguments)
