"""Each damping, on each structure, against dense algebra written out."""

import math

import attrs
import numpy
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from manifoldnet.errors import DeclarationError, NumericalError, SingularMetricError
from manifoldnet.linalg import (
    Blocks,
    Dense,
    Diagonal,
    Factor,
    Floor,
    Implicit,
    Intrinsic,
    LeastNorm,
    Partition,
    PseudoInverse,
    QuasiDiagonal,
    Tikhonov,
    Units,
    Whole,
    blocks_of,
    damping_from_text,
    euclidean,
    quasi_diagonal_of,
)
from tests.linalg.drawing import (
    close,
    cut_entries,
    draw_blocks,
    draw_bordered,
    make_partition,
    partitions,
    reduced,
    unit_diagonal_blocks,
    well,
)

seeds = st.integers(0, 10**6)
epsilons = st.sampled_from([1e-3, 0.1, 2.0])


def intrinsic_term(matrix, partition, reference=None):
    """QD(A) for affine units, tr(R^{-1} A)/p R for whole ones, by loops."""
    result = reduced(matrix, partition)
    for group in partition.groups:
        if isinstance(group, Whole):
            for row in group.index:
                here = numpy.ix_(*[row[row != partition.size]] * 2)
                level = numpy.trace(numpy.linalg.solve(reference[here], matrix[here])) / len(here[0])
                result[here] = level * reference[here]
    return result


@settings(max_examples=30)
@given(partition=partitions(), seed=seeds, eps=epsilons)
def test_tikhonov_adds_to_the_diagonal_before_any_reduction(partition, seed, eps):
    rng = numpy.random.default_rng(seed)
    drawn, full = draw_blocks(partition, rng), well(rng, partition.size)
    rows, b = rng.normal(size=(2, partition.size)), rng.normal(size=partition.size)
    identity = numpy.eye(partition.size)
    for tensor, matrix in (
        (Blocks(partition, drawn.blocks), drawn.matrix + eps * identity),
        (Dense(full), full + eps * identity),
        (Factor(rows), rows.T @ rows + eps * identity),
        (Factor(numpy.tile(rows, (20, 1))), 20 * rows.T @ rows + eps * identity),
        (Implicit(partition.size, lambda v: full @ v), full + eps * identity),
        (Diagonal(numpy.diagonal(full)), numpy.diag(numpy.diagonal(full)) + eps * identity),
        (
            QuasiDiagonal(partition, cut_entries(drawn.matrix, partition)),
            reduced(drawn.matrix + eps * identity, partition),
        ),
    ):
        close(tensor.solve(b, Tikhonov(eps)), numpy.linalg.solve(matrix, b), 1e-7)


@settings(max_examples=30)
@given(partition=partitions(), seed=seeds, eps=epsilons)
def test_intrinsic_adds_the_reduced_tensor_of_the_units(partition, seed, eps):
    rng = numpy.random.default_rng(seed)
    drawn, full = draw_blocks(partition, rng), well(rng, partition.size)
    reference = draw_blocks(partition, rng)
    carried = {"reference": lambda: Blocks(partition, reference.blocks)}
    rows, b = rng.normal(size=(partition.size + 3, partition.size)), rng.normal(size=partition.size)
    for tensor in (
        Blocks(partition, drawn.blocks, **carried),
        Dense(full, partition=partition, **carried),
        Factor(rows, partition=partition, **carried),
        attrs.evolve(draw_bordered(partition, rng)[0], **carried),
        QuasiDiagonal(partition, cut_entries(drawn.matrix, partition), **carried),
    ):
        a = tensor.as_matrix()
        damped = a + eps * intrinsic_term(a, partition, reference.matrix)
        close(tensor.solve(b, Intrinsic(eps)), numpy.linalg.solve(damped, b), 1e-7)


