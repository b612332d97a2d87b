"""Small helpers on arrays and numbers that the manifolds and charts share."""

from collections.abc import Sequence

import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import DeclarationError
from manifoldnet.numpy.dispatch import Array


def check_count(manifold: str, n: object, least: int = 1) -> int:
    """A whole number of dimensions, at least `least`. Raises `DeclarationError` otherwise.

    >>> check_count("Real", 3)
    3
    """
    if isinstance(n, bool) or not isinstance(n, int | numpy.integer) or n < least:
        raise DeclarationError(f"{manifold} received n={n!r}; expected a whole number, at least {least}")
    return int(n)


def leading_axes(point: Array, ndim: int) -> tuple[int, ...]:
    """The lengths of the axes before the last `ndim`.

    >>> leading_axes(numpy.zeros((4, 5, 2)), 1)
    (4, 5)
    """
    axes = np.shape(point)
    return axes[: len(axes) - ndim]


def first_index(bad: Array) -> tuple[int, ...]:
    """The index of the first true entry.

    >>> first_index(numpy.array([False, True]))
    (1,)
    """
    return tuple(int(i) for i in numpy.argwhere(bad)[0])


def block_diagonal(blocks: Sequence[Array]) -> Array:
    """Matrices (..., m_i, n_i) along the diagonal of one, (..., sum m_i, sum n_i).

    >>> block_diagonal([numpy.array([[1.0]]), numpy.array([[2.0, 3.0]])]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 2.0, 3.0]]
    """
    width, rows, before = sum(np.shape(b)[-1] for b in blocks), [], 0
    for b in blocks:
        *leading, height, columns = np.shape(b)
        left = numpy.zeros((*leading, height, before))
        right = numpy.zeros((*leading, height, width - before - columns))
        rows.append(np.concatenate([left, b, right], -1))
        before += columns
    return np.concatenate(rows, -2)
