"""Rows times a factor each: against NumPy's own product, and derivatives of both orders by central differences."""

import numpy
import pytest
from autograd.test_util import check_grads

from manifoldnet.numpy.products import recorded_rows_times, rows_times


@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 5), (5,), (4, 1, 5), (4, 3, 1), (4, 3, 0)])
@pytest.mark.parametrize("kind", [numpy.float64, numpy.float32, numpy.int64])
def test_product(shape: tuple[int, ...], kind: type) -> None:
    rng = numpy.random.default_rng(0)
    factors, rows = rng.normal(size=(4, 3, 1)), (3.0 * rng.normal(size=shape)).astype(kind)
    before, found = factors.copy(), rows_times(factors, rows)
    numpy.testing.assert_array_equal(found, factors * rows)
    assert found.dtype == numpy.float64
    numpy.testing.assert_array_equal(factors, before)


def test_rows_that_repeat_in_memory() -> None:
    factors, rows = numpy.arange(12.0).reshape(4, 3, 1), numpy.broadcast_to(numpy.arange(6.0).reshape(3, 2), (4, 3, 2))
    numpy.testing.assert_array_equal(rows_times(factors, rows), factors * rows)


@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 5), (4, 1, 5)])
def test_derivatives(shape: tuple[int, ...]) -> None:
    rng = numpy.random.default_rng(1)
    check_grads(recorded_rows_times, modes=["rev"], order=2)(rng.normal(size=(4, 3, 1)), rng.normal(size=shape))
