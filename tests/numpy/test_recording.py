"""The short way to autograd's record: the same values and derivatives as by the primitive itself, whatever is traced."""

import autograd
import autograd.numpy as ag
import numpy
import pytest
from autograd.extend import defvjp, primitive

from manifoldnet.numpy.recording import quickly_recorded


@primitive
def _weighted(x, y, power=1):
    return numpy.sin(x) * y**power


# derivatives with factors that tell them apart from the true ones, so that none can come from elsewhere
defvjp(
    _weighted,
    lambda ans, x, y, power=1: lambda g: 3.0 * g * _weighted(x, y, power=power),
    lambda ans, x, y, power=1: lambda g: 5.0 * g * ag.cos(x),
)
quick = quickly_recorded(_weighted)

X, Y = numpy.array([0.3, -1.2]), numpy.array([2.0, 0.7])


def test_values_of_plain_arrays() -> None:
    assert quick(X, Y, power=2).tolist() == (numpy.sin(X) * Y**2).tolist()
    assert quick(0.3, 2.0) == numpy.sin(0.3) * 2.0


@pytest.mark.parametrize("place", [0, 1])
def test_one_traced_argument(place: int) -> None:
    expected = (3.0 * numpy.sin(X) * Y**2, 5.0 * numpy.cos(X))[place]
    found = autograd.grad(lambda x, y: ag.sum(quick(x, y, power=2)), place)(X, Y)
    numpy.testing.assert_allclose(found, expected, rtol=1e-15)


def test_one_array_as_both_arguments_receives_both_derivatives() -> None:
    found = autograd.grad(lambda x: ag.sum(quick(x, x)))(X)
    numpy.testing.assert_allclose(found, 3.0 * numpy.sin(X) * X + 5.0 * numpy.cos(X), rtol=1e-15)


def test_derivatives_of_derivatives() -> None:
    slope = autograd.grad(lambda x: ag.sum(quick(x, Y)))
    found = autograd.grad(lambda x: ag.sum(slope(x)))(X)
    numpy.testing.assert_allclose(found, 9.0 * numpy.sin(X) * Y, rtol=1e-15)


def test_arrays_of_two_traces() -> None:
    """The inner derivative takes x as a constant, the outer one sees it through the inner."""

    def inner(x):
        return autograd.grad(lambda y: ag.sum(quick(x, y)))(Y)

    found = autograd.grad(lambda x: ag.sum(inner(x)))(X)
    numpy.testing.assert_allclose(found, -5.0 * numpy.sin(X), rtol=1e-15)


def test_what_has_no_derivative_is_the_primitive_itself() -> None:
    assert quickly_recorded(ag.floor) is ag.floor
