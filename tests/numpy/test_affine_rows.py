"""Bias and weights times a row in one product, against the sum written out, with first and second derivatives."""

import numpy
import pytest

from manifoldnet import numpy as np
from manifoldnet.numpy.derivatives import jacobian, make_vjp
from manifoldnet.numpy.products import affine_row

RNG = numpy.random.default_rng(0)
THETA, ROW, COVECTOR = RNG.standard_normal((3, 4, 6)), RNG.standard_normal((3, 4, 5)), RNG.standard_normal((3, 4, 1))


def written_out(theta, row):
    return theta[..., :1] + np.sum(theta[..., 1:] * row, axis=-1, keepdims=True)


def test_values():
    numpy.testing.assert_allclose(affine_row(THETA, ROW), written_out(THETA, ROW), rtol=1e-14)
    numpy.testing.assert_allclose(affine_row(THETA[0, 0], ROW[0, 0]), written_out(THETA[0, 0], ROW[0, 0]), rtol=1e-14)


@pytest.mark.parametrize("theta", [THETA, THETA[:1, :1], THETA[0, 0]], ids=["all", "one of each axis", "fewer axes"])
def test_what_is_pulled_back_to_each_argument(theta):
    for function, point in ((lambda t: (t, ROW), theta), (lambda r: (theta, r), ROW)):
        found, wanted = (
            make_vjp(lambda x, f=form: f(*function(x)), point)[0](COVECTOR)  # noqa: B023
            for form in (affine_row, written_out)
        )
        assert found.shape == point.shape
        numpy.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_second_derivatives():
    """Of a function of both arguments, so that the derivative by each depends on the other."""
    point = numpy.concatenate([THETA, ROW], -1)

    def slope(form):
        # the gradient of y^2 at each entry, as a function that is differentiated again
        def gradient(x):
            pull_back, y = make_vjp(lambda z: form(z[..., :6], z[..., 6:]) ** 2, x)
            return pull_back(numpy.ones(np.shape(y)))

        return jacobian(gradient, point, 1, 1)

    numpy.testing.assert_allclose(slope(affine_row), slope(written_out), rtol=1e-11, atol=1e-13)
