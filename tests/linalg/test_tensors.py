"""Every structure against dense algebra: products, norms, solves, sums, averages."""

import functools
import gc
import math
import weakref

import numpy
import pytest
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from manifoldnet.errors import DeclarationError, MemoryLimitError, NumericalError, ShapeError, SingularMetricError
from manifoldnet.linalg import (
    Blocks,
    Dense,
    Diagonal,
    Entries,
    Factor,
    Implicit,
    Intrinsic,
    LeastNorm,
    Partition,
    QuasiDiagonal,
    Tikhonov,
    Units,
    Whole,
    blocks_of,
    diagonal_of,
    euclidean,
    flat,
    quasi_diagonal_of,
)
from tests.linalg.drawing import (
    close,
    cut_entries,
    draw_blocks,
    draw_bordered,
    partitions,
    reduced,
    unit_diagonal_blocks,
    well,
)

KINDS = ("dense", "blocks", "quasi-diagonal", "diagonal", "factor", "tall factor", "bordered", "implicit")
seeds = st.integers(0, 10**6)


def make(kind, partition, rng):
    """A tensor of some structure, and its matrix by dense algebra."""
    if kind in ("blocks", "quasi-diagonal"):
        drawn = draw_blocks(partition, rng)
        if kind == "blocks":
            return Blocks(partition, drawn.blocks), drawn.matrix
        return QuasiDiagonal(partition, cut_entries(drawn.matrix, partition)), reduced(drawn.matrix, partition)
    if kind == "bordered":
        return draw_bordered(partition, rng)
    matrix = well(rng, partition.size)
    if kind == "dense":
        return Dense(matrix, partition=partition), matrix
    if kind == "diagonal":
        return Diagonal(numpy.diagonal(matrix)), numpy.diag(numpy.diagonal(matrix))
    if kind == "implicit":
        return Implicit(partition.size, lambda v: matrix @ v), matrix
    rows = rng.normal(size=(2 * partition.size if kind == "tall factor" else 2, partition.size))
    return Factor(rows, partition=partition), rows.T @ rows


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_products_norms_and_matrices_agree_with_dense_algebra(kind, partition, seed):
    rng = numpy.random.default_rng(seed)
    tensor, matrix = make(kind, partition, rng)
    u, v = rng.normal(size=(2, partition.size))
    assert tensor.size == partition.size
    close(tensor.as_matrix(), matrix)
    close(tensor.diagonal(), numpy.diagonal(matrix))
    close(tensor.multiply(v), matrix @ v)
    assert tensor.norm2(v) == pytest.approx(v @ matrix @ v, rel=1e-9)
    assert tensor.inner(u, v) == pytest.approx(u @ matrix @ v, rel=1e-9, abs=1e-9 * numpy.linalg.norm(matrix))
    operator = tensor.as_linear_operator()
    assert isinstance(operator, scipy.sparse.linalg.LinearOperator)
    close(operator @ v, matrix @ v)
    close(operator.T @ v[:, None], (matrix @ v)[:, None])
    close(tensor.scaled(3.0).as_matrix(), 3.0 * matrix)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "factor"])
@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_solving_agrees_with_dense_algebra(kind, partition, seed):
    rng = numpy.random.default_rng(seed)
    tensor, matrix = make(kind, partition, rng)
    b = rng.normal(size=partition.size)
    close(tensor.solve(b), numpy.linalg.solve(matrix, b), 1e-8)
    columns = rng.normal(size=(partition.size, 3))
    close(tensor.factorise().solve(columns), numpy.linalg.solve(matrix, columns), 1e-8)


@settings(max_examples=50)
@given(partition=partitions(with_whole=False, scalar=True), seed=seeds)
def test_scalar_quasi_diagonal_steps_are_equations_89_and_90(partition, seed):
    rng = numpy.random.default_rng(seed)
    drawn = draw_blocks(partition, rng)
    tensor = QuasiDiagonal(partition, cut_entries(drawn.matrix, partition))
    b = rng.normal(size=partition.size)
    expected, a = numpy.zeros(partition.size), drawn.matrix
    for group in partition.groups:
        for row in group.index:
            zero, *parents = [i for i in row if i != partition.size]
            expected[zero] = b[zero] / a[zero, zero]
            for i in parents:
                expected[i] = (b[i] * a[zero, zero] - b[zero] * a[zero, i]) / (
                    a[i, i] * a[zero, zero] - a[zero, i] ** 2
                )
                expected[zero] -= a[zero, i] / a[zero, zero] * expected[i]
    close(tensor.solve(b), expected)
    close(tensor.solve(b), numpy.linalg.solve(reduced(a, partition), b), 1e-8)


