"""Flat vectors at the door, and memory before it is taken."""

import os

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import MemoryLimitError, ShapeError


def flat(vector: object, size: int, wanted: str | None = None) -> NDArray[numpy.float64]:
    """The `size` numbers of a tangent or covector: a one-dimensional array, or an object with `.flat`.

    Where a "tangent" or a "covector" is `wanted`, an object that says of itself, by `variance`, that it is
    the other raises TypeError. Raises ShapeError for any other shape and for entries that are not real numbers.

    >>> flat([1, 2], 2)
    array([1., 2.])
    """
    variance = None if type(vector) is numpy.ndarray else getattr(vector, "variance", None)
    if variance is not None:
        if wanted is not None and variance != wanted:
            raise TypeError(
                f"expected a {wanted}, received a {variance}: solve turns covectors into tangents, multiply back"
            )
        vector = getattr(vector, "flat", vector)
    if type(vector) is numpy.ndarray and vector.shape == (size,) and vector.dtype == numpy.float64:
        return vector
    # arrays of other libraries say how they become NumPy arrays
    values = vector if hasattr(vector, "__array__") else getattr(vector, "flat", vector)
    array = numpy.asarray(values)
    if array.shape != (size,):
        raise ShapeError(f"expected a flat vector of {size} numbers, received shape {array.shape}")
    if array.dtype != numpy.float64:
        if array.dtype.kind not in "fiub":
            raise ShapeError(f"expected a flat vector of real numbers, received an array of {array.dtype}")
        array = array.astype(numpy.float64)
    return array


def require_memory(needed: int, what: str) -> None:
    """Refuse an allocation of `needed` bytes that is larger than the machine's memory (MemoryLimitError)."""
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if not set(names) <= set(getattr(os, "sysconf_names", ())):
        return
    present = os.sysconf(names[0]) * os.sysconf(names[1])
    if needed > present:
        raise MemoryLimitError(
            f"{what} would need {needed / 2**30:.1f} GiB and this machine has {present / 2**30:.1f}: "
            "keep the tensor's structure (solve, multiply) or use a metric by units"
        )


__all__ = ["flat", "require_memory"]