@settings(max_examples=30)
@given(partition=partitions(), seed=seeds, eps=epsilons)
def test_the_dual_agrees_with_the_primal_for_every_covector(partition, seed, eps):
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(min(6, partition.size), partition.size)) + 0.3
    floor, reference = draw_blocks(partition, rng), draw_blocks(partition, rng)
    tensor = Factor(
        rows,
        partition=partition,
        floor=lambda: Blocks(partition, floor.blocks),
        reference=lambda: Blocks(partition, reference.blocks),
    )
    a, b = rows.T @ rows, rng.normal(size=partition.size)
    s = rng.normal(size=len(rows))
    for damping, added in (
        (Tikhonov(eps), eps * numpy.eye(partition.size)),
        (Floor(eps), eps * floor.matrix),
        (Floor(eps) + Tikhonov(0.01), eps * floor.matrix + 0.01 * numpy.eye(partition.size)),
    ):
        close(tensor.solve(b, damping), numpy.linalg.solve(a + added, b), 1e-7)
        close(tensor.solve_image(s, damping), numpy.linalg.solve(a + added, rows.T @ s), 1e-7)


@settings(max_examples=30)
@given(seed=seeds, eps=epsilons, ragged=st.booleans(), q=st.integers(1, 2))
def test_the_dual_of_intrinsic_damping_agrees_with_the_primal(seed, eps, ragged, q):
    rng = numpy.random.default_rng(seed)
    shapes = [("units", 4, q, [(3, 1), (1, 2)], ragged), ("whole", 2, 3, ragged)]
    partition = make_partition(shapes, rng, shuffled=True)
    # Enough rows for each unit's own block, fewer than parameters.
    rows = rng.normal(size=(min(partition.size - 1, 14), partition.size)) + 0.3
    reference = draw_blocks(partition, rng)
    tensor = Factor(rows, partition=partition, reference=Blocks(partition, reference.blocks))
    assert tensor.is_dual
    a = rows.T @ rows
    damped = a + eps * intrinsic_term(a, partition, reference.matrix)
    b, s = rng.normal(size=partition.size), rng.normal(size=len(rows))
    close(tensor.solve(b, Intrinsic(eps)), numpy.linalg.solve(damped, b), 1e-7)
    close(tensor.solve_image(s, Intrinsic(eps)), numpy.linalg.solve(damped, rows.T @ s), 1e-7)
    dense = Dense(a, partition=partition, reference=Blocks(partition, reference.blocks))
    close(dense.solve(b, Intrinsic(eps)), tensor.solve(b, Intrinsic(eps)), 1e-7)


@settings(max_examples=30)
@given(partition=partitions(), seed=seeds, eps=epsilons)
def test_floor_adds_the_carried_tensor_in_the_entries(partition, seed, eps):
    rng = numpy.random.default_rng(seed)
    drawn, floor, full = draw_blocks(partition, rng), draw_blocks(partition, rng), well(rng, partition.size)
    blocks = Blocks(partition, floor.blocks)
    b = rng.normal(size=partition.size)
    for carried in (blocks, quasi_diagonal_of(blocks, partition)):
        quasi = QuasiDiagonal(partition, cut_entries(drawn.matrix, partition), floor=carried)
        expected = reduced(drawn.matrix + eps * floor.matrix, partition)
        close(quasi.solve(b, Floor(eps)), numpy.linalg.solve(expected, b), 1e-7)
    for tensor, a in (
        (Blocks(partition, drawn.blocks, floor=blocks), drawn.matrix),
        (Dense(full, partition=partition, floor=blocks), full),
    ):
        close(tensor.solve(b, Floor(eps)), numpy.linalg.solve(a + eps * floor.matrix, b), 1e-7)
    diagonal = Diagonal(numpy.diagonal(full), floor=blocks)
    close(diagonal.solve(b, Floor(eps)), b / (numpy.diagonal(full) + eps * numpy.diagonal(floor.matrix)))


@settings(max_examples=20)
@given(partition=partitions(with_whole=False), seed=seeds)
def test_sums_apply_all_parts_absolute_ones_first(partition, seed):
    rng = numpy.random.default_rng(seed)
    drawn, floor = draw_blocks(partition, rng), draw_blocks(partition, rng)
    tensor = Blocks(partition, drawn.blocks, floor=Blocks(partition, floor.blocks))
    b, identity = rng.normal(size=partition.size), numpy.eye(partition.size)
    absolute = drawn.matrix + 0.1 * floor.matrix + 0.02 * identity
    close(tensor.solve(b, Floor(0.1) + Tikhonov(0.02)), numpy.linalg.solve(absolute, b), 1e-8)
    all_three = absolute + 0.3 * reduced(absolute, partition)
    for damping in (Floor(0.1) + Tikhonov(0.02) + Intrinsic(0.3), Intrinsic(0.3) + (Tikhonov(0.02) + Floor(0.1))):
        close(tensor.solve(b, damping), numpy.linalg.solve(all_three, b), 1e-8)
    factor = Factor(rng.normal(size=(1, partition.size)), partition=partition)
    absolute = factor.as_matrix() + 0.02 * identity
    expected = numpy.linalg.solve(absolute + 0.3 * reduced(absolute, partition), b)
    close(factor.solve(b, Intrinsic(0.3) + Tikhonov(0.02)), expected, 1e-7)


