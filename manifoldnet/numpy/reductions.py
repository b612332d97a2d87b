"""Functions along axes: sums, means, extremes, orders."""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp, primitive

from manifoldnet.numpy.dispatch import Array, as_array, listed
from manifoldnet.numpy.recording import quickly_recorded
from manifoldnet.numpy.shapes import moveaxis, ndim, ravel, reshape, shape, take_along_axis, whole_axis

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "sort",
    "std",
    "sum",
    "var",
]

Axis = int | Sequence[int] | None

_sum = quickly_recorded(ag.sum)


def _axes(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


@listed("sum")
def sum(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The sum along axes. In a map, always name the axis: without it samples are summed too."""
    return _sum(x, _axes(axis), keepdims=keepdims)


@listed("mean")
def mean(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The average along axes."""
    return ag.mean(x, _axes(axis), keepdims=keepdims)


@listed("var")
def var(x: Array, /, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Array:
    """The variance along axes, with n - ddof as divisor."""
    return ag.var(x, _axes(axis), ddof=ddof, keepdims=keepdims)


@listed("std")
def std(x: Array, /, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Array:
    """The standard deviation along axes; it has no derivative where it is zero."""
    return ag.std(x, _axes(axis), ddof=ddof, keepdims=keepdims)


@listed("max")
def max(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The largest entry along axes; entries that tie share the derivative."""
    return ag.max(x, _axes(axis), keepdims=keepdims)


@listed("min")
def min(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The smallest entry along axes; entries that tie share the derivative."""
    return ag.min(x, _axes(axis), keepdims=keepdims)


amax = max
amin = min


@listed("cumsum")
def cumsum(x: Array, /, axis: int | None = None) -> Array:
    """The sums of the entries up to each, along an axis; of the flattened array if it is None."""
    return ag.cumsum(x, axis)


@primitive
def _cumulative_product(x: Array) -> Array:
    return numpy.cumprod(x, -1)


@primitive
def _before(x: Array) -> Array:
    """The product of the entries before each, along the last axis."""
    return numpy.concatenate([numpy.ones_like(x[..., :1]), numpy.cumprod(x[..., :-1], -1)], -1)


def _cumulative_product_vjp(ans: Array, x: Array) -> Any:
    def vjp(g: Array) -> Array:
        # r_k = g_k + x_{k+1} r_{k+1} needs no division, so entries may be zero.
        carried = numpy.array(g)
        for k in range(x.shape[-1] - 2, -1, -1):
            carried[..., k] += x[..., k + 1] * carried[..., k + 1]
        return carried * _before(x)

    return vjp


defvjp(_cumulative_product, _cumulative_product_vjp)


@listed("cumprod")
def cumprod(x: Array, /, axis: int | None = None) -> Array:
    """The products of the entries up to each, along an axis; of the flattened array if it is None."""
    x, place = (ravel(x), 0) if axis is None else (x, axis)
    return moveaxis(_cumulative_product(moveaxis(x, place, -1)), -1, place)


def _to_last(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """The given axes joined into one last axis, and their places."""
    given = range(ndim(x)) if axis is None else [axis] if isinstance(axis, int) else axis
    places = tuple(sorted(whole_axis(a, ndim(x)) for a in given))
    x = moveaxis(x, places, tuple(range(-len(places), 0)))
    return reshape(x, (*shape(x)[: ndim(x) - len(places)], -1)), places


@listed("prod")
def prod(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The product along axes; its derivative is right where entries are zero too."""
    x = as_array(x) if ndim(x) else reshape(x, (1,))
    joined, places = _to_last(x, axis)
    # autograd divides by the entries.
    product = _cumulative_product(joined)[..., -1]
    return reshape(product, [1 if a in places else n for a, n in enumerate(shape(x))]) if keepdims else product


@listed("diff")
def diff(x: Array, /, n: int = 1, axis: int = -1) -> Array:
    """The n-th differences of neighbours along an axis."""
    return ag.diff(x, n, axis)


@listed("all")
def all(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether all entries along axes are true."""
    return ag.all(x, _axes(axis), keepdims=keepdims)


@listed("any")
def any(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether some entry along axes is true."""
    return ag.any(x, _axes(axis), keepdims=keepdims)


@listed("argmax")
def argmax(x: Array, /, axis: int | None = None) -> Array:
    """The index of the largest entry along an axis."""
    return ag.argmax(x, axis)


@listed("argmin")
def argmin(x: Array, /, axis: int | None = None) -> Array:
    """The index of the smallest entry along an axis."""
    return ag.argmin(x, axis)


@listed("argsort")
def argsort(x: Array, /, axis: int = -1) -> Array:
    """The indices that sort along an axis."""
    return ag.argsort(x, axis)


@listed("count_nonzero")
def count_nonzero(x: Array, /, axis: Axis = None) -> Array:
    """How many entries along axes are not zero."""
    return ag.count_nonzero(x, _axes(axis))


def sort(x: Array, /, axis: int = -1) -> Array:
    """The entries along an axis in increasing order."""
    x = as_array(x)
    return take_along_axis(x, argsort(x, axis), axis)
