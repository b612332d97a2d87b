"""Entries side by side, one number a link, against the matrices that definition 23 makes of them."""

import numpy
import pytest

from manifoldnet.linalg.damping import Tikhonov
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.links import LinkEntries, Links
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.units import Kept, Partition, Units, Whole

SIZE = 14
# units of 2, 1 and no parents, then one of 3, and four parameters that keep their full block
RAGGED = Units([[3], [7], [0]], [[[[1], [9]], [[2], [SIZE]], [[SIZE], [SIZE]]]], padding=SIZE)
WIDE = Units([[4]], [[[[5], [6], [8]]]], padding=SIZE)
PARTITION = Partition(SIZE, [RAGGED, WIDE, Whole([[10, 11, 12, 13]])])
# bias and parents of each unit, in the order of the groups
UNITS = [(3, [1, 9]), (7, [2]), (0, []), (4, [5, 6, 8])]


def drawn(seed: int) -> tuple[QuasiDiagonal, numpy.ndarray]:
    """A tensor, and the matrix of its entries A_00, A_0i and A_ii, which are those of random positive blocks."""
    rng = numpy.random.default_rng(seed)
    rows = rng.standard_normal((SIZE, 20))
    kept = rows @ rows.T
    bias = numpy.array([kept[b, b] for b, _ in UNITS])
    cross = numpy.array([kept[b, i] for b, parents in UNITS for i in parents])
    own = numpy.array([kept[i, i] for _, parents in UNITS for i in parents])
    links = LinkEntries(Links(PARTITION.groups[:2]), numpy.concatenate([bias, own]), cross)
    return QuasiDiagonal(PARTITION, Kept([links, kept[None, 10:, 10:]])), kept


def reduced(kept: numpy.ndarray) -> numpy.ndarray:
    """Definition 23, entry by entry."""
    matrix = numpy.zeros((SIZE, SIZE))
    matrix[10:, 10:] = kept[10:, 10:]
    for bias, parents in UNITS:
        matrix[bias, bias] = kept[bias, bias]
        for i in parents:
            matrix[bias, i] = matrix[i, bias] = kept[bias, i]
            for j in parents:
                matrix[i, j] = kept[i, i] if i == j else kept[i, bias] * kept[bias, j] / kept[bias, bias]
    return matrix


def test_they_are_the_matrix_of_definition_23():
    tensor, kept = drawn(0)
    numpy.testing.assert_allclose(tensor.as_matrix(), reduced(kept), rtol=1e-13)
    numpy.testing.assert_allclose(tensor.diagonal(), kept.diagonal(), rtol=1e-13)
    assert [type(part) for part in tensor.entries] == [Entries, Entries, numpy.ndarray]


@pytest.mark.parametrize("eps", [1e-3, 1.0])
def test_solutions_with_something_added_to_what_is_kept(eps):
    tensor, kept = drawn(1)
    covector = numpy.random.default_rng(2).standard_normal(SIZE)
    wanted = numpy.linalg.solve(reduced(kept + eps * numpy.eye(SIZE)), covector)
    numpy.testing.assert_allclose(tensor.solve(covector, Tikhonov(eps)), wanted, rtol=1e-10)


def test_units_alone_are_solved_side_by_side():
    bias, cross, own = numpy.array([2.0, 3.0, 5.0]), numpy.array([1.0, 2.0, 0.5]), numpy.array([4.0, 3.0, 2.0])
    partition = Partition(6, [Units([[0], [3], [5]], [[[[1], [2]], [[4], [6]], [[6], [6]]]], padding=6)])
    tensor = QuasiDiagonal(
        partition, Kept([LinkEntries(Links(partition.groups), numpy.concatenate([bias, own]), cross)])
    )
    covector = numpy.array([1.0, -2.0, 0.5, 4.0, 3.0, 1.0])
    matrix = tensor.as_matrix()
    # Tikhonov(1) adds to A_00 and A_ii: their products with A_0i change by the bias alone
    matrix[1, 2] = matrix[2, 1] = 1.0 * 2.0 / (2.0 + 1.0)
    wanted = numpy.linalg.solve(matrix + numpy.eye(6), covector)
    numpy.testing.assert_allclose(tensor.solve(covector, Tikhonov(1.0)), wanted, rtol=1e-12)


def test_sums_and_multiples_are_those_of_the_entries():
    links = Links(PARTITION.groups[:2])
    (one, first), (other, second) = drawn(3), drawn(4)
    one, other = (
        QuasiDiagonal(
            PARTITION, Kept([LinkEntries(links, tensor.parts[0].diagonal, tensor.parts[0].cross), tensor.parts[1]])
        )
        for tensor in (one, other)
    )
    together = one.plus(other.scaled(2.0))
    assert isinstance(together.parts[0], LinkEntries)
    numpy.testing.assert_allclose(together.as_matrix(), reduced(first + 2.0 * second), rtol=1e-12)
    # entries of one tensor by group, of the other side by side
    by_group = QuasiDiagonal(PARTITION, other.entries)
    numpy.testing.assert_allclose(one.plus(by_group).as_matrix(), reduced(first + second), rtol=1e-12)