def deficient(rng, partition, rank):
    """Blocks of a given rank whose own parents are none of them constant, and their matrix."""
    matrix, blocks = numpy.zeros((partition.size, partition.size)), []
    for group in partition.groups:
        rows = rng.normal(size=(group.units, rank, group.width)) + rng.normal(size=(group.units, 1, group.width))
        if group.mask is not None:
            rows *= group.mask[:, None]
        part = rows.swapaxes(1, 2) @ rows
        blocks.append(part)
        for unit, row in enumerate(group.index):
            real = numpy.flatnonzero(row != partition.size)
            matrix[numpy.ix_(row[real], row[real])] = part[unit][numpy.ix_(real, real)]
    return tuple(blocks), matrix


@settings(max_examples=30)
@given(partition=partitions(), seed=seeds, rank=st.integers(1, 5))
def test_pseudo_inverse_is_moore_penrose(partition, seed, rank):
    rng = numpy.random.default_rng(seed)
    blocks, matrix = deficient(rng, partition, rank)
    b = rng.normal(size=partition.size)
    expected = numpy.zeros(partition.size)
    for group in partition.groups:
        for row in group.index:
            here = row[row != partition.size]
            expected[here] = numpy.linalg.pinv(matrix[numpy.ix_(here, here)], rcond=1e-10, hermitian=True) @ b[here]
    close(Blocks(partition, blocks).solve(b, PseudoInverse()), expected, 1e-6)
    rows = rng.normal(size=(2, partition.size))
    whole = numpy.linalg.pinv(rows.T @ rows, rcond=1e-10, hermitian=True) @ b
    for tensor in (Dense(rows.T @ rows), Factor(rows), Factor(numpy.vstack([rows] * 20) / math.sqrt(20))):
        close(tensor.solve(b, PseudoInverse(1e-10)), whole, 1e-6)
    diagonal = Diagonal(numpy.where(numpy.arange(partition.size) % 2 == 0, 2.0, 1e-13))
    close(diagonal.solve(b, PseudoInverse()), numpy.where(numpy.arange(partition.size) % 2 == 0, b / 2.0, 0.0))


@settings(max_examples=20)
@given(partition=partitions(with_whole=False, scalar=True), seed=seeds)
def test_pseudo_inverse_of_a_quasi_diagonal_tensor_is_that_of_its_units(partition, seed):
    rng = numpy.random.default_rng(seed)
    blocks, matrix = deficient(rng, partition, 1)
    dense, b = reduced(matrix, partition), rng.normal(size=partition.size)
    expected = numpy.zeros(partition.size)
    for group in partition.groups:
        for row in group.index:
            here = row[row != partition.size]
            expected[here] = numpy.linalg.pinv(dense[numpy.ix_(here, here)], rcond=1e-10, hermitian=True) @ b[here]
    tensor = quasi_diagonal_of(Blocks(partition, blocks), partition)
    close(tensor.solve(b, PseudoInverse()), expected, 1e-6)


def least_norm(matrix, norm, b):
    """Of all least-squares solutions of A w = b in the dual norm, the one least in the norm: by a matrix root."""
    root = scipy.linalg.sqrtm(numpy.linalg.inv(norm)).real
    return root @ numpy.linalg.pinv(root @ matrix @ root, rcond=1e-9, hermitian=True) @ root @ b


