"""Blocks kept by their samples, and factors kept by layers, against the same tensors as arrays."""

import numpy
import pytest

from manifoldnet.errors import ShapeError, SingularMetricError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.covector_rows import GatheredRows, ProductRows, joined_rows, products
from manifoldnet.linalg.damping import Damping, Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.row_parts import ExplicitRows
from manifoldnet.linalg.shared_reads import SharedReads, weighted_products
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Partition, Units, Whole

UNITS, SAMPLES, WIDTH = 5, 7, 12
RNG = numpy.random.default_rng(0)
READS = numpy.concatenate([numpy.ones((SAMPLES, 1)), RNG.standard_normal((SAMPLES, WIDTH - 1))], axis=1)
WEIGHTS = RNG.uniform(0.1, 2.0, (UNITS, SAMPLES))
INDEX = numpy.arange(UNITS * WIDTH).reshape(UNITS, WIDTH)
LAYER = Partition(UNITS * WIDTH, [Units(INDEX[:, :1], [INDEX[:, 1:, None]])])
COVECTOR = RNG.standard_normal(UNITS * WIDTH)

DAMPINGS = [
    Tikhonov(1e-3),
    Intrinsic(1e-2),
    LeastNorm(1e-9),
    PseudoInverse(1e-9),
    Intrinsic(1e-2) + LeastNorm(1e-9),
    Floor(0.1) + LeastNorm(1e-9),
    Floor(0.1) + Tikhonov(1e-3),
    Tikhonov(1e-3) + Intrinsic(1e-2),
    Tikhonov(1e-3) + PseudoInverse(1e-9),
]


def floored(part: SharedReads | numpy.ndarray, floor: SharedReads | numpy.ndarray) -> Blocks:
    return Blocks(LAYER, [part], floor=Blocks(LAYER, [floor]))


def both() -> tuple[Blocks, Blocks]:
    """The same tensor by its samples, and as blocks made by a sum of outer products."""
    mean = numpy.broadcast_to(WEIGHTS.mean(axis=1, keepdims=True), WEIGHTS.shape)
    parts = [SharedReads(weights, READS) for weights in (WEIGHTS, mean)]
    arrays = [numpy.einsum("us,si,sj->uij", weights, READS, READS) for weights in (WEIGHTS, mean)]
    return floored(*parts), floored(*arrays)


def close(found: numpy.ndarray, expected: numpy.ndarray, tolerance: float = 1e-9) -> None:
    assert numpy.abs(found - expected).max() <= tolerance * numpy.abs(expected).max()


@pytest.mark.parametrize("damping", DAMPINGS, ids=str)
def test_solutions_by_samples_are_those_by_blocks(damping: Damping) -> None:
    by_samples, by_blocks = both()
    close(by_samples.solve(COVECTOR, damping), by_blocks.solve(COVECTOR, damping), 1e-8)


def test_everything_else_agrees_too() -> None:
    by_samples, by_blocks = both()
    close(by_samples.as_matrix(), by_blocks.as_matrix(), 1e-14)
    close(by_samples.multiply(COVECTOR), by_blocks.multiply(COVECTOR), 1e-13)
    close(by_samples.diagonal(), by_blocks.diagonal(), 1e-14)
    assert by_samples.norm2(COVECTOR) == pytest.approx(by_blocks.norm2(COVECTOR), rel=1e-13)
    (kept,), (expected,) = by_samples.unit_entries(LAYER), by_blocks.unit_entries(LAYER)
    for one, other in zip(
        (kept.bias, *kept.cross, *kept.own), (expected.bias, *expected.cross, *expected.own), strict=True
    ):
        close(one, other, 1e-14)
    damped = by_samples.plus(Diagonal.multiple(COVECTOR.size, 0.5, "half"))
    close(damped.as_matrix(), by_blocks.as_matrix() + 0.5 * numpy.eye(COVECTOR.size), 1e-14)
    close(by_samples.scaled(3.0).as_matrix(), 3.0 * by_blocks.as_matrix(), 1e-14)


@pytest.mark.parametrize("rows", [3, 9])
def test_averages_keep_few_samples_and_form_many(rows: int) -> None:
    other = SharedReads(RNG.uniform(0.1, 1.0, (UNITS, rows)), RNG.standard_normal((rows, WIDTH)))
    found = both()[0].without_floor().average(Blocks(LAYER, [other]), 0.25)
    assert isinstance(found.blocks[0], SharedReads) is (SAMPLES + rows < WIDTH)
    close(found.as_matrix(), 0.75 * both()[1].as_matrix() + 0.25 * Blocks(LAYER, [other]).as_matrix(), 1e-14)


def test_fewer_samples_than_parameters_are_singular_without_damping() -> None:
    with pytest.raises(SingularMetricError, match=r"unit 0 of group 0: singular, of rank at most 7 of 12"):
        both()[0].solve(COVECTOR)
    with pytest.raises(ShapeError, match="group 0: blocks are expected as"):
        Blocks(LAYER, [SharedReads(WEIGHTS[:2], READS)])


def test_products_of_many_rows_at_once() -> None:
    """Wider than one product takes, with a remainder."""
    reads, weights = RNG.standard_normal((4, 37)), RNG.uniform(size=(3, 4))
    close(weighted_products(weights, reads), numpy.einsum("us,si,sj->uij", weights, reads, reads), 1e-14)


WHOLE = numpy.arange(6).reshape(2, 3) + UNITS * WIDTH
MIXED = Partition(UNITS * WIDTH + 6, [Units(INDEX[:, :1], [INDEX[:, 1:, None]]), Whole(WHOLE)])
LONG = RNG.standard_normal(MIXED.size)


