"""Functions that saturate: values and derivatives at arguments of size 1e3, against decimal arithmetic of 60 digits."""

import decimal
from collections.abc import Callable
from decimal import Decimal

import numpy
import pytest

import manifoldnet.numpy as np
from manifoldnet.numpy.derivatives import derivative, make_vjp

POINTS = numpy.array([-1e3, -710.0, -36.5, -1.0, 0.0, 1e-9, 2.0, 36.5, 40.0, 710.0, 1e3])


def _sigma(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def _softplus(x: Decimal) -> Decimal:
    return (1 + x.exp()).ln()


def _tanh(x: Decimal) -> Decimal:
    return 2 * _sigma(2 * x) - 1


# name: the function, its value and its derivative in decimal arithmetic
SATURATING: dict[str, tuple[Callable, Callable[[Decimal], Decimal], Callable[[Decimal], Decimal]]] = {
    "expit": (np.expit, _sigma, lambda x: _sigma(x) * _sigma(-x)),
    "softplus": (np.softplus, _softplus, _sigma),
    "log_expit": (np.log_expit, lambda x: -_softplus(-x), lambda x: _sigma(-x)),
    "log_sigmoid": (np.log_sigmoid, lambda x: -_softplus(-x), lambda x: _sigma(-x)),
    "tanh": (np.tanh, _tanh, lambda x: 4 * _sigma(2 * x) * _sigma(-2 * x)),
    "logaddexp left": (
        lambda x: np.logaddexp(x, 1.0),
        lambda x: (x.exp() + Decimal(1).exp()).ln(),
        lambda x: _sigma(x - 1),
    ),
    "logaddexp right": (
        lambda x: np.logaddexp(0.5, x),
        lambda x: (x.exp() + Decimal("0.5").exp()).ln(),
        lambda x: _sigma(x - Decimal("0.5")),
    ),
    "logsumexp": (
        lambda x: np.logsumexp(np.stack([x, 0.0 * x, x - 1.0], -1), -1),
        lambda x: (x.exp() + 1 + (x - 1).exp()).ln(),
        lambda x: (x.exp() + (x - 1).exp()) / (x.exp() + 1 + (x - 1).exp()),
    ),
    "softmax": (
        lambda x: np.softmax(np.stack([x, 0.0 * x], -1))[..., 0],
        _sigma,
        lambda x: _sigma(x) * _sigma(-x),
    ),
    "log_softmax": (
        lambda x: np.log_softmax(np.stack([x, 0.0 * x], -1))[..., 0],
        lambda x: -_softplus(-x),
        lambda x: _sigma(-x),
    ),
}


def _exact(function: Callable[[Decimal], Decimal], points: numpy.ndarray = POINTS) -> numpy.ndarray:
    with decimal.localcontext(prec=60, Emin=-9999, Emax=9999):
        return numpy.array([float(function(Decimal(float(x)))) for x in points])


# A value that is a difference of numbers of size one can only be right to rounding of these, not relatively.
@pytest.mark.parametrize("name", SATURATING)
def test_value_and_derivative(name: str) -> None:
    function, value, slope = SATURATING[name]
    numpy.testing.assert_allclose(function(POINTS), _exact(value), rtol=2e-13, atol=2e-16)
    numpy.testing.assert_allclose(derivative(function, POINTS), _exact(slope), rtol=4e-13, atol=2e-16)


@pytest.mark.parametrize("name", ["expit", "softplus", "tanh"])
def test_relative_accuracy_in_the_tails(name: str) -> None:
    function, value, slope = SATURATING[name]
    usual = numpy.abs(POINTS) < 700
    numpy.testing.assert_allclose(function(POINTS)[usual], _exact(value)[usual], rtol=1e-14)
    numpy.testing.assert_allclose(derivative(function, POINTS)[usual], _exact(slope)[usual], rtol=1e-13)


# a kink at zero keeps this one out of the table of derivatives
TAILS = numpy.append(POINTS, numpy.linspace(-3.0, 3.0, 61))


def _exact_tail(x: Decimal) -> Decimal:
    return _softplus(-abs(x))


USUAL = TAILS[numpy.abs(TAILS) < 700]
# rows whose terms are alike small, of lengths about those at which products are cut
ROWS = {
    n: numpy.random.default_rng(n).uniform(-1.0, 1.0, (12, n)) + USUAL[:12, None] for n in (2, 7, 8, 9, 100, 257, 700)
}


def _exact_sums(x: numpy.ndarray) -> numpy.ndarray:
    return _exact(_exact_tail, x.reshape(-1)).reshape(x.shape).sum(axis=1)


def test_what_softplus_adds_is_accurate_however_small() -> None:
    found = np.softplus_tails(TAILS[:, None])
    numpy.testing.assert_allclose(np.softplus_tails(USUAL[:, None]), _exact(_exact_tail, USUAL), rtol=4e-16)
    numpy.testing.assert_allclose(found + np.maximum(TAILS, 0.0), np.softplus(TAILS), rtol=4e-16)


@pytest.mark.parametrize("n", ROWS)
def test_sums_of_what_softplus_adds(n: int) -> None:
    numpy.testing.assert_allclose(np.softplus_tails(ROWS[n]), _exact_sums(ROWS[n]), rtol=1e-15)


@pytest.mark.jax
@pytest.mark.timeout(60)
def test_jax_sums_it_as_accurately() -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    with jax.enable_x64(True):
        found = jax.jit(np.softplus_tails)(jax.numpy.asarray(USUAL[:, None]))
        # XLA's own exponential is wrong by an ulp or two
        numpy.testing.assert_allclose(found, _exact(_exact_tail, USUAL), rtol=1e-15)
        for rows in ROWS.values():
            found = jax.jit(np.softplus_tails)(jax.numpy.asarray(rows))
            numpy.testing.assert_allclose(found, _exact_sums(rows), rtol=1e-15)
        assert jax.jit(np.softplus_tails)(jax.numpy.zeros((2, 0))).tolist() == [0.0, 0.0]
        # factors of 2, as many as there can be
        found = jax.jit(np.softplus_tails)(jax.numpy.zeros((2, 5000)))
        numpy.testing.assert_allclose(found, 5000.0 * numpy.log(2.0), rtol=1e-15)
    found = jax.jit(np.softplus_tails)(jax.numpy.zeros((2, 5000), dtype=jax.numpy.float32))
    numpy.testing.assert_allclose(found, 5000.0 * numpy.log(2.0), rtol=1e-6)


@pytest.mark.jax
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SATURATING)
def test_jax_value_and_derivative(name: str) -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    function, value, slope = SATURATING[name]
    with jax.enable_x64(True):
        numpy.testing.assert_allclose(function(jax.numpy.asarray(POINTS)), _exact(value), rtol=2e-13, atol=2e-16)
        slopes = derivative(function, jax.numpy.asarray(POINTS))
        numpy.testing.assert_allclose(slopes, _exact(slope), rtol=4e-13, atol=2e-16)