@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_conversions_agree_with_dense_algebra(partition, seed):
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(3, partition.size))
    matrix = rows.T @ rows
    for tensor in (Dense(matrix), Factor(rows), blocks_of(Dense(matrix), partition)):
        close(blocks_of(tensor, partition).as_matrix(), unit_diagonal_blocks(matrix, partition))
        close(quasi_diagonal_of(tensor, partition).as_matrix(), reduced(matrix, partition), 1e-7)
        close(diagonal_of(tensor).entries, numpy.diagonal(matrix))
    diagonal = Diagonal(numpy.diagonal(matrix))
    close(blocks_of(diagonal, partition).as_matrix(), diagonal.as_matrix())
    close(quasi_diagonal_of(diagonal, partition).as_matrix(), diagonal.as_matrix())
    quasi = quasi_diagonal_of(Dense(matrix), partition)
    close(blocks_of(quasi, partition).as_matrix(), quasi.as_matrix())
    close(quasi_diagonal_of(quasi, partition).as_matrix(), quasi.as_matrix())


def test_a_block_for_a_whole_group_may_be_read_as_affine_units():
    whole, units = Partition(3, [Whole([[0, 1, 2]])]), Partition(3, [Units([[0]], [[[[1], [2]]]])])
    matrix = well(numpy.random.default_rng(0), 3)
    quasi = quasi_diagonal_of(Blocks(whole, [matrix[None]]), units)
    close(quasi.as_matrix(), reduced(matrix, units))
    close(quasi_diagonal_of(quasi, whole).as_matrix(), reduced(matrix, units))
    close(quasi_diagonal_of(QuasiDiagonal(whole, [matrix[None]]), units).as_matrix(), reduced(matrix, units))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(partition=partitions(), seed=seeds, weight=st.floats(0.0, 1.0))
def test_averages_mix_matrices_or_entries(kind, partition, seed, weight):
    rng = numpy.random.default_rng(seed)
    (first, a), (second, b) = make(kind, partition, rng), make(kind, partition, rng)
    average = first.average(second, weight)
    assert type(average) is type(first)
    expected = (1.0 - weight) * a + weight * b
    if kind == "quasi-diagonal":
        # The entries are averaged, which off the diagonal blocks is not the average of the matrices.
        expected = reduced(expected, partition)
    close(average.as_matrix(), expected)


def test_averaged_factors_never_have_more_rows_than_parameters():
    rng = numpy.random.default_rng(0)
    tensor = Factor(rng.normal(size=(3, 5)))
    matrix = tensor.as_matrix()
    for _ in range(4):
        other = Factor(rng.normal(size=(3, 5)))
        tensor, matrix = tensor.average(other, 0.25), 0.75 * matrix + 0.25 * other.as_matrix()
    assert len(tensor.rows) == 5
    close(tensor.as_matrix(), matrix)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
@settings(max_examples=4)
@given(partition=partitions(), seed=seeds)
def test_sums_are_sums_of_matrices_in_either_order(kind, other, partition, seed):
    rng = numpy.random.default_rng(seed)
    (first, a), (second, b) = make(kind, partition, rng), make(other, partition, rng)
    expected = a + b
    if {kind, other} <= {"quasi-diagonal", "diagonal"} and "quasi-diagonal" in (kind, other):
        expected = reduced(a + b, partition)
    close(first.plus(second).as_matrix(), expected)
    close(second.plus(first).as_matrix(), expected)


@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_a_factor_plus_anything_solves_on_the_side_of_its_rows(partition, seed):
    rng = numpy.random.default_rng(seed)
    factor, a = make("factor", partition, rng)
    b = rng.normal(size=partition.size)
    for kind in ("diagonal", "quasi-diagonal", "blocks"):
        base, d = make(kind, partition, rng)
        total = factor.plus(base)
        close(total.solve(b), numpy.linalg.solve(a + d, b), 1e-8)
        v = rng.normal(size=partition.size)
        close(total.multiply(v), (a + d) @ v)
        assert total.norm2(v) == pytest.approx(v @ (a + d) @ v)
        close(total.diagonal(), numpy.diagonal(a + d))
        close(blocks_of(total, partition).as_matrix(), unit_diagonal_blocks(a + d, partition))
        close(total.average(total, 0.5).as_matrix(), a + d)
        close(total.plus(factor).as_matrix(), 2.0 * a + d)