@settings(max_examples=30)
@given(seed=seeds, q=st.integers(1, 2), ragged=st.booleans(), rank=st.integers(3, 6))
def test_least_norm_is_least_in_the_reduced_norm_and_the_limit_of_intrinsic(seed, q, ragged, rank):
    rng = numpy.random.default_rng(seed)
    partition = make_partition([("units", 3, q, [(5, 1)], ragged)], rng, shuffled=True)
    blocks, matrix = deficient(rng, partition, rank * q)
    b = matrix @ rng.normal(size=partition.size)
    expected = least_norm(matrix, reduced(matrix, partition), b)
    tensor = Blocks(partition, blocks)
    close(tensor.solve(b, LeastNorm()), expected, 1e-5)
    close(tensor.solve(b, Intrinsic(1e-9)), expected, 1e-4)
    close(matrix @ tensor.solve(b, LeastNorm()), b, 1e-6)
    for whole in (Dense(matrix, partition=partition), Factor(_root(matrix), partition=partition)):
        close(whole.solve(b, LeastNorm()), expected, 1e-5)


def _root(matrix):
    values, vectors = numpy.linalg.eigh(matrix)
    kept = values > 1e-10 * values[-1]
    return numpy.sqrt(values[kept, None]) * vectors.T[kept]


def test_least_norm_of_whole_units_is_in_the_norm_of_the_reference():
    rng = numpy.random.default_rng(0)
    partition = make_partition([("whole", 3, 4, True), ("units", 2, 1, [(2, 1)], False)], rng, shuffled=True)
    blocks, matrix = deficient(rng, partition, 2)
    units = partition.groups[1].index.reshape(-1)
    blocks = (blocks[0], well(rng, 2, 3))
    for part, row in zip(blocks[1], partition.groups[1].index, strict=True):
        matrix[numpy.ix_(row, row)] = part
    reference = draw_blocks(partition, rng)
    norm = reference.matrix.copy()
    norm[numpy.ix_(units, units)] = reduced(matrix, partition)[numpy.ix_(units, units)]
    b = matrix @ rng.normal(size=partition.size)
    expected = least_norm(matrix, norm, b)
    tensor = Blocks(partition, blocks, reference=Blocks(partition, reference.blocks))
    close(tensor.solve(b, LeastNorm()), expected, 1e-5)
    with pytest.raises(SingularMetricError, match="unit 0 of group 0"):
        Blocks(partition, blocks).solve(b, LeastNorm())
    regular = Blocks(partition, draw_blocks(partition, rng).blocks)
    close(regular.solve(b, LeastNorm()), regular.solve(b), 1e-8)


ONE = Partition(4, [Units([[0]], [[[[1], [2], [3]]]], name="h")])


def sampled(activities, weights):
    """The block and the floor of one scalar affine unit from its parents' activities (samples, 3)."""
    read = numpy.column_stack([numpy.ones(len(activities)), activities])
    block = (read * weights[:, None]).T @ read / len(read)
    return block, weights.mean() * (read.T @ read) / len(read)


@pytest.mark.parametrize("constant", [0.0, 0.7, -30.0])
@pytest.mark.parametrize("damping", [Intrinsic(0.1), LeastNorm(), Floor(0.1)])
def test_a_constant_parent_is_left_alone_and_the_others_learn_as_without_it(constant, damping):
    rng = numpy.random.default_rng(0)
    activities = rng.normal(size=(50, 3)) + 1.0
    activities[:, 1] = constant
    block, floor = sampled(activities, rng.random(50))
    kept = [0, 1, 3]
    b = block @ rng.normal(size=4)
    smaller = Partition(3, [Units([[0]], [[[[1], [2]]]])])
    for reduction in (lambda t, p: t, quasi_diagonal_of):
        tensor = reduction(Blocks(ONE, [block[None]], floor=Blocks(ONE, [floor[None]])), ONE)
        here = numpy.ix_(kept, kept)
        without = Blocks(smaller, [block[here][None]], floor=Blocks(smaller, [floor[here][None]]))
        solved = tensor.solve(b, damping)
        assert solved[2] == 0.0
        close(solved[kept], reduction(without, smaller).solve(b[kept], damping), 1e-9)
        with pytest.raises(SingularMetricError):
            tensor.solve(b)
    dense = Dense(block, partition=ONE, floor=Blocks(ONE, [floor[None]]))
    close(dense.solve(b, damping), Blocks(ONE, [block[None]], floor=Blocks(ONE, [floor[None]])).solve(b, damping))


