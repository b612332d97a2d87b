"""Partitions and tensors drawn for tests, and the dense algebra that they are compared with.

Nothing here uses the package's algebra: the oracles loop over units and invert with NumPy.
"""

from dataclasses import dataclass

import numpy
from hypothesis import strategies as st

from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.units import Partition, Units, Whole


def well(rng, *shape):
    """Positive definite matrices of moderate condition, (..., n, n)."""
    n = shape[-1]
    rows = rng.normal(size=(*shape[:-1], 2 * n + 1, n)) + rng.normal(size=(*shape[:-1], 1, n))
    return rows.swapaxes(-1, -2) @ rows / (2 * n + 1)


@dataclass
class Drawn:
    """A partition, a positive definite block for each real unit, and the matrix they make."""

    partition: Partition
    blocks: tuple
    matrix: numpy.ndarray


@st.composite
def groups(draw, with_whole=True, scalar=False):
    """How a group looks: ("units", units, q, [(parents, e)], ragged) or ("whole", units, p, ragged)."""
    if with_whole and draw(st.booleans()):
        return ("whole", draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.booleans()))
    most = 1 if scalar else 2
    parents = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, most)), max_size=2))
    return ("units", draw(st.integers(1, 3)), draw(st.integers(1, most)), parents, draw(st.booleans()))


@st.composite
def partitions(draw, with_whole=True, scalar=False, in_order=False):
    """A partition of a few groups whose positions are in order or shuffled."""
    shapes = draw(st.lists(groups(with_whole, scalar), min_size=1, max_size=3))
    rng = numpy.random.default_rng(draw(st.integers(0, 10**6)))
    shuffled = not in_order and draw(st.booleans())
    return make_partition(shapes, rng, shuffled)


def make_partition(shapes, rng, shuffled):
    made, count = [], 0
    for shape in shapes:
        if shape[0] == "whole":
            _, units, p, ragged = shape
            real = numpy.ones((units, p), dtype=bool)
            if ragged:
                real[:, 1:] = rng.random((units, p - 1)) < 0.6
            made.append((shape, [number(real, count)]))
            count += int(real.sum())
            continue
        _, units, q, parents, ragged = shape
        bias = number(numpy.ones((units, q), dtype=bool), count)
        count += units * q
        parts = []
        for many, e in parents:
            real = numpy.ones((units, many, q * e), dtype=bool)
            if ragged:
                real &= rng.random((units, many, 1)) < 0.6
            parts.append(number(real, count))
            count += int(real.sum())
        made.append((shape, [bias, *parts]))
    order = numpy.append(rng.permutation(count) if shuffled else numpy.arange(count), count)
    return Partition(
        count,
        tuple(
            Whole(order[parts[0]]) if shape[0] == "whole" else Units(order[parts[0]], [order[p] for p in parts[1:]])
            for shape, parts in made
        ),
    )


def number(real, start):
    """Positions from `start` on where `real`, and -1 (the last entry of an order) where padded."""
    positions = numpy.full(real.shape, -1)
    positions[real] = start + numpy.arange(real.sum())
    return positions


def draw_blocks(partition, rng):
    """Positive definite blocks for each unit's real positions, zero where padded; and their matrix."""
    matrix = numpy.zeros((partition.size, partition.size))
    blocks = []
    for group in partition.groups:
        part = numpy.zeros((group.units, group.width, group.width))
        for unit, positions in enumerate(group.index):
            real = numpy.flatnonzero(positions != partition.size)
            block = well(rng, len(real))
            part[unit][numpy.ix_(real, real)] = block
            matrix[numpy.ix_(positions[real], positions[real])] = block
        blocks.append(part)
    return Drawn(partition, tuple(blocks), matrix)