def test_large_blocks_are_solved_in_pieces_and_by_halves():
    rng = numpy.random.default_rng(0)
    partition = Partition(600, [Units([[0], [300]], [numpy.arange(600).reshape(2, 300, 1)[:, 1:]])])
    blocks = well(rng, 2, 300)
    tensor, b = Blocks(partition, [blocks]), rng.normal(size=600)
    expected = numpy.linalg.solve(blocks, b.reshape(2, 300, 1)).reshape(-1)
    close(tensor.solve(b), expected, 1e-8)
    many = Partition(6000, [Units(u[:, :1], [u[:, 1:, None]]) for u in [numpy.arange(6000).reshape(20, 300)]])
    repeated = Blocks(many, [numpy.tile(blocks, (10, 1, 1))])
    close(repeated.solve(numpy.tile(b, 10)), numpy.tile(expected, 10), 1e-8)


def test_tangents_may_be_objects_with_a_flat_array():
    class Tangent:
        flat = numpy.array([1.0, 2.0])

    assert euclidean(2).multiply(Tangent()).tolist() == [1.0, 2.0]
    assert flat(numpy.array([1, 2]), 2).dtype == numpy.float64


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0], r"expected a flat vector of 2 numbers, received shape \(1,\)"),
        (numpy.zeros((2, 1)), r"received shape \(2, 1\)"),
        (3.0, r"received shape \(\)"),
        (["a", "b"], "expected a flat vector of real numbers, received an array of <U1"),
        (numpy.array([1j, 2.0]), "received an array of complex128"),
    ],
)
def test_vectors_of_another_shape_or_kind_are_refused(vector, message):
    for use in (euclidean(2).multiply, euclidean(2).norm2, euclidean(2).solve, lambda v: euclidean(2).inner(v, v)):
        with pytest.raises(ShapeError, match=message):
            use(vector)