def test_terms_of_minus_infinity_count_as_nothing() -> None:
    x = numpy.array([[-numpy.inf, 1.0, 2.0], [1e3, -numpy.inf, 1e3]])
    pull_back, value = make_vjp(lambda y: np.logsumexp(y, -1, keepdims=True), x)
    numpy.testing.assert_allclose(value, [[numpy.logaddexp(1.0, 2.0)], [1e3 + numpy.log(2.0)]], rtol=1e-15)
    slopes = pull_back(numpy.ones((2, 1)))
    numpy.testing.assert_allclose(slopes[1], [0.5, 0.0, 0.5], rtol=1e-15)
    assert slopes[0, 0] == 0.0


def test_entropy_of_a_certain_law_is_zero() -> None:
    p = numpy.array([0.0, 1.0])
    assert np.sum(np.special.entr(p)) == 0.0
    assert np.xlogy(numpy.zeros(2), p).tolist() == [0.0, 0.0]


def test_symmetric_functions_at_nearly_equal_eigenvalues() -> None:
    """The divided differences neither vanish nor explode: log and exp stay inverse to each other to first order."""
    spread = numpy.array([0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3])
    x = numpy.eye(3) + spread[:, None, None] * numpy.diag([1.0, -1.0, 0.5])
    direction = numpy.array([[1.0, 2.0, 3.0], [2.0, -1.0, 0.5], [3.0, 0.5, 0.25]])
    pull_back, value = make_vjp(lambda y: np.linalg.symmetric_expm(np.linalg.symmetric_logm(y)), x)
    numpy.testing.assert_allclose(value, x, atol=1e-14)
    numpy.testing.assert_allclose(pull_back(numpy.broadcast_to(direction, x.shape)), x * 0.0 + direction, atol=1e-12)
