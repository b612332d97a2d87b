"""jacobian and derivative: against central differences, batch against one at a time, and what they refuse."""

import warnings
from collections.abc import Callable

import hypothesis
import numpy
import pytest
from hypothesis import strategies

from manifoldnet import numpy as np
from manifoldnet.errors import MapError
from manifoldnet.numpy.derivatives import Traced, derivative, jacobian, make_vjp

STEP = 1e-6


def _quadratic(x):
    """Points (..., 2, 3) to values (..., 3, 2, 2)."""
    product = np.matrix_transpose(x) @ x[..., ::-1, :]
    return np.stack([product, np.sin(product)], -1)[..., :2, :]


def _norms(x):
    return np.linalg.norm(x, axis=-1) * np.expit(x[..., 0])


def _swap(x):
    return np.stack([x[..., 2] * x[..., 1], np.exp(x[..., 0])], -1)


MAPS: list[tuple[Callable, int, int]] = [(_quadratic, 2, 3), (_norms, 1, 0), (_swap, 1, 1), (lambda x: x, 1, 1)]


def _differences(function: Callable, point: numpy.ndarray) -> numpy.ndarray:
    """The Jacobian at one point, value axes first."""
    columns = []
    for index in numpy.ndindex(point.shape):
        step = numpy.zeros(point.shape)
        step[index] = STEP
        columns.append((numpy.asarray(function(point + step)) - function(point - step)) / (2.0 * STEP))
    value_shape = columns[0].shape
    return numpy.stack(columns, -1).reshape(value_shape + point.shape)


@pytest.mark.parametrize(("function", "point_ndim", "value_ndim"), MAPS)
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_jacobian(function: Callable, point_ndim: int, value_ndim: int, leading: tuple[int, ...]) -> None:
    points = numpy.random.default_rng(3).normal(size=leading + (2, 3)[-point_ndim:])
    result = jacobian(function, points, point_ndim, value_ndim)
    for index in numpy.ndindex(leading):
        numpy.testing.assert_allclose(result[index], _differences(function, points[index]), rtol=1e-7, atol=1e-8)
        alone = jacobian(function, points[index], point_ndim, value_ndim)
        numpy.testing.assert_allclose(result[index], alone, rtol=1e-14, atol=1e-15)
    assert result.dtype == numpy.float64


@hypothesis.given(strategies.lists(strategies.floats(-3, 3), min_size=1, max_size=6))
def test_derivative(numbers: list[float]) -> None:
    x = numpy.array(numbers)
    expected = numpy.cos(x) * numpy.exp(numpy.sin(x))
    numpy.testing.assert_allclose(derivative(lambda y: np.exp(np.sin(y)), x), expected, rtol=1e-13, atol=1e-15)


def test_derivative_at_a_number_and_at_whole_numbers() -> None:
    assert derivative(lambda x: x**2, 3) == 6.0
    assert derivative(lambda x: x**2, [1, 2]).tolist() == [2.0, 4.0]


def test_a_constant_has_derivative_zero_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slopes = jacobian(lambda x: numpy.ones((*x.shape[:-1], 2)), numpy.ones((4, 3)), 1, 1)
    assert slopes.shape == (4, 2, 3)
    assert not slopes.any()


def test_empty_values_and_batches() -> None:
    assert jacobian(lambda x: x[..., :0], numpy.ones((4, 3)), 1, 1).shape == (4, 0, 3)
    assert jacobian(_swap, numpy.ones((0, 3)), 1, 1).shape == (0, 2, 3)


def test_an_argument_that_is_used_twice_and_one_that_is_not() -> None:
    x, y = numpy.array([[2.0, 3.0]]), numpy.array([[5.0]])
    traced = Traced(lambda x, y: np.stack([x[..., 0] * x[..., 1] + x[..., 0], x[..., 1] ** 2], -1), [x, y], 1, 1)
    by_x, by_y = traced.jacobians()
    numpy.testing.assert_allclose(by_x, [[[4.0, 2.0], [0.0, 6.0]]], rtol=1e-15)
    assert by_y.tolist() == [[[0.0], [0.0]]]


def test_values_without_numbers_have_derivatives_without_rows() -> None:
    arguments = [numpy.ones((4, 3, 2)), numpy.ones((4, 5)), numpy.ones((4, 1))]
    found = Traced(lambda x, y, z: x[..., 0, :0] * y[..., :1], arguments, 1, 1, [True, False, True]).jacobians()
    assert [part.shape for part in found] == [(4, 0, 6), (4, 0, 1)]


def test_second_derivatives_by_nesting() -> None:
    def slope(x):
        pull_back, value = make_vjp(lambda y: np.sum(y**3), x)
        return pull_back(np.ones_like(value))

    numpy.testing.assert_allclose(derivative(slope, numpy.array([1.0, 2.0])), [6.0, 12.0], rtol=1e-14)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.sum(x), r"returned the shape \(\); expected the leading axes \(4,\) and 1 more.*axis=-1"),
        (lambda x: np.sum(x, -1), r"returned the shape \(4,\); expected the leading axes \(4,\) and 1 more"),
        (lambda x: np.reshape(x, (3, 4)), r"returned the shape \(3, 4\)"),
        (lambda x: x[..., None], r"returned the shape \(4, 3, 1\)"),
        (lambda x: numpy.ones((4, 3), dtype=numpy.float32), "returned an array of float32; expected float64"),
        (lambda x: np.argsort(x, -1), "returned an array of int64; expected float64"),
        (lambda x: [x, x], "returned list; expected one array"),
        (lambda x: numpy.array([x[0], x[1], x[2], x[3]]), "plain NumPy was called.*from manifoldnet import numpy"),
    ],
)
def test_what_is_refused(function: Callable, message: str) -> None:
    with pytest.raises(MapError, match=message):
        jacobian(function, numpy.ones((4, 3)), 1, 1)


def test_derivative_refuses_another_shape_and_names_the_function() -> None:
    with pytest.raises(MapError, match=r"_norms returned the shape \(4,\); expected the leading axes \(4, 3\)"):
        derivative(_norms, numpy.ones((4, 3)))


@pytest.mark.jax
@pytest.mark.timeout(60)
def test_jacobian_of_jax_arrays_under_jit() -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    points = numpy.random.default_rng(3).normal(size=(4, 2, 3))
    with jax.enable_x64(True):
        result = jax.jit(lambda x: jacobian(_quadratic, x, 2, 3))(jax.numpy.asarray(points))
        numpy.testing.assert_allclose(result, jacobian(_quadratic, points, 2, 3), rtol=1e-13, atol=1e-15)
    # numbers of 32 bits are a choice, and what comes of them has as many
    narrow = jacobian(_quadratic, jax.numpy.asarray(points), 2, 3)
    assert narrow.dtype == numpy.float32
    numpy.testing.assert_allclose(narrow, result, rtol=1e-5, atol=1e-6)
    with pytest.raises(MapError, match="returned an array of int32; expected float32"):
        jacobian(lambda x: _quadratic(x).astype(numpy.int32), jax.numpy.asarray(points), 2, 3)