def draw_bordered(partition, rng):
    """A tensor whose units apart are drawn, and its matrix: a sum of squares of rows that touch one of them at most."""
    # the same division for every tensor of a partition, so that two of them can be averaged
    divided = numpy.random.default_rng(partition.size)
    flags = [divided.random(group.units) < 0.5 for group in partition.groups]
    own = [row for group, flag in zip(partition.groups, flags, strict=True) for row in group.index[flag]]
    everywhere = numpy.ones(partition.size + 1, dtype=bool)
    everywhere[[p for row in own for p in row]] = False
    squares = []
    for row in [*own, []]:
        touched = everywhere.copy()
        touched[row] = True
        rows = rng.normal(size=(2 * partition.size + 3, partition.size)) + rng.normal(size=partition.size)
        squares.append(numpy.where(touched[:-1], rows, 0.0))
    array = numpy.concatenate(squares) / partition.size
    matrix = array.T @ array
    numbers = iter(range(len(own)))
    border = Border(partition, tuple(numpy.array([next(numbers) if f else -1 for f in flag]) for flag in flags))
    padded = numpy.pad(matrix, (0, 1))
    places, shared = border.places, numpy.flatnonzero(everywhere[:-1])
    order = border.positions
    assert set(order) == set(shared)
    blocks = [numpy.array([padded[numpy.ix_(row, row)] for row in part]) for part in places]
    cross = [numpy.array([padded[numpy.ix_(row, order)] for row in part]) for part in places]
    return Bordered(border, blocks, cross, matrix[numpy.ix_(order, order)], partition=partition), matrix


def slots(group):
    """For each unit its bias positions and a list of the positions of each parent that is there."""
    size = group.padding
    for unit in range(group.units):
        parents = [row for part in group.parents for row in part[unit] if row[0] != size]
        yield group.bias[unit], parents


def reduced(matrix, partition):
    """Definition 23, unit by unit, of the blocks of a dense matrix (whole units keep theirs)."""
    result = numpy.zeros_like(matrix)
    for group in partition.groups:
        if isinstance(group, Whole):
            for row in group.index:
                positions = row[row != partition.size]
                result[numpy.ix_(positions, positions)] = matrix[numpy.ix_(positions, positions)]
            continue
        for bias, parents in slots(group):
            inverse = numpy.linalg.pinv(matrix[numpy.ix_(bias, bias)], rcond=1e-12)
            result[numpy.ix_(bias, bias)] = matrix[numpy.ix_(bias, bias)]
            for i in parents:
                result[numpy.ix_(bias, i)] = matrix[numpy.ix_(bias, i)]
                result[numpy.ix_(i, bias)] = matrix[numpy.ix_(i, bias)]
                for j in parents:
                    through = matrix[numpy.ix_(i, bias)] @ inverse @ matrix[numpy.ix_(bias, j)]
                    result[numpy.ix_(i, j)] = matrix[numpy.ix_(i, j)] if i is j else through
    return result


def unit_diagonal_blocks(matrix, partition):
    """The block-diagonal part of a matrix."""
    result = numpy.zeros_like(matrix)
    for group in partition.groups:
        for row in group.index:
            positions = row[row != partition.size]
            result[numpy.ix_(positions, positions)] = matrix[numpy.ix_(positions, positions)]
    return result


def cut_entries(matrix, partition):
    """Entries for `QuasiDiagonal`, read off a dense matrix one by one; padded ones hold rubbish."""
    result = []
    for group in partition.groups:
        if isinstance(group, Whole):
            part = numpy.full((group.units, group.width, group.width), 7.0)
            for unit, row in enumerate(group.index):
                real = numpy.flatnonzero(row != partition.size)
                part[unit][numpy.ix_(real, real)] = matrix[numpy.ix_(row[real], row[real])]
            result.append(part)
            continue
        q = group.q
        bias = numpy.array([matrix[numpy.ix_(b, b)] for b in group.bias])
        cross, own = [], []
        for part in group.parents:
            k = part.shape[2]
            c, o = numpy.full((*part.shape[:2], q, k), 7.0), numpy.full((*part.shape[:2], k, k), 7.0)
            for unit in range(group.units):
                for parent in range(part.shape[1]):
                    row = part[unit, parent]
                    if row[0] != partition.size:
                        c[unit, parent] = matrix[numpy.ix_(group.bias[unit], row)]
                        o[unit, parent] = matrix[numpy.ix_(row, row)]
            cross.append(c)
            own.append(o)
        result.append(Entries(bias, cross, own))
    return tuple(result)


def close(received, expected, tolerance=1e-9):
    """Relative to the largest entry expected."""
    received, expected = numpy.asarray(received), numpy.asarray(expected)
    assert received.shape == expected.shape
    scale = max(numpy.abs(expected).max(initial=0.0), 1e-12)
    deviation = numpy.abs(received - expected).max(initial=0.0) / scale
    assert deviation <= tolerance, f"relative deviation {deviation:.1e}"
