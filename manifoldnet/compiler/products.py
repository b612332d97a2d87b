"""Products of rows with weight matrices, which may be sparse."""

from typing import Any

import numpy
from numpy.typing import NDArray


def times(rows: NDArray, weights: Any) -> NDArray:
    """rows @ weights, (samples, units), for (samples, columns) and an array or sparse matrix (columns, units).

    For small arrays `dot` takes four fifths of what `@` does.
    """
    return rows.dot(weights) if type(weights) is numpy.ndarray else rows @ weights


def squares(weights: Any) -> Any:
    """The squares of the entries of an array or sparse matrix."""
    return numpy.square(weights) if type(weights) is numpy.ndarray else weights * weights


__all__ = ["squares", "times"]