def test_as_tikhonov_vanishes_a_constant_parent_takes_its_share_of_the_bias():
    # The limit a g_0 / (A_00 (1 + a^2)), not 0: the function that the unit computes is the same.
    activity, weight, g = 0.5, 2.0, 3.0
    partition = Partition(2, [Units([[0]], [[[[1]]]])])
    block = weight * numpy.array([[1.0, activity], [activity, activity**2]])
    b = g * numpy.array([1.0, activity])
    tensor = quasi_diagonal_of(Dense(block), partition)
    damped = tensor.solve(b, Tikhonov(1e-9))
    assert damped[1] == pytest.approx(activity * g / (weight * (1 + activity**2)), rel=1e-5)
    assert damped[0] + activity * damped[1] == pytest.approx(g / weight, rel=1e-6)
    left_alone = tensor.solve(b, LeastNorm())
    assert left_alone[1] == 0.0
    assert left_alone[0] == pytest.approx(g / weight)


@pytest.mark.parametrize("damping", [Intrinsic(0.1), LeastNorm(), Floor(0.1), PseudoInverse()])
def test_a_unit_without_weight_is_left_alone(damping):
    two = Partition(6, [Units([[0], [3]], [[[[1], [2]], [[4], [5]]]])])
    block = well(numpy.random.default_rng(0), 3)
    blocks = numpy.array([numpy.zeros((3, 3)), block])
    floor = Blocks(two, [blocks])
    whole = Partition(6, [Whole([[0, 1, 2], [3, 4, 5]])])
    for tensor in (
        Blocks(two, [blocks], floor=floor),
        quasi_diagonal_of(Blocks(two, [blocks], floor=floor), two),
        Blocks(whole, [blocks], floor=Blocks(whole, [blocks]), reference=euclidean(6)),
    ):
        solved = tensor.solve(numpy.ones(6), damping)
        assert solved[:3].tolist() == [0.0, 0.0, 0.0]
        assert numpy.abs(solved[3:]).min() > 0.0


def test_least_norm_leaves_alone_parents_that_vary_only_where_samples_weigh_nothing():
    rng = numpy.random.default_rng(0)
    activities, weights = rng.normal(size=(40, 3)), rng.random(40)
    weights[20:] = 1e-10
    activities[:20, 1] = 0.3
    block, floor = sampled(activities, weights)
    for reduction in (lambda t, p: t, quasi_diagonal_of):
        tensor = reduction(Blocks(ONE, [block[None]], floor=Blocks(ONE, [floor[None]])), ONE)
        # Not to rounding, but to rcond: the parent's weighted variance is 1e-10 of its plain one.
        assert tensor.solve(block @ numpy.ones(4), LeastNorm(1e-12))[2] != 0.0
        solved = tensor.solve(block @ numpy.ones(4), LeastNorm(1e-8))
        assert solved[2] == 0.0
        # The unit's own function is what it would be with all of it: 1 + a_0 + a_1 + a_2 where samples count.
        read = numpy.column_stack([numpy.ones(20), activities[:20]])
        if reduction is not quasi_diagonal_of:
            close(read @ solved, read @ numpy.ones(4), 1e-6)


def test_tikhonov_that_rounding_swallows_is_an_error_and_not_noise():
    huge = 1e20 * numpy.ones((2, 2))
    partition = Partition(2, [Units([[0]], [[[[1]]]])])
    for tensor in (Dense(huge), Blocks(partition, [huge[None]]), quasi_diagonal_of(Dense(huge), partition)):
        with pytest.raises(SingularMetricError):
            tensor.solve(numpy.ones(2), Tikhonov(1e-4))


def test_tikhonov_that_rounding_leaves_something_of_is_not_an_error():
    large = 1e9 * numpy.ones((2, 2))
    partition = Partition(2, [Units([[0]], [[[[1]]]])])
    for tensor in (Dense(large), Blocks(partition, [large[None]]), quasi_diagonal_of(Dense(large), partition)):
        close(tensor.solve(1e9 * numpy.ones(2), Tikhonov(1e-4)).sum(), 1.0, 1e-2)