PAIR = Partition(2, [Units([[0]], [[[[1]]]], name="h")])
WHOLE = Partition(2, [Whole([[0, 1]])])


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: Dense([[1.0, 2.0]]), ShapeError, r"expected as \(size, size\), received \(1, 2\)"),
        (lambda: Diagonal([[1.0]]), ShapeError, r"expected as \(size,\), received \(1, 1\)"),
        (lambda: Factor([1.0]), ShapeError, r"expected as \(m, size\), received \(1,\)"),
        (lambda: Blocks(WHOLE, []), ShapeError, "expected blocks for 1 groups of units, received 0"),
        (lambda: Blocks(WHOLE, [numpy.eye(2)]), ShapeError, r"expected as \(1, 2, 2\), received \(2, 2\)"),
        (lambda: QuasiDiagonal(PAIR, []), ShapeError, "expected entries for 1 groups of units, received 0"),
        (lambda: QuasiDiagonal(PAIR, [numpy.eye(2)]), ShapeError, "expected as Entries.* received ndarray"),
        (lambda: QuasiDiagonal(PAIR, [Entries([[[1.0]]], [], [])]), ShapeError, "group 0: quasi-diagonal entries"),
        (lambda: euclidean(2).average(euclidean(3), 0.5), ShapeError, "expected Diagonal of 2 .* Diagonal of 3"),
        (lambda: euclidean(2).average(Dense(numpy.eye(2)), 0.5), ShapeError, "received Dense of 2"),
        (lambda: euclidean(2).average(euclidean(2), 1.5), DeclarationError, "must lie in 0..1, received 1.5"),
        (lambda: euclidean(2).plus(euclidean(3)), ShapeError, "cannot add a tensor of 3 parameters to one of 2"),
        (
            lambda: blocks_of(Blocks(WHOLE, [numpy.eye(2)[None]]), Partition(2, [Whole([[1, 0]])])),
            ShapeError,
            "holds other units than the partition asks for",
        ),
        (lambda: blocks_of(Implicit(2, lambda v: v), WHOLE), DeclarationError, "its blocks are not"),
        (lambda: euclidean(10**7).as_matrix(), MemoryLimitError, "would need 745058.1 GiB and this machine has"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides_named(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


def test_a_covector_that_is_not_finite_is_named():
    with pytest.raises(NumericalError, match="covector to solve for is not finite, first at position 1: nan"):
        euclidean(2).solve([0.0, math.nan])


@pytest.mark.parametrize("damping", [None, Tikhonov(1.0)])
def test_tensors_that_are_not_finite_are_named(damping):
    matrix = numpy.array([[1.0, 0.0], [0.0, math.nan]])
    entries = [Entries([[[1.0]]], [[[[[0.0]]]]], [[[[[math.nan]]]]])]
    for tensor, place in (
        (Dense(matrix), "all parameters together"),
        (Blocks(PAIR, [matrix[None]]), r"unit 0 of group 0 \('h'\)"),
        (Blocks(WHOLE, [matrix[None]]), "unit 0 of group 0"),
        (QuasiDiagonal(PAIR, entries), r"unit 0 of group 0 \('h'\)"),
        (Diagonal([1.0, math.nan]), "all parameters together"),
    ):
        with pytest.raises(NumericalError, match=f"{place}.*: the metric is not finite"):
            tensor.solve([1.0, 1.0], damping)


def test_carried_tensors_are_evaluated_once_and_only_when_asked():
    calls = []

    def floor():
        calls.append(1)
        return euclidean(2)

    tensor = Diagonal([1.0, 2.0], floor=floor)
    other = tensor.scaled(2.0)
    assert not calls
    assert tensor.floor is other.floor is tensor.floor
    assert len(calls) == 1
    average = tensor.average(Diagonal([1.0, 1.0], floor=Diagonal([3.0, 3.0])), 0.5)
    assert average.floor.entries.tolist() == [2.0, 2.0]
    assert tensor.without_floor().floor is None
    assert tensor.plus(Diagonal([1.0, 1.0])).floor is None
    assert tensor.plus(tensor).floor.entries.tolist() == [2.0, 2.0]
    assert len(calls) == 1


def test_what_a_carried_tensor_was_made_from_is_let_go_once_it_is_made():
    class Activities:
        pass

    held = Activities()
    remembered = weakref.ref(held)
    tensor = Diagonal([1.0], floor=functools.partial(lambda kept: euclidean(1), held))
    del held
    gc.collect()
    assert remembered() is not None
    assert tensor.floor is not None
    gc.collect()
    assert remembered() is None


@pytest.mark.parametrize("scale", [1e-280, 1e-150, 1.0, 1e150])
def test_solving_does_not_depend_on_the_size_of_the_metric(scale):
    rng = numpy.random.default_rng(1)
    partition = Partition(4, [Units([[0]], [[[[1], [2], [3]]]])])
    matrix, b = well(rng, 4), rng.normal(size=4)
    for tensor in (
        Dense(scale * matrix),
        Blocks(partition, [scale * matrix[None]]),
        QuasiDiagonal(partition, cut_entries(scale * matrix, partition)),
    ):
        expected = type(tensor)(
            **({"matrix": matrix} if isinstance(tensor, Dense) else {"partition": partition}),
            **({"blocks": [matrix[None]]} if isinstance(tensor, Blocks) else {}),
            **({"entries": cut_entries(matrix, partition)} if isinstance(tensor, QuasiDiagonal) else {}),
        ).solve(b)
        close(tensor.solve(scale * b), expected, 1e-8)


SINGULAR_BLOCK = numpy.array([[2.0, 1.0, 1.0], [1.0, 3.0, 3.0], [1.0, 3.0, 3.0]])
THREE = Partition(6, [Units([[0], [3]], [[[[1], [2]], [[4], [5]]]], name="h")])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            Blocks(THREE, [numpy.array([numpy.eye(3), SINGULAR_BLOCK])], name="backpropagated metric"),
            r"backpropagated metric, unit 1 of group 0 \('h'\): singular, of rank 2 of 3 to working precision; "
            r"damp it with Tikhonov\(eps\) or Intrinsic\(eps\), .* LeastNorm\(rcond\) or PseudoInverse\(rcond\)",
        ),
        (Dense(SINGULAR_BLOCK), "all parameters together: singular, of rank 2 of 3"),
        (Diagonal([1.0, 0.0, 2.0]), "of rank 2 of 3: entry 1 is 0"),
        (Factor(numpy.ones((2, 6))), "of rank at most 2 of 6, the number of rows of its factor"),
        (
            QuasiDiagonal(
                THREE, cut_entries(numpy.kron(numpy.eye(2), numpy.ones((3, 3)) + numpy.diag([0, 0, 1.0])), THREE)
            ),
            r"unit 0 of group 0 \('h'\): singular, of rank 2 of 3: its parent 0 \(weight at position 1\) is constant",
        ),
        (
            QuasiDiagonal(THREE, cut_entries(numpy.diag([1.0, 1, 1, 0, 0, 0]), THREE)),
            r"unit 1 of group 0 \('h'\): singular, of rank 0 of 3: no sample gives it any weight \(A_00 = 0\)",
        ),
    ],
)
def test_singular_tensors_say_where_and_what_to_do(tensor, message):
    with pytest.raises(SingularMetricError, match=message):
        tensor.solve(numpy.ones(tensor.size))


