"""Tensors of units apart and a border, against dense algebra and against the rows that they are made of."""

import attrs
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifoldnet.errors import ShapeError, SingularMetricError
from manifoldnet.linalg import (
    Blocks,
    Damping,
    Dense,
    Diagonal,
    Floor,
    Intrinsic,
    LeastNorm,
    Partition,
    PseudoInverse,
    QuasiDiagonal,
    Tikhonov,
    Units,
    Whole,
)
from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.bordered_inverse import BorderedInverse
from manifoldnet.linalg.bordered_rows import bordered_of_rows
from manifoldnet.linalg.covector_rows import GatheredRows, ProductRows
from manifoldnet.linalg.row_parts import ExplicitRows, RowPart
from manifoldnet.linalg.stored import tensor_arrays, tensor_from
from tests.linalg.drawing import close, cut_entries, draw_blocks, draw_bordered, partitions, well

seeds = st.integers(0, 10**6)
DAMPINGS = (
    Tikhonov(0.1),
    Intrinsic(0.1),
    Floor(0.1) + Intrinsic(0.03),
    Tikhonov(0.1) + Intrinsic(0.1),
    Floor(0.1) + Tikhonov(0.1),
    LeastNorm(1e-9),
    PseudoInverse(1e-9),
)


def carried(partition: Partition, rng: numpy.random.Generator) -> dict:
    floor, reference = draw_blocks(partition, rng), draw_blocks(partition, rng)
    return {"floor": Blocks(partition, floor.blocks), "reference": Blocks(partition, reference.blocks)}


@pytest.mark.parametrize("damping", DAMPINGS, ids=str)
@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_solutions_are_those_of_the_matrix(damping: Damping, partition: Partition, seed: int) -> None:
    rng = numpy.random.default_rng(seed)
    tensor, matrix = draw_bordered(partition, rng)
    around = carried(partition, rng)
    b, columns = rng.normal(size=partition.size), rng.normal(size=(partition.size, 3))
    expected, received = Dense(matrix, partition=partition, **around), attrs.evolve(tensor, **around)
    close(received.solve(b, damping), expected.solve(b, damping), 1e-7)
    close(received.factorise(damping).solve(columns), expected.factorise(damping).solve(columns), 1e-7)


@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_sums_are_those_of_the_matrices(partition: Partition, seed: int) -> None:
    """Blocks by unit keep the border as it is; with anything else the sum is a matrix."""
    rng = numpy.random.default_rng(seed)
    tensor, matrix = draw_bordered(partition, rng)
    drawn, full = draw_blocks(partition, rng), well(rng, partition.size)
    own = QuasiDiagonal(partition, cut_entries(drawn.matrix, partition))
    for other in (Diagonal(numpy.arange(1.0, partition.size + 1)), own, Blocks(partition, drawn.blocks)):
        total = tensor.plus(other)
        assert isinstance(total, Bordered)
        close(total.as_matrix(), matrix + other.as_matrix())
        close(other.plus(tensor).as_matrix(), matrix + other.as_matrix())
    close(tensor.plus(Dense(full)).as_matrix(), matrix + full)
    close(tensor.average(tensor.scaled(3.0), 0.25).as_matrix(), 1.5 * matrix)
    assert isinstance(tensor.plus(tensor), Bordered)


@settings(max_examples=25)
@given(partition=partitions(), seed=seeds)
def test_files_keep_all_of_it(partition: Partition, seed: int) -> None:
    rng = numpy.random.default_rng(seed)
    tensor, matrix = draw_bordered(partition, rng)
    found = tensor_from(tensor_arrays(tensor), partition, "a metric")
    assert isinstance(found, Bordered) and found.border.is_like(tensor.border)
    numpy.testing.assert_array_equal(found.as_matrix(), tensor.as_matrix())
    close(found.as_matrix(), matrix)


SAMPLES, COUNT = 7, 4
INDEX = numpy.array([[0, 1, 2], [3, 4, 5], [6, 7, 15], [8, 9, 10]])
WHOLE = numpy.array([[11, 12], [13, 14]])
# units 1 and 2 of the first group have rows 3 and 1 to themselves, unit 0 of the second has row 0
ROWS = (numpy.array([-1, 3, 1, -1]), numpy.array([0, -1]))
PAIR = Partition(15, [Units(INDEX[:, :1], [INDEX[:, 1:, None]]), Whole(WHOLE)])


def drawn_rows(kind: str, rng: numpy.random.Generator) -> tuple[list[RowPart], numpy.ndarray]:
    """Rows of both groups, and all of them as an array (rows, 15)."""
    covectors = rng.normal(size=(COUNT, SAMPLES, 4))
    values = rng.normal(size=(COUNT, SAMPLES, 2, 2))
    for group, unit, row in ((covectors, 1, 3), (covectors, 2, 1), (values, 0, 0)):
        group[numpy.arange(COUNT) != row, :, unit] = 0.0
    reads = rng.normal(size=(SAMPLES, 4, 3))
    if kind == "shared":
        reads = numpy.broadcast_to(reads[:, :1], reads.shape)
    reads = numpy.where(INDEX == 15, 0.0, reads)
    explicit = covectors[..., None] * reads
    array = numpy.zeros((COUNT * SAMPLES, 16))
    array[:, INDEX] = explicit.reshape(-1, 4, 3)
    array[:, WHOLE] = values.reshape(-1, 2, 2)
    first: RowPart = {"gathered": GatheredRows(covectors, reads), "explicit": ExplicitRows(explicit)}.get(
        kind, ExplicitRows(explicit)
    )
    return [first, ExplicitRows(values)], array[:, :15]