def test_least_norm_and_intrinsic_damping_may_be_joined():
    rng = numpy.random.default_rng(0)
    partition = make_partition([("units", 3, 1, [(5, 1)], False)], rng, shuffled=True)
    blocks, matrix = deficient(rng, partition, 4)
    b = matrix @ rng.normal(size=partition.size)
    norm = reduced(matrix, partition)
    root = scipy.linalg.sqrtm(numpy.linalg.inv(norm)).real
    values, vectors = numpy.linalg.eigh(root @ matrix @ root)
    kept = values > 1e-9 * values[-1]
    part = root @ vectors[:, kept]
    expected = part @ ((part.T @ b) / (values[kept] + 0.1))
    for tensor in (
        Blocks(partition, blocks),
        Dense(matrix, partition=partition),
        Factor(_root(matrix), partition=partition),
    ):
        close(tensor.solve(b, Intrinsic(0.1) + LeastNorm()), expected, 1e-6)


def test_a_floor_that_knows_nothing_of_whole_units_leaves_them_as_they_are():
    rng = numpy.random.default_rng(0)
    partition = make_partition([("units", 3, 1, [(4, 1)], False), ("whole", 1, 2, False)], rng, shuffled=True)
    floor = draw_blocks(partition, rng)
    positions = partition.groups[1].index[0]
    matrix = floor.matrix.copy()
    matrix[numpy.ix_(positions, positions)] = 0.0
    rows = rng.normal(size=(8, partition.size))
    carried = Blocks(partition, (floor.blocks[0], numpy.zeros((1, 2, 2))))
    tensor = Factor(rows, partition=partition, floor=carried)
    b = rng.normal(size=partition.size)
    close(tensor.solve(b, Floor(0.1)), numpy.linalg.solve(rows.T @ rows + 0.1 * matrix, b), 1e-6)


def test_pieces_of_large_groups_keep_their_units_their_floor_and_their_reference():
    rng = numpy.random.default_rng(0)
    index = numpy.arange(12 * 200).reshape(12, 200)
    blocks, others = (well(rng, 3, 200)[numpy.arange(12) % 3] * numpy.arange(1, 13)[:, None, None] for _ in range(2))
    b = rng.normal(size=index.size)
    whole = Partition(index.size, [Whole(index)])
    tensor = Blocks(whole, [blocks], reference=Blocks(whole, [others]))
    solved = tensor.solve(b, Intrinsic(0.1)).reshape(12, 200)
    units = Partition(index.size, [Units(index[:, :1], [index[:, 1:, None]])])
    blocks_with_gap = blocks.copy()
    # Unit 8's first parent varies as little, beside what its floor says, as rcond allows.
    floor = blocks.copy()
    floor[8, 1, 1] = 1e12
    least = Blocks(units, [blocks], floor=Blocks(units, [floor])).solve(b, LeastNorm()).reshape(12, 200)
    for unit in (0, 5, 6, 11):
        here, r = blocks[unit], others[unit]
        damped = here + 0.1 * numpy.trace(numpy.linalg.solve(r, here)) / 200 * r
        close(solved[unit], numpy.linalg.solve(damped, b.reshape(12, 200)[unit]), 1e-8)
        close(least[unit], numpy.linalg.solve(here, b.reshape(12, 200)[unit]), 1e-7)
    assert numpy.flatnonzero(least == 0.0).tolist() == [8 * 200 + 1]
    blocks_with_gap[10, 5] = blocks_with_gap[10, :, 5] = 0.0
    for partition in (whole, units):
        with pytest.raises(SingularMetricError, match="unit 10 of group 0: singular, of rank 199 of 200"):
            Blocks(partition, [blocks_with_gap]).solve(b)


def test_tikhonov_keeps_steps_finite_where_a_unit_is_saturated():
    tiny = 1e-300 * numpy.ones((2, 2))
    partition = Partition(2, [Units([[0]], [[[[1]]]])])
    for tensor in (Dense(tiny), Blocks(partition, [tiny[None]]), quasi_diagonal_of(Dense(tiny), partition)):
        close(tensor.solve(numpy.ones(2), Tikhonov(0.5)), [2.0, 2.0])


