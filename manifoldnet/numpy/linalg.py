"""Linear algebra of matrices in the last two axes: `manifoldnet.numpy.linalg`."""

import difflib
from collections.abc import Callable
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp, primitive

from manifoldnet.errors import UnknownFunctionError
from manifoldnet.numpy.dispatch import Array, as_array, listed
from manifoldnet.numpy.elementwise import abs, sqrt
from manifoldnet.numpy.products import cross, matmul, outer, tensordot, vecdot
from manifoldnet.numpy.products import trace as _trace
from manifoldnet.numpy.reductions import Axis, max, min, sum
from manifoldnet.numpy.shapes import broadcast_to, matrix_transpose, ndim, reshape, shape
from manifoldnet.numpy.shapes import diagonal as _diagonal
from manifoldnet.numpy.symmetric import symmetric_expm, symmetric_logm, symmetric_sqrtm

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "symmetric_expm",
    "symmetric_logm",
    "symmetric_sqrtm",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def __getattr__(name: str) -> Any:
    raise UnknownFunctionError(
        f"manifoldnet.numpy.linalg does not list {name!r}; near it are "
        f"{difflib.get_close_matches(name, __all__) or sorted(__all__)}. Compose it from listed functions."
    )


def norm(x: Array, /, ord: Any = None, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """A norm along axes: of vectors for one axis, of matrices for two, of all entries if none is given.

    Vectors: ord None or 2, 1, inf, -inf, or any number > 0. Matrices: None or "fro", 1, inf. No derivative
    where it is zero.
    """
    x = as_array(x)
    if (axis is None and ord is None) or isinstance(axis, int) or (axis is None and ndim(x) == 1):
        return vector_norm(x, 2 if ord is None else ord, axis, keepdims=keepdims)
    return matrix_norm(x, "fro" if ord is None else ord, (-2, -1) if axis is None else axis, keepdims=keepdims)


def vector_norm(x: Array, /, ord: Any = 2, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The norm (sum |x|^ord)^(1/ord) along axes; the largest and smallest size for inf and -inf."""
    x = as_array(x)
    if ord == 2:
        return sqrt(sum(x * x, axis, keepdims=keepdims))
    if ord in (numpy.inf, -numpy.inf):
        return (max if ord > 0 else min)(abs(x), axis, keepdims=keepdims)
    if not isinstance(ord, int | float) or ord <= 0:
        raise ValueError(f"norm received ord={ord!r}; expected a positive number, inf or -inf for vectors")
    total = sum(abs(x) ** ord, axis, keepdims=keepdims)
    return total if ord == 1 else total ** (1.0 / ord)


def matrix_norm(x: Array, /, ord: Any = "fro", axis: Axis = (-2, -1), *, keepdims: bool = False) -> Array:
    """The Frobenius norm of matrices, or the largest absolute column (1) or row (inf) sum."""
    x = as_array(x)
    if isinstance(axis, int) or axis is None or len(axis) != 2:
        raise ValueError(f"a matrix norm received axis={axis!r}; expected two axes")
    if ord == "fro":
        return vector_norm(x, 2, axis, keepdims=keepdims)
    if ord not in (1, numpy.inf):
        raise ValueError(f"norm received ord={ord!r} for matrices; expected 'fro', 1 or inf")
    row, column = (a % ndim(x) for a in axis)
    summed, kept = (row, column) if ord == 1 else (column, row)
    sizes = sum(abs(x), summed, keepdims=True)
    largest = max(sizes, kept, keepdims=True)
    lengths = [n for a, n in enumerate(shape(largest)) if keepdims or a not in (row, column)]
    return reshape(largest, lengths)


def trace(x: Array, /, offset: int = 0) -> Array:
    """The sums of the diagonals of matrices in the last two axes."""
    return _trace(x, offset, -2, -1)


def diagonal(x: Array, /, offset: int = 0) -> Array:
    """The diagonals of matrices in the last two axes."""
    return _diagonal(x, offset, -2, -1)


@listed("linalg.inv")
def inv(x: Array, /) -> Array:
    """Inverses."""
    return ag.linalg.inv(x)


@listed("linalg.pinv")
def pinv(x: Array, /) -> Array:
    """Pseudo-inverses; the derivative holds where the rank does not change."""
    return ag.linalg.pinv(x)


@listed("linalg.det")
def det(x: Array, /) -> Array:
    """Determinants of invertible matrices."""
    return ag.linalg.det(x)


@listed("linalg.slogdet", foreign=lambda namespace, x: tuple(namespace.linalg.slogdet(x)))
def slogdet(x: Array, /) -> tuple[Array, Array]:
    """The sign of the determinant and the logarithm of its size."""
    sign, logarithm = ag.linalg.slogdet(x)
    return sign, logarithm


@listed("linalg.cholesky")
def cholesky(x: Array, /) -> Array:
    """The lower triangular L with L L^T = x, for symmetric positive definite x.

    Its derivative is that of the symmetric part.
    """
    return ag.linalg.cholesky(x)


def solve(x: Array, y: Array, /) -> Array:
    """The z with x z = y: y is a vector if it has one axis, else matrices; leading axes broadcast."""
    x, y = as_array(x), as_array(y)
    if ndim(y) == 1:
        return solve(x, y[:, None])[..., 0]
    leading = numpy.broadcast_shapes(shape(x)[:-2], shape(y)[:-2])
    return _solve(broadcast_to(x, leading + shape(x)[-2:]), broadcast_to(y, leading + shape(y)[-2:]))


@listed("linalg.solve", arrays=2)
def _solve(x: Array, y: Array) -> Array:
    return ag.linalg.solve(x, y)


@listed("linalg.eigh", foreign=lambda namespace, x: tuple(namespace.linalg.eigh(x)))
def eigh(x: Array, /) -> tuple[Array, Array]:
    """Eigenvalues, increasing, and eigenvectors (columns) of symmetric matrices.

    Vectors have no derivative where values coincide.
    """
    values, vectors = ag.linalg.eigh((x + matrix_transpose(x)) / 2.0)
    return values, vectors


def eigvalsh(x: Array, /) -> Array:
    """Eigenvalues, increasing, of symmetric matrices."""
    return eigh(x)[0]


@listed("linalg.svd", foreign=lambda namespace, x, **options: tuple(namespace.linalg.svd(x, **options)))
def svd(x: Array, /, *, full_matrices: bool = True) -> tuple[Array, Array, Array]:
    """The reduced singular value decomposition u, s, vh: x = (u * s) @ vh; say full_matrices=False.

    It has no derivative where singular values coincide. Raises `ValueError` for the full one, which never has
    any.
    """
    if full_matrices:
        raise ValueError("svd received full_matrices=True; expected False: the full decomposition has no derivative")
    u, s, vh = ag.linalg.svd(x, full_matrices=False)
    return u, s, vh


_qr = primitive(lambda x: tuple(numpy.linalg.qr(x)))


def _qr_vjp(ans: tuple[Array, Array], x: Array) -> Callable[[Any], Array]:
    q, r = ans

    def vjp(g: Any) -> Array:
        m = r @ ag.swapaxes(g[1], -1, -2) - ag.swapaxes(g[0], -1, -2) @ q
        symmetric = ag.tril(m) + ag.swapaxes(ag.tril(m, -1), -1, -2)
        right = g[0] + q @ symmetric
        return ag.swapaxes(ag.linalg.solve(r, ag.swapaxes(right, -1, -2)), -1, -2)

    return vjp


defvjp(_qr, _qr_vjp)


@listed("linalg.qr", foreign=lambda namespace, x: tuple(namespace.linalg.qr(x)))
def qr(x: Array, /) -> tuple[Array, Array]:
    """The reduced q, r with x = q @ r, q orthonormal and r upper triangular; no more columns than rows."""
    rows, columns = shape(x)[-2:]
    if rows < columns:
        raise ValueError(f"qr received matrices of shape {(rows, columns)}; expected no more columns than rows")
    q, r = _qr(x)
    return q, r


def matrix_power(x: Array, n: int, /) -> Array:
    """Powers of square matrices with a whole exponent; negative ones invert."""
    x = as_array(x)
    if n < 0:
        return matrix_power(inv(x), -n)
    power = broadcast_to(numpy.eye(shape(x)[-1]), shape(x))
    while n:
        power, x, n = (power @ x if n % 2 else power), x @ x, n // 2
    return power
