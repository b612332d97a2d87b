"""Functions that rearrange the entries of one array: shape, order, selection.

Where autograd has no derivative or a wrong one, the function is composed of indexing and broadcasting, whose
derivatives are right for every backend.
"""

import math
from collections.abc import Sequence
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_boxes import ArrayBox

from manifoldnet.numpy.dispatch import Array, as_array, listed, namespace_of
from manifoldnet.numpy.elementwise import unbroadcast
from manifoldnet.numpy.recording import quickly_recorded

__all__ = [
    "array_equal",
    "atleast_1d",
    "atleast_2d",
    "broadcast_arrays",
    "broadcast_to",
    "diagonal",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "moveaxis",
    "ndim",
    "permute_dims",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "shape",
    "size",
    "split",
    "squeeze",
    "swapaxes",
    "take",
    "take_along_axis",
    "transpose",
    "tril",
    "triu",
    "unstack",
]

Shape = int | Sequence[int]
Axes = int | Sequence[int]

_swapaxes = quickly_recorded(ag.swapaxes)
_expand_dims = quickly_recorded(ag.expand_dims)
_squeeze = quickly_recorded(ag.squeeze)


def shape(x: Array, /) -> tuple[int, ...]:
    """The lengths of the axes."""
    x = as_array(x)
    # autograd's own way to the shape of a traced array takes as long as a product of small ones
    while type(x) is ArrayBox:
        x = x._value
    return tuple(x.shape) if hasattr(x, "shape") else numpy.shape(x)


def ndim(x: Array, /) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: Array, /) -> int:
    """The number of entries."""
    return math.prod(shape(x))


def whole_axis(axis: int, count: int) -> int:
    """The same axis counted from the front; `numpy.exceptions.AxisError` if there is none."""
    if not -count <= axis < count:
        raise numpy.exceptions.AxisError(axis, count)
    return axis % count


@primitive
def _reshape(x: Array, shape: Shape) -> Array:
    return x.reshape(shape) if type(x) is numpy.ndarray else numpy.reshape(x, shape)


defvjp(_reshape, lambda ans, x, new: lambda g: reshape(g, shape(x)))
_quick_reshape = quickly_recorded(_reshape)


@listed("reshape")
def reshape(x: Array, /, shape: Shape) -> Array:
    """The same entries, in the same order, with another shape; one length may be -1."""
    return _quick_reshape(x, shape)


@listed("ravel")
def ravel(x: Array, /) -> Array:
    """All entries in one axis."""
    return ag.ravel(x)


@listed("transpose")
def transpose(x: Array, /, axes: Sequence[int] | None = None) -> Array:
    """The axes in another order, reversed if none is given.

    For matrices in the last two axes: `matrix_transpose`.
    """
    return ag.transpose(x, axes)


permute_dims = transpose


@listed("swapaxes")
def swapaxes(x: Array, /, axis1: int, axis2: int) -> Array:
    """Two axes exchanged."""
    return _swapaxes(x, axis1, axis2)


def matrix_transpose(x: Array, /) -> Array:
    """Matrices in the last two axes, transposed."""
    return swapaxes(x, -1, -2)


@listed("moveaxis")
def moveaxis(x: Array, /, source: Axes, destination: Axes) -> Array:
    """Axes moved elsewhere, the others in their order."""
    return ag.moveaxis(x, source, destination)


@listed("expand_dims")
def expand_dims(x: Array, /, axis: Axes) -> Array:
    """New axes of length one, at the given places of the result."""
    return _expand_dims(x, axis)


@listed("squeeze")
def squeeze(x: Array, /, axis: Axes | None = None) -> Array:
    """Axes of length one removed. Name the axis: without it, a batch of one sample loses its axis too."""
    return _squeeze(x, axis)


@primitive
def _broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    return numpy.broadcast_to(x, shape)


# autograd's broadcast_to does not add axes.
defvjp(_broadcast, lambda ans, x, shape: lambda g: unbroadcast(g, x))


@listed("broadcast_to")
def broadcast_to(x: Array, /, shape: Shape) -> Array:
    """The entries repeated along new axes and axes of length one, without a copy."""
    return _broadcast(x, (shape,) if isinstance(shape, int) else tuple(shape))


def broadcast_arrays(*arrays: Array) -> list[Array]:
    """The arrays, each broadcast to their common shape."""
    common = numpy.broadcast_shapes(*map(shape, arrays))
    return [broadcast_to(x, common) for x in arrays]


def unstack(x: Array, /, axis: int = 0) -> list[Array]:
    """The slices along an axis."""
    x = moveaxis(as_array(x), axis, 0)
    return [x[i] for i in range(shape(x)[0])]