@pytest.mark.parametrize(
    ("tensor", "damping", "message"),
    [
        (Dense(numpy.eye(2)), Intrinsic(0.1), "this Dense tensor knows of none; give it a partition"),
        (Factor(numpy.ones((1, 2))), Intrinsic(0.1), "this Factor tensor knows of none"),
        (Dense(numpy.eye(2)), LeastNorm(), "knows of none"),
        (
            Dense(numpy.eye(2), name="natural metric"),
            Floor(0.1),
            r"natural metric: Floor damping needs .* carries none",
        ),
        (
            Blocks(Partition(2, [Whole([[0, 1]])]), [numpy.eye(2)[None]]),
            Intrinsic(0.1),
            r"unit 0 of group 0: Intrinsic and LeastNorm need a reference metric .* or use Tikhonov\(eps\)",
        ),
        (Implicit(2, lambda v: v), PseudoInverse(), "pseudo-inverse would need its eigenvalues"),
        (Implicit(2, lambda v: v), Intrinsic(0.1), "needs its quasi-diagonal reduction as the preconditioner"),
    ],
)
def test_what_a_damping_lacks_is_said(tensor, damping, message):
    with pytest.raises(DeclarationError, match=message):
        tensor.solve(numpy.ones(2), damping)


def test_a_singular_floor_is_named():
    rows = numpy.random.default_rng(0).normal(size=(1, 4))
    read = numpy.ones((4, 4)) + numpy.diag([0, 1, 1, 0.0])
    read[3] = read[:, 3] = read[2]
    tensor = Factor(rows, partition=ONE, floor=Blocks(ONE, [read[None]]), name="natural metric")
    with pytest.raises(SingularMetricError, match="the floor of natural metric, unit 0 of group 0"):
        tensor.solve(numpy.ones(4), Floor(0.1))


@pytest.mark.parametrize("kind", [Tikhonov, Intrinsic, Floor])
@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan, "1e-4", None, True])
def test_numbers_that_do_not_damp_are_refused(kind, eps):
    with pytest.raises(DeclarationError, match=rf"{kind.__name__}\(eps\) takes a finite number above 0, received"):
        kind(eps)


@pytest.mark.parametrize("kind", [PseudoInverse, LeastNorm])
def test_ratios_lie_below_one(kind):
    with pytest.raises(DeclarationError, match=rf"{kind.__name__}\(rcond\) takes a ratio below 1, received 1.0"):
        kind(1.0)
    with pytest.raises(DeclarationError, match="takes a finite number above 0"):
        kind(0.0)


def test_sums_that_make_no_sense_are_refused():
    with pytest.raises(DeclarationError, match="can cut directions once, received pseudo-inverse:1e-10 and least-norm"):
        PseudoInverse() + LeastNorm()
    with pytest.raises(DeclarationError, match="PseudoInverse cannot be added to Intrinsic"):
        Intrinsic(0.1) + PseudoInverse()
    with pytest.raises(DeclarationError, match="can be added to dampings only, received 1"):
        Intrinsic(0.1) + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("tikhonov:1e-4", Tikhonov(1e-4)),
        ("Intrinsic : 0.03", Intrinsic(0.03)),
        ("floor:0.1", Floor(0.1)),
        ("pseudo-inverse:1e-8", PseudoInverse(1e-8)),
        ("pseudo-inverse", PseudoInverse(1e-10)),
        ("least-norm", LeastNorm(1e-10)),
        ("floor:1e+0 + tikhonov:1e-6", Floor(1.0) + Tikhonov(1e-6)),
    ],
)
def test_dampings_are_read_and_written(text, expected):
    damping = damping_from_text(text)
    assert damping == expected
    if damping is not None:
        assert damping_from_text(str(damping)) == damping
        assert damping.wants_floor == any(name in str(damping) for name in ("floor", "intrinsic", "least-norm"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tikonov:1", "'tikonov' is unknown; known are none, tikhonov:NUMBER, intrinsic:NUMBER, floor:NUMBER"),
        ("", "'' is unknown"),
        ("none+floor:1", "'none' is unknown"),
        ("tikhonov", "expected tikhonov:NUMBER such as tikhonov:1e-4, received 'tikhonov'"),
        ("tikhonov:small", "expected tikhonov:NUMBER such as tikhonov:1e-4, received 'tikhonov:small'"),
        ("tikhonov:-1", r"Tikhonov\(eps\) takes a finite number above 0, received -1.0"),
        ("least-norm:", "expected least-norm:NUMBER"),
    ],
)
def test_texts_that_name_no_damping_are_refused(text, message):
    with pytest.raises(DeclarationError, match=message):
        damping_from_text(text)