def rows(count: int, samples: int = SAMPLES) -> tuple[LayeredFactor, numpy.ndarray]:
    """A factor by layers, one with shared readings and one without, and the same rows as an array."""
    reads = numpy.concatenate([numpy.ones((samples, 1)), RNG.standard_normal((samples, WIDTH - 1))], axis=1)
    covectors, values = RNG.standard_normal((count, samples, UNITS)), RNG.standard_normal((count, samples, 2, 3))
    flat = numpy.einsum("ksu,sw->ksuw", covectors, reads).reshape(count * samples, -1)
    array = numpy.concatenate([flat, values.reshape(count * samples, -1)], axis=1)
    reference = Blocks(MIXED, [numpy.zeros((UNITS, WIDTH, WIDTH)), numpy.broadcast_to(numpy.eye(3), (2, 3, 3))])
    return LayeredFactor(MIXED, [ProductRows(covectors, reads), ExplicitRows(values)], reference=reference), array


@pytest.mark.parametrize("count", [1, 4, 12])
def test_a_factor_by_layers_is_the_same_tensor(count: int) -> None:
    layered, array = rows(count)
    matrix = array.T @ array
    close(layered.as_matrix(), matrix, 1e-13)
    close(layered.factor().rows, array, 1e-15)
    close(layered.multiply(LONG), matrix @ LONG, 1e-12)
    close(layered.diagonal(), numpy.diagonal(matrix), 1e-13)
    assert layered.norm2(LONG) == pytest.approx(LONG @ matrix @ LONG, rel=1e-12)
    expected = Dense(matrix, partition=MIXED)
    for one, other in zip(layered.unit_blocks(MIXED), expected.unit_blocks(MIXED), strict=True):
        close(one, other, 1e-13)
    found, wanted = layered.unit_entries(MIXED)[0], expected.unit_entries(MIXED)[0]
    for one, other in zip(
        (found.bias, *found.cross, *found.own), (wanted.bias, *wanted.cross, *wanted.own), strict=True
    ):
        close(one, other, 1e-13)
    close(layered.scaled(2.0).as_matrix(), 2.0 * matrix, 1e-13)
    close(layered.average(layered, 0.5).as_matrix(), matrix, 1e-12)


def gathered(count: int, units: int, width: int, samples: int = SAMPLES) -> tuple[GatheredRows, ExplicitRows]:
    """Rows of units that read parents of their own, and the same as they are."""
    covectors, reads = RNG.standard_normal((count, samples, units)), RNG.standard_normal((samples, units, width))
    return GatheredRows(covectors, reads), ExplicitRows(covectors[..., None] * reads)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_rows_by_covectors_and_readings_are_the_same_rows(count: int) -> None:
    found, plain = gathered(count, 3, 4)
    tangent, coefficients = RNG.standard_normal((3, 4)), RNG.standard_normal((count, SAMPLES))
    assert (found.count, found.samples, found.shape) == (plain.count, plain.samples, plain.shape)
    close(found.explicit(), plain.explicit(), 1e-15)
    close(found.push(tangent), plain.push(tangent), 1e-13)
    close(found.pull(coefficients), plain.pull(coefficients), 1e-13)
    close(found.gram(), plain.gram(), 1e-13)
    close(found.blocks(), plain.blocks(), 1e-13)
    close(found.scaled(-3.0).explicit(), -3.0 * plain.explicit(), 1e-15)
    for one, other in zip(found.first_products(), plain.first_products(), strict=True):
        close(one, other, 1e-13)
    again, more = gathered(count, 3, 4)
    together = numpy.concatenate([plain.values, more.values], axis=1)
    close(joined_rows([found, again]).explicit(), ExplicitRows(together).explicit(), 1e-15)


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_products_of_groups_that_read_differently(count: int) -> None:
    """Of few units and of so many that they are taken a few at a time; with shared readings and rows as they are too."""
    few, few_plain = gathered(count, 3, 4)
    many, many_plain = gathered(count, 150, 90)
    shared, reads = RNG.standard_normal((count, SAMPLES, 5)), RNG.standard_normal((SAMPLES, 6))
    same = ProductRows(shared, reads)
    same_plain = ExplicitRows(shared[..., None] * reads[:, None])
    pairs = [(few, few_plain), (many, many_plain), (same, same_plain), (few_plain, few_plain)]
    for one, one_plain in pairs:
        for other, other_plain in pairs:
            close(products(one, other), one_plain.explicit().T @ other_plain.explicit(), 1e-12)


@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize(
    ("damping", "tolerance"),
    [
        (Tikhonov(0.1), 1e-9),
        (Intrinsic(0.1), 1e-6),
        (Tikhonov(0.1) + Intrinsic(0.1), 1e-6),
        (LeastNorm(1e-9), 1e-8),
        (PseudoInverse(1e-9), 1e-8),
    ],
    ids=str,
)
def test_a_factor_by_layers_has_the_same_solutions(count: int, damping: Damping, tolerance: float) -> None:
    """Of fewer rows than parameters, and of more. Conjugate gradients stop at a residual of 1e-8."""
    layered, array = rows(count)
    expected: MetricTensor = Factor(array, partition=MIXED, reference=layered._reference)
    close(layered.solve(LONG, damping), expected.solve(LONG, damping), tolerance)
    inverse = layered.factorise(damping)
    both_columns = inverse.solve(numpy.stack([LONG, 2.0 * LONG], axis=1))
    close(both_columns, numpy.stack([inverse.solve(LONG), 2.0 * inverse.solve(LONG)], axis=1), 1e-12)


def test_layers_must_fit_the_units() -> None:
    layered, _ = rows(2)
    with pytest.raises(ShapeError, match="the rows of groups are expected as"):
        LayeredFactor(MIXED, layered.parts[::-1])
    with pytest.raises(SingularMetricError, match="of rank at most 14 of 66"):
        layered.solve(LONG)
