"""Functions that put arrays together into larger ones."""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp_argnum, primitive

from manifoldnet.numpy.dispatch import Array, as_array, find, listed
from manifoldnet.numpy.recording import quickly_recorded
from manifoldnet.numpy.shapes import (
    Axes,
    atleast_1d,
    atleast_2d,
    broadcast_to,
    diagonal,
    expand_dims,
    ndim,
    reshape,
    shape,
    whole_axis,
)

__all__ = [
    "block",
    "column_stack",
    "concat",
    "concatenate",
    "diag",
    "hstack",
    "pad",
    "stack",
    "tile",
    "vstack",
]


@primitive
def _join(axis: int, *arrays: Array) -> Array:
    return numpy.concatenate(arrays, axis)


def _part(argument: int, ans: Array, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    axis, start = arguments[0], 0
    for x in arguments[1:argument]:
        start += x.shape[axis]
    where = (slice(None),) * axis + (slice(start, start + arguments[argument].shape[axis]),)
    return lambda g: g[where]


defvjp_argnum(_join, _part)
_quick_join = quickly_recorded(_join)


def _foreign_concatenate(namespace: Any, arrays: Sequence[Array], axis: int | None = 0) -> Array:
    return find(namespace, "concatenate")([namespace.asarray(x) for x in arrays], axis=axis)


@listed("concatenate", arrays=0, foreign=_foreign_concatenate)
def concatenate(arrays: Sequence[Array], /, axis: int | None = 0) -> Array:
    """The arrays one after another along an axis that they have; flattened first if it is None."""
    parts = [ag.ravel(as_array(x)) if axis is None else as_array(x) for x in arrays]
    if not parts:
        raise ValueError("concatenate received no array; expected at least one")
    return _quick_join(whole_axis(axis or 0, ndim(parts[0])), *parts)


concat = concatenate


def stack(arrays: Sequence[Array], /, axis: int = 0) -> Array:
    """The arrays, all of one shape, side by side along a new axis."""
    parts = [as_array(x) for x in arrays]
    if len({shape(x) for x in parts}) != 1:
        raise ValueError(f"stack received the shapes {[shape(x) for x in parts]}; expected one shape for all")
    place = whole_axis(axis, ndim(parts[0]) + 1)
    return concatenate([expand_dims(x, place) for x in parts], place)


def vstack(arrays: Sequence[Array], /) -> Array:
    """Rows, or matrices, one below another."""
    return concatenate([atleast_2d(x) for x in arrays], 0)


def hstack(arrays: Sequence[Array], /) -> Array:
    """Arrays one after another along the second axis, vectors along the only one."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate(parts, 0 if ndim(parts[0]) == 1 else 1)


def column_stack(arrays: Sequence[Array], /) -> Array:
    """Vectors as columns, and matrices, side by side."""
    parts = [atleast_1d(x) for x in arrays]
    return concatenate([x[:, None] if ndim(x) == 1 else x for x in parts], 1)


def block(arrays: Any, /) -> Array:
    """A matrix from a list of rows, each a list of matrices or numbers; leading axes must agree."""
    if not isinstance(arrays, list):
        return as_array(arrays)
    rows = arrays if isinstance(arrays[0], list) else [arrays]
    return concatenate([concatenate([atleast_2d(x) for x in row], -1) for row in rows], -2)


def tile(x: Array, /, reps: Axes) -> Array:
    """The whole array repeated, `reps` times along each axis (the last ones if there are fewer)."""
    x, counts = as_array(x), (reps,) if isinstance(reps, int) else tuple(reps)
    length = max(len(counts), ndim(x))
    counts = (1,) * (length - len(counts)) + counts
    lengths = (1,) * (length - ndim(x)) + shape(x)
    apart = reshape(x, [n for one in lengths for n in (1, one)])
    wide = broadcast_to(apart, [n for pair in zip(counts, lengths, strict=True) for n in pair])
    return reshape(wide, [count * n for count, n in zip(counts, lengths, strict=True)])


def diag(x: Array, /, k: int = 0) -> Array:
    """The k-th diagonal of a matrix, or the matrix that has a vector there and zeros elsewhere."""
    x = as_array(x)
    if ndim(x) == 2:
        return diagonal(x, k)
    if ndim(x) != 1:
        raise ValueError(f"diag received the shape {shape(x)}; expected a vector or a matrix. For batches: `diagonal`")
    length = shape(x)[0] + max(k, -k)
    places = numpy.arange(shape(x)[0])
    columns = numpy.zeros((shape(x)[0], length * length))
    columns[places, (places + max(-k, 0)) * length + places + max(k, 0)] = 1.0
    return reshape(x @ columns, (length, length))


def pad(x: Array, /, pad_width: Any, constant_values: Array = 0.0) -> Array:
    """The array surrounded by a constant, which may be traced too.

    `pad_width` is a number, a pair (before, after), or a pair for each axis.
    """
    x = as_array(x)
    widths = numpy.broadcast_to(pad_width, (ndim(x), 2)).tolist()
    for place, (before, after) in enumerate(widths):
        lengths = shape(x)
        sides = [(*lengths[:place], n, *lengths[place + 1 :]) for n in (before, after)]
        left, right = (broadcast_to(constant_values, side) for side in sides)
        x = concatenate([left, x, right], place)
    return x