def test_quasi_diagonal_norms_and_steps_are_consistent_under_damping():
    rng = numpy.random.default_rng(0)
    drawn = draw_blocks(ONE, rng)
    quasi, b = quasi_diagonal_of(Blocks(ONE, drawn.blocks), ONE), rng.normal(size=4)
    close(quasi.multiply(quasi.solve(b)), b)
    close(1.5 * quasi.solve(b, Intrinsic(0.5)), quasi.solve(b))
    close(blocks_of(quasi, ONE).solve(b), quasi.solve(b))


def test_implicit_damping_uses_the_quasi_diagonal_preconditioner():
    rng = numpy.random.default_rng(0)
    partition = make_partition([("units", 4, 1, [(5, 1)], True), ("whole", 2, 3, False)], rng, shuffled=True)
    full, reference = well(rng, partition.size), draw_blocks(partition, rng)
    quasi = quasi_diagonal_of(Dense(full), partition)
    carried = Blocks(partition, reference.blocks)
    floor = draw_blocks(partition, rng)
    tensor = Implicit(
        partition.size, lambda v: full @ v, quasi, reference=carried, floor=Blocks(partition, floor.blocks)
    )
    b = rng.normal(size=partition.size)
    close(tensor.solve(b), numpy.linalg.solve(full, b), 1e-7)
    damped = full + 0.1 * intrinsic_term(full, partition, reference.matrix)
    close(tensor.solve(b, Intrinsic(0.1)), numpy.linalg.solve(damped, b), 1e-7)
    close(tensor.solve(b, Floor(0.1)), numpy.linalg.solve(full + 0.1 * floor.matrix, b), 1e-7)
    both = full + 0.1 * floor.matrix + 0.01 * numpy.eye(partition.size)
    close(tensor.solve(b, Floor(0.1) + Tikhonov(0.01)), numpy.linalg.solve(both, b), 1e-7)


def test_implicit_says_when_it_does_not_converge_or_is_singular():
    matrix = numpy.diag(10.0 ** numpy.arange(0, 12))
    with pytest.raises(NumericalError, match=r"relative residual of .* in 3 iterations, expected 1.0e-10; damp more"):
        Implicit(12, lambda v: matrix @ v, max_iterations=3).solve(numpy.ones(12))
    easier = Implicit(12, lambda v: matrix @ v, Diagonal(numpy.diagonal(matrix)), max_iterations=3)
    close(easier.solve(numpy.ones(12)), 1.0 / numpy.diagonal(matrix))
    with pytest.raises(NumericalError, match=r"met a direction of square length 0\.0e"):
        Implicit(2, lambda v: numpy.array([v[0], 0.0])).solve([0.0, 1.0])
    with pytest.raises(NumericalError, match="not finite"):
        Implicit(2, lambda v: v * math.nan).solve([0.0, 1.0])
    assert Implicit(2, lambda v: v).solve([0.0, 0.0]).tolist() == [0.0, 0.0]


def test_intrinsic_damping_of_large_blocks_is_solved_in_pieces():
    rng = numpy.random.default_rng(0)
    index = numpy.arange(12 * 400).reshape(12, 400)
    partition = Partition(index.size, [Units(index[:, :1], [index[:, 1:, None]])])
    rows = rng.normal(size=(12, 30, 400)) + 1.0
    blocks = rows.swapaxes(1, 2) @ rows
    b = (rows.swapaxes(1, 2) @ rng.normal(size=(12, 30, 1))).reshape(-1)
    solved = Blocks(partition, [blocks]).solve(b, Intrinsic(0.1)).reshape(12, 400)
    for unit in (0, 11):
        level, row = blocks[unit, 0, 0], blocks[unit, 0]
        term = numpy.outer(row, row) / level
        numpy.fill_diagonal(term, numpy.diagonal(blocks[unit]))
        close(solved[unit], numpy.linalg.solve(blocks[unit] + 0.1 * term, b.reshape(12, 400)[unit]), 1e-8)


def test_unit_blocks_of_a_matrix_are_the_oracle_of_its_own_helper():
    partition = make_partition([("whole", 2, 3, True)], numpy.random.default_rng(0), shuffled=True)
    matrix = well(numpy.random.default_rng(1), partition.size)
    close(blocks_of(Dense(matrix), partition).as_matrix(), unit_diagonal_blocks(matrix, partition))
