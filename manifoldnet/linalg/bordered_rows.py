"""Bordered tensors from the rows that they are the sum of, without an array of all rows."""

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.covector_rows import products
from manifoldnet.linalg.row_parts import RowPart

# So many numbers of rows of the border are held at a time.
_ROWS = 2**18


def bordered_of_rows(border: Border, parts: Sequence[RowPart], name: str) -> Bordered:
    """U^T U of rows U, given for each group of the border's partition.

    Rows of units apart must be zero but for those that `border` says are theirs.
    """
    shared = [part.only(units) for part, units in zip(parts, border.shared, strict=True)]
    blocks, cross = [], []
    for number in border.groups:
        units = border.apart[number]
        numbers = border.rows[number][units]
        own = parts[number].alone(units, numbers)
        blocks.append(own.swapaxes(1, 2) @ own)
        cross.append(_cross(own, numbers, border, shared))
    inner = _inner(border, shared)
    return Bordered(border, tuple(blocks), tuple(cross), inner, name=name, partition=border.partition)


def _cross(own: NDArray, numbers: NDArray[numpy.int_], border: Border, shared: Sequence[RowPart]) -> NDArray:
    """U_k^T V for the rows U (units, samples, width) of units apart, and those V of the border with their `numbers`."""
    units, samples, width = own.shape
    found = numpy.empty((units, width, len(border.present)))
    step = max(1, _ROWS // max(1, samples * len(border.present)))
    for start in range(0, units, step):
        some = slice(start, start + step)
        for part, columns in zip(shared, _places(shared), strict=True):
            rows = part.numbered(numbers[some])
            numpy.matmul(own[some].swapaxes(1, 2), rows.reshape(*rows.shape[:2], -1), out=found[some, :, columns])
    return found if border.present.all() else found[:, :, border.present]


def _inner(border: Border, shared: Sequence[RowPart]) -> NDArray:
    """V^T V of the border."""
    places = _places(shared)
    matrix = numpy.empty((places[-1].stop, places[-1].stop))
    for i, (rows, part) in enumerate(zip(places, shared, strict=True)):
        for columns, other in zip(places[: i + 1], shared[: i + 1], strict=True):
            if part.shape[0] and other.shape[0]:
                matrix[rows, columns] = products(part, other)
                matrix[columns, rows] = matrix[rows, columns].T
    if border.present.all():
        return matrix
    return matrix[border.present][:, border.present]


def _places(parts: Sequence[RowPart]) -> list[slice]:
    """Where the columns of each group stand among those of all, padded ones too."""
    sizes = [part.shape[0] * part.shape[1] for part in parts]
    return [slice(stop - size, stop) for stop, size in zip(numpy.cumsum(sizes), sizes, strict=True)]


__all__ = ["bordered_of_rows"]
