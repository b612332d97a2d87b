"""Products of vectors, matrices and tensors."""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp, primitive
from numpy.typing import NDArray

from manifoldnet.numpy.dispatch import Array, as_array, find, listed
from manifoldnet.numpy.elementwise import unbroadcast
from manifoldnet.numpy.recording import quickly_recorded
from manifoldnet.numpy.reductions import sum
from manifoldnet.numpy.shapes import (
    broadcast_arrays,
    diagonal,
    expand_dims,
    moveaxis,
    ndim,
    ravel,
    squeeze,
    whole_axis,
)

__all__ = [
    "cross",
    "dot",
    "einsum",
    "inner",
    "kron",
    "matmul",
    "matvec",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vecmat",
]


_matmul = quickly_recorded(ag.matmul)


@listed("matmul", arrays=2)
def matmul(x: Array, y: Array, /) -> Array:
    """The product of matrices in the last two axes; vectors are rows on the left and columns on the right."""
    return _matmul(x, y)


@listed("dot", arrays=2)
def dot(x: Array, y: Array, /) -> Array:
    """NumPy's `dot`: the last axis of x against the last but one of y (its only one for vectors)."""
    return ag.dot(x, y)


@listed("inner", arrays=2)
def inner(x: Array, y: Array, /) -> Array:
    """The sums of products along the last axes, for all pairs of the others. Per sample: `vecdot`."""
    return ag.inner(x, y)


@listed("tensordot", arrays=2)
def tensordot(x: Array, y: Array, /, axes: Any = 2) -> Array:
    """The sums of products along the given axes."""
    return ag.tensordot(x, y, axes)


@primitive
def _dot(x: Array, y: Array) -> Array:
    return numpy.einsum("...i,...i->...", x, y)[..., None]


def rows_times(factors: NDArray, rows: NDArray) -> NDArray:
    """`factors * rows` for factors (..., 1) and rows (..., n) that broadcast to them, in half the time where n is small.

    NumPy multiplies along the last axis of the factors, which is short; here along all axes that lie in one run.

    >>> rows_times(numpy.array([[2.0], [3.0]]), numpy.array([1.0, 10.0])).tolist()
    [[2.0, 20.0], [3.0, 30.0]]
    """
    if factors.dtype != rows.dtype:
        return factors * rows
    product = factors.repeat(rows.shape[-1], -1)
    product *= rows
    return product


_rows_times = primitive(rows_times)
recorded_rows_times = quickly_recorded(_rows_times)

# each of them times the covector, which keeps its last axis
defvjp(
    _dot,
    lambda ans, x, y: lambda g: unbroadcast(recorded_rows_times(g, y), x),
    lambda ans, x, y: lambda g: unbroadcast(recorded_rows_times(g, x), y),
)
defvjp(
    _rows_times,
    lambda ans, factors, rows: lambda g: _dot(g, rows),
    lambda ans, factors, rows: lambda g: unbroadcast(recorded_rows_times(factors, g), rows),
)
_quick_dot = quickly_recorded(_dot)


@primitive
def _affine_row(theta: Array, row: Array) -> Array:
    return (numpy.einsum("...i,...i->...", theta[..., 1:], row) + theta[..., 0])[..., None]


@primitive
def _with_first(first: Array, row: Array) -> Array:
    found = numpy.empty((*first.shape[:-1], 1 + row.shape[-1]))
    found[..., :1] = first
    found[..., 1:] = rows_times(first, row)
    return found


_quick_affine_row, _quick_with_first = quickly_recorded(_affine_row), quickly_recorded(_with_first)
# each is what pulls the other's covectors back
defvjp(
    _affine_row,
    lambda ans, theta, row: lambda g: unbroadcast(_quick_with_first(g, row), theta),
    lambda ans, theta, row: lambda g: unbroadcast(recorded_rows_times(g, theta[..., 1:]), row),
)
defvjp(
    _with_first,
    lambda ans, first, row: lambda g: unbroadcast(_quick_affine_row(g, row), first),
    lambda ans, first, row: lambda g: unbroadcast(recorded_rows_times(first, g[..., 1:]), row),
)


