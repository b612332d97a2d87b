"""Functions that make arrays: float64 unless said otherwise."""

from typing import Any

import numpy
from autograd.extend import Box

from manifoldnet.errors import MapError
from manifoldnet.numpy.dispatch import Array, as_array, is_traced, listed
from manifoldnet.numpy.shapes import Shape, broadcast_to, expand_dims, shape

__all__ = [
    "arange",
    "array",
    "asarray",
    "eye",
    "full",
    "full_like",
    "identity",
    "linspace",
    "one_hot",
    "ones",
    "ones_like",
    "tri",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def zeros(shape: Shape, dtype: Any = numpy.float64) -> Array:
    """An array of zeros."""
    return numpy.zeros(shape, dtype)


def ones(shape: Shape, dtype: Any = numpy.float64) -> Array:
    """An array of ones."""
    return numpy.ones(shape, dtype)


def eye(n: int, m: int | None = None, *, k: int = 0, dtype: Any = numpy.float64) -> Array:
    """The matrix with ones on its k-th diagonal."""
    return numpy.eye(n, m, k, dtype)


identity = eye


def arange(*bounds: Any, dtype: Any = None) -> Array:
    """Numbers from a start to a stop by a step; the bounds are plain numbers."""
    return numpy.arange(*bounds, dtype=dtype)


def linspace(start: Array, stop: Array, num: int = 50, *, endpoint: bool = True) -> Array:
    """`num` equally spaced numbers between two ends, along a new first axis; differentiable in the ends."""
    start, stop = as_array(start), as_array(stop)
    steps = numpy.linspace(0.0, 1.0, num, endpoint=endpoint)
    steps = steps.reshape((num,) + (1,) * len(numpy.broadcast_shapes(shape(start), shape(stop))))
    return start * (1.0 - steps) + stop * steps


def full(shape: Shape, fill_value: Array) -> Array:
    """An array of one value, which may be an array that broadcasts to the shape; differentiable in it."""
    return (
        broadcast_to(as_array(fill_value), shape)
        if is_traced(fill_value)
        else numpy.full(shape, fill_value, numpy.float64)
    )


def zeros_like(x: Array, /) -> Array:
    """Zeros of the same shape."""
    return numpy.zeros(shape(x))


def ones_like(x: Array, /) -> Array:
    """Ones of the same shape."""
    return numpy.ones(shape(x))


def full_like(x: Array, /, fill_value: Array) -> Array:
    """One value, in the same shape; differentiable in the value."""
    return full(shape(x), fill_value)


def _foreign_array(namespace: Any, x: Array, dtype: Any = None) -> Array:
    return namespace.asarray(x, dtype=dtype)


@listed("asarray", foreign=_foreign_array)
def array(x: Any, /, dtype: Any = None) -> Array:
    """Nested lists of numbers and traced arrays, or an array, as an array.

    A traced array can only be float64.
    """
    if not isinstance(x, Box):
        return numpy.array(x, dtype=dtype)
    if dtype is not None and numpy.dtype(dtype) != numpy.float64:
        raise MapError(
            f"array received a traced array and dtype {numpy.dtype(dtype).name}; expected float64, the only "
            "type that has derivatives. Leave the dtype away, or use floor, round or a comparison if a "
            "constant is meant."
        )
    return x


asarray = array


def tri(n: int, m: int | None = None, *, k: int = 0) -> Array:
    """Ones on and below the k-th diagonal, zeros above."""
    return numpy.tri(n, m, k)


def tril_indices(n: int, k: int = 0) -> tuple[Array, Array]:
    """Row and column indices of the lower triangle of an n by n matrix."""
    return numpy.tril_indices(n, k)


def triu_indices(n: int, k: int = 0) -> tuple[Array, Array]:
    """Row and column indices of the upper triangle of an n by n matrix."""
    return numpy.triu_indices(n, k)


def one_hot(indices: Array, count: int) -> Array:
    """A one at each index of a new last axis of length `count`, zeros elsewhere."""
    return (expand_dims(indices, -1) == numpy.arange(count)) * 1.0