@pytest.mark.parametrize("kind", ["gathered", "explicit"])
def test_rows_make_the_matrix_of_their_squares(kind: str) -> None:
    parts, array = drawn_rows(kind, numpy.random.default_rng(1))
    tensor = bordered_of_rows(Border(PAIR, ROWS), parts, "a metric")
    close(tensor.as_matrix(), array.T @ array, 1e-14)


def test_rows_of_units_that_read_the_same() -> None:
    rng = numpy.random.default_rng(2)
    index = numpy.arange(12).reshape(3, 4)
    partition = Partition(12, [Units(index[:, :1], [index[:, 1:, None]])])
    covectors, reads = rng.normal(size=(COUNT, SAMPLES, 3)), rng.normal(size=(SAMPLES, 4))
    covectors[1:, :, 0], covectors[:2, :, 2], covectors[3:, :, 2] = 0.0, 0.0, 0.0
    array = (covectors[..., None] * reads[:, None]).reshape(-1, 12)
    border = Border(partition, (numpy.array([0, -1, 2]),))
    found = bordered_of_rows(border, [ProductRows(covectors, reads)], "a metric")
    close(found.as_matrix(), array.T @ array, 1e-14)


def test_the_border_is_factorised_and_not_the_matrix() -> None:
    parts, _ = drawn_rows("gathered", numpy.random.default_rng(3))
    tensor = bordered_of_rows(Border(PAIR, ROWS), parts, "a metric")
    inverse = tensor.factorise(Tikhonov(0.1))
    assert isinstance(inverse, BorderedInverse)
    assert inverse.inner.shape == (8, 8)


@pytest.mark.parametrize("damping", [Intrinsic(0.1), Tikhonov(1e-3), Floor(0.1) + Intrinsic(0.1)], ids=str)
def test_units_without_weight_and_constant_parents_are_left_alone(damping: Damping) -> None:
    """One apart, one of the border, and a parent of each kind of unit, as a matrix leaves them alone."""
    rng = numpy.random.default_rng(4)
    index = numpy.arange(18).reshape(6, 3)
    partition = Partition(18, [Units(index[:, :1], [index[:, 1:, None]])])
    covectors, reads = rng.normal(size=(COUNT, SAMPLES, 6)), rng.normal(size=(SAMPLES, 6, 3))
    reads[..., 0] = 1.0
    reads[:, 0, 2], reads[:, 4, 1] = 0.7, -2.0
    for unit, row in ((0, 3), (1, 1), (2, 0)):
        covectors[numpy.arange(COUNT) != row, :, unit] = 0.0
    covectors[..., 1], covectors[..., 5] = 0.0, 0.0
    rows = (numpy.array([3, 1, 0, -1, -1, -1]),)
    plain = numpy.einsum("sui,suj->uij", reads, reads)
    floor = Blocks(partition, [plain * (covectors**2).sum(axis=(0, 1))[:, None, None]])
    found = bordered_of_rows(Border(partition, rows), [GatheredRows(covectors, reads)], "a metric")
    array = (covectors[..., None] * reads).reshape(-1, 18)
    expected = Dense(array.T @ array, partition=partition, floor=floor)
    b = rng.normal(size=18)
    received = attrs.evolve(found, floor=floor).solve(b, damping)
    close(received, expected.solve(b, damping), 1e-9)
    left_alone = numpy.flatnonzero(expected.solve(b, damping) == 0.0)
    numpy.testing.assert_array_equal(numpy.flatnonzero(received == 0.0), left_alone)
    assert (len(left_alone) > 0) == damping.rule.drops


def test_what_cannot_be_solved_is_named_as_for_the_matrix() -> None:
    parts, _ = drawn_rows("gathered", numpy.random.default_rng(5))
    short = [attrs.evolve(parts[0], covectors=parts[0].covectors[:, :1], reads=parts[0].reads[:1])]  # type: ignore[attr-defined]
    short.append(ExplicitRows(parts[1].values[:, :1]))  # type: ignore[attr-defined]
    tensor = bordered_of_rows(Border(PAIR, ROWS), short, "a metric")
    with pytest.raises(SingularMetricError, match="a metric, all parameters together: singular, of rank 4 of 15"):
        tensor.solve(numpy.ones(15))


def test_parts_must_fit_the_border() -> None:
    with pytest.raises(ShapeError, match="the rows of units are expected as"):
        Border(PAIR, ROWS[::-1])
    parts, _ = drawn_rows("gathered", numpy.random.default_rng(6))
    tensor = bordered_of_rows(Border(PAIR, ROWS), parts, "a metric")
    with pytest.raises(ShapeError, match="the blocks of units apart are expected as"):
        attrs.evolve(tensor, blocks=tensor.blocks[::-1])
    with pytest.raises(ShapeError, match="the matrix of the border is expected as"):
        attrs.evolve(tensor, shared=numpy.eye(3))
    other = Border(PAIR, (numpy.full(4, -1), ROWS[1]))
    with pytest.raises(ShapeError, match="average takes tensors of one structure"):
        tensor.average(bordered_of_rows(other, parts, "another"), 0.5)