def _foreign_affine_row(namespace: Any, theta: Array, row: Array, /) -> Array:
    return theta[..., :1] + namespace.sum(theta[..., 1:] * row, axis=-1, keepdims=True)


@listed("affine_row", arrays=2, foreign=_foreign_affine_row)
def affine_row(theta: Array, row: Array, /) -> Array:
    """bias + weights . row, (..., 1), for theta (..., 1 + n), the bias first, and rows (..., n): `vecdot` with a one first."""
    return _quick_affine_row(theta, row)


def _foreign_vecdot(namespace: Any, x: Array, y: Array, /, axis: int = -1, *, keepdims: bool = False) -> Array:
    return namespace.sum(namespace.asarray(x) * namespace.asarray(y), axis=axis, keepdims=keepdims)


@listed("vecdot", arrays=2, foreign=_foreign_vecdot)
def vecdot(x: Array, y: Array, /, axis: int = -1, *, keepdims: bool = False) -> Array:
    """The sum of products along an axis, the others broadcast."""
    if axis != -1:
        axis = whole_axis(axis, max(ndim(x), ndim(y))) - max(ndim(x), ndim(y))
        found = vecdot(moveaxis(x, axis, -1), moveaxis(y, axis, -1), keepdims=True)
        return moveaxis(found, -1, axis) if keepdims else squeeze(found, -1)
    found = _quick_dot(x, y)
    return found if keepdims else squeeze(found, -1)


def matvec(x: Array, y: Array, /) -> Array:
    """Matrices (..., m, n) times vectors (..., n)."""
    return squeeze(matmul(x, expand_dims(y, -1)), -1)


def vecmat(x: Array, y: Array, /) -> Array:
    """Vectors (..., m) times matrices (..., m, n)."""
    return squeeze(matmul(expand_dims(x, -2), y), -2)


def outer(x: Array, y: Array, /) -> Array:
    """All products of an entry of x and an entry of y, both flattened.

    Per sample: `x[..., :, None] * y[..., None, :]`.
    """
    return ravel(x)[:, None] * ravel(y)[None, :]


def cross(x: Array, y: Array, /, axis: int = -1) -> Array:
    """The vector product of vectors of three entries, the other axes broadcast."""
    x, y = (moveaxis(z, axis, -1) for z in broadcast_arrays(as_array(x), as_array(y)))
    after, before = [1, 2, 0], [2, 0, 1]
    return moveaxis(x[..., after] * y[..., before] - x[..., before] * y[..., after], -1, axis)


@listed("kron", arrays=2)
def kron(x: Array, y: Array, /) -> Array:
    """The Kronecker product of two matrices."""
    return ag.kron(x, y)


def trace(x: Array, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of a diagonal of two axes.

    For matrices in the last two axes give axis1=-2, axis2=-1, or use `linalg.trace`.
    """
    return sum(diagonal(x, offset, axis1, axis2), -1)


def _foreign_einsum(namespace: Any, subscripts: str, *operands: Array, optimize: bool = False) -> Array:
    _check_subscripts(subscripts)
    return find(namespace, "einsum")(subscripts, *operands)


@listed("einsum", arrays=None, foreign=_foreign_einsum)
def einsum(subscripts: str, /, *operands: Array, optimize: bool = False) -> Array:
    """Einstein's summation, e.g. einsum("...ij,...j->...i", matrix, vector).

    Raises `ValueError` where a term repeats a letter or has an ellipsis that does not come first: these are
    differentiated wrongly, or not at all.
    """
    _check_subscripts(subscripts)
    return ag.einsum(subscripts, *operands, optimize=optimize)


def _check_subscripts(subscripts: str) -> None:
    """Refuse what autograd differentiates wrongly or not at all."""
    inputs: Sequence[str] = subscripts.replace(" ", "").partition("->")[0].split(",")
    for term in inputs:
        letters = term.replace("...", "")
        if len(set(letters)) < len(letters):
            raise ValueError(
                f"einsum received {subscripts!r}, where {term!r} repeats a letter; take the diagonal or "
                "trace of that operand first"
            )
        if "..." in term and not term.startswith("..."):
            raise ValueError(
                f"einsum received {subscripts!r}, where {term!r} has an ellipsis that is not first; move "
                "these axes first"
            )