def test_a_singular_bias_or_parent_of_several_dimensions_is_named():
    partition = Partition(6, [Units([[0, 1]], [[[[2, 3, 4, 5]]]])])
    softmax = well(numpy.random.default_rng(0), 6)
    softmax[:2, :2] = [[1.0, -1.0], [-1.0, 1.0]]
    softmax[:2, 2:] = softmax[2:, :2] = 0.0
    with pytest.raises(SingularMetricError, match="its bias block A_00: singular, of rank 1 of 2"):
        quasi_diagonal_of(Dense(softmax), partition).solve(numpy.ones(6))
    parent = well(numpy.random.default_rng(0), 6)
    parent[5] = parent[:, 5] = 0.0
    with pytest.raises(
        SingularMetricError, match="unit 0 of group 0: singular, the block of parent 0 is of rank 3 of 4"
    ):
        quasi_diagonal_of(Dense(parent), partition).solve(numpy.ones(6))


@pytest.mark.parametrize(("left", "is_singular"), [(1e-11, False), (3e-13, True)])
def test_singular_means_that_a_square_of_1e_12_or_less_is_left_of_a_direction(left, is_singular):
    c = math.sqrt(1.0 - left)
    pair = numpy.array([[1.0, 1e4 * c], [1e4 * c, 1e8]])
    three = numpy.zeros((3, 3))
    three[0, 0], three[1:, 1:] = 1.0, pair
    units = Partition(3, [Units([[0]], [[[[1], [2]]]])])
    constant = numpy.array([[1.0, 1e4 * c], [1e4 * c, 1e8]])
    for tensor in (
        Dense(pair),
        Blocks(WHOLE, [pair[None]]),
        Blocks(units, [three[None]]),
        Blocks(PAIR, [constant[None]]),
        quasi_diagonal_of(Dense(constant), PAIR),
    ):
        if is_singular:
            with pytest.raises(SingularMetricError):
                tensor.solve(numpy.ones(tensor.size))
        else:
            assert numpy.isfinite(tensor.solve(numpy.ones(tensor.size))).all()


def test_products_of_a_reduced_tensor_whose_bias_is_singular_use_a_generalised_inverse():
    rng = numpy.random.default_rng(0)
    partition = Partition(9, [Units([[0, 1, 2]], [[[[3, 4, 5], [6, 7, 8]]]])])
    # As one softmax unit of three classes: its moduli vanish on (1, 1, 1).
    roots = rng.normal(size=(20, 3, 3)) @ (numpy.eye(3) - 1.0 / 3.0)
    read = numpy.concatenate([numpy.ones((20, 1)), rng.normal(size=(20, 2))], axis=1)
    rows = numpy.einsum("nbc,np->nbpc", roots, read).reshape(60, 9)
    matrix = rows.T @ rows
    assert numpy.linalg.matrix_rank(matrix[:3, :3]) == 2
    tensor, v = quasi_diagonal_of(Dense(matrix), partition), rng.normal(size=9)
    expected = reduced(matrix, partition)
    close(tensor.as_matrix(), expected)
    close(tensor.multiply(v), expected @ v)
    close(tensor.norm2(v), v @ expected @ v)
    b = expected @ v
    for damping in (LeastNorm(), Intrinsic(1e-9)):
        close(tensor.multiply(tensor.solve(b, damping)), b, 1e-7)


def test_ragged_units_count_only_real_positions_in_a_rank():
    partition = Partition(3, [Units([[0]], [[[[1], [3], [2]]]])])
    block = numpy.zeros((4, 4))
    block[numpy.ix_([0, 1, 3], [0, 1, 3])] = SINGULAR_BLOCK
    with pytest.raises(SingularMetricError, match="of rank 2 of 3"):
        Blocks(partition, [block[None]]).solve(numpy.ones(3))
    with pytest.raises(SingularMetricError, match=r"of rank 1 of 3: its parent 0 \(weight at position 1\)"):
        quasi_diagonal_of(Dense(numpy.ones((3, 3))), partition).solve(numpy.ones(3))