def atleast_1d(x: Array, /) -> Array:
    """The array, with an axis if it had none."""
    x = as_array(x)
    return reshape(x, (1,)) if ndim(x) == 0 else x


def atleast_2d(x: Array, /) -> Array:
    """The array, as one row if it had fewer than two axes."""
    x = atleast_1d(x)
    return x[None] if ndim(x) == 1 else x


def take(x: Array, indices: Array, /, axis: int | None = None) -> Array:
    """The entries at integer indices along an axis; of the flattened array if it is None."""
    x = ravel(x) if axis is None else as_array(x)
    namespace, place = namespace_of(x, indices), whole_axis(axis or 0, ndim(x))
    x = x if namespace is None else namespace.asarray(x)
    return x[(slice(None),) * place + (numpy.asarray(indices) if isinstance(indices, list) else indices,)]


@listed("take_along_axis", arrays=2)
def take_along_axis(x: Array, indices: Array, /, axis: int = -1) -> Array:
    """The entries at integer indices along an axis, other indices for each slice."""
    place, indices = whole_axis(axis, ndim(x)), numpy.asarray(indices)
    others = [(*s[:place], 1, *s[place + 1 :]) for s in (shape(x), indices.shape)]
    common = numpy.broadcast_shapes(*others)
    x = broadcast_to(x, (*common[:place], shape(x)[place], *common[place + 1 :]))
    grids = list(numpy.ogrid[tuple(slice(n) for n in shape(x))])
    grids[place] = indices
    return x[tuple(grids)]


def flip(x: Array, /, axis: Axes | None = None) -> Array:
    """The entries in reverse order along the given axes, along all if None."""
    x = as_array(x)
    given = range(ndim(x)) if axis is None else [axis] if isinstance(axis, int) else axis
    places = {whole_axis(a, ndim(x)) for a in given}
    return x[tuple(slice(None, None, -1 if a in places else 1) for a in range(ndim(x)))]


def flipud(x: Array, /) -> Array:
    """The entries in reverse order along the first axis."""
    return flip(x, 0)


def fliplr(x: Array, /) -> Array:
    """The entries in reverse order along the second axis."""
    return flip(x, 1)


def roll(x: Array, /, shift: Axes, axis: Axes | None = None) -> Array:
    """The entries moved along axes, entering at one end as they leave at the other; flattened if no axis."""
    x = as_array(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), shape(x))
    shifts, axes = numpy.broadcast_arrays(numpy.atleast_1d(shift), numpy.atleast_1d(axis))
    for by, along in zip(shifts.tolist(), axes.tolist(), strict=True):
        x = take(x, numpy.roll(numpy.arange(shape(x)[along]), by), along)
    return x


def repeat(x: Array, /, repeats: Axes, axis: int | None = None) -> Array:
    """Each entry along an axis repeated; of the flattened array if it is None."""
    x, place = (ravel(x), 0) if axis is None else (as_array(x), axis)
    return take(x, numpy.repeat(numpy.arange(shape(x)[place]), repeats), place)


def split(x: Array, indices_or_sections: Any, /, axis: int = 0) -> list[Array]:
    """Equal parts along an axis (a number), or the parts between indices (a sequence)."""
    x, place = as_array(x), whole_axis(axis, ndim(as_array(x)))
    bounds = numpy.split(numpy.arange(shape(x)[place]), indices_or_sections)
    starts = [sum(len(part) for part in bounds[:i]) for i in range(len(bounds))]
    before = (slice(None),) * place
    return [x[(*before, slice(start, start + len(part)))] for start, part in zip(starts, bounds, strict=True)]


@listed("triu")
def triu(x: Array, /, k: int = 0) -> Array:
    """Matrices with the entries below the k-th diagonal set to zero."""
    return ag.triu(x, k)


@listed("tril")
def tril(x: Array, /, k: int = 0) -> Array:
    """Matrices with the entries above the k-th diagonal set to zero."""
    return ag.tril(x, k)


def diagonal(x: Array, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonals of two axes, as the last axis of the result.

    For matrices in the last two axes give axis1=-2, axis2=-1.
    """
    x = moveaxis(as_array(x), (axis1, axis2), (-2, -1))
    rows, columns = shape(x)[-2:]
    start, shift = max(-offset, 0), max(offset, 0)
    steps = numpy.arange(max(min(rows - start, columns - shift), 0))
    return x[(..., steps + start, steps + shift)]


def array_equal(x: Array, y: Array, /) -> bool:
    """Whether shapes and entries are the same."""
    x, y = as_array(x), as_array(y)
    namespace = namespace_of(x, y)
    return (ag if namespace is None else namespace).array_equal(x, y)
