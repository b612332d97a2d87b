"""Positions of units in a flat vector."""

import numpy
import pytest
from hypothesis import given

from manifoldnet.errors import ShapeError
from manifoldnet.linalg.units import Partition, Units, Whole
from tests.linalg.drawing import partitions


@given(partitions())
def test_gather_reads_each_position_and_zero_where_padded(partition):
    values = numpy.arange(1.0, partition.size + 1)
    for group, part in zip(partition.groups, partition.gather(values), strict=True):
        for row, received in zip(group.index, part, strict=True):
            assert received.tolist() == [0.0 if i == partition.size else values[i] for i in row]


@given(partitions())
def test_scatter_undoes_gather_and_writes_no_padding(partition):
    values = numpy.arange(1.0, partition.size + 1)
    parts = [numpy.where(part == 0.0, numpy.nan, part) for part in partition.gather(values)]
    assert partition.scatter(parts).tolist() == values.tolist()
    columns = numpy.stack([values, -values], axis=1)
    assert partition.scatter(partition.gather(columns)).tolist() == columns.tolist()


def test_units_are_indexed_bias_first_then_parents_in_order():
    units = Units([[0, 1]], [[[[2, 3], [4, 5]]], [[[6, 7, 8, 9]]]])
    assert units.index.tolist() == [list(range(10))]
    bias, (pairs, four) = units.split(numpy.arange(10.0)[None])
    assert bias.tolist() == [[0.0, 1.0]]
    assert pairs.tolist() == [[[2.0, 3.0], [4.0, 5.0]]]
    assert four.shape == (1, 1, 4)
    assert not units.is_scalar and units.q == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Partition(3, [Whole([[0, 1]])]), "position 2 occurs 0 times"),
        (lambda: Partition(2, [Whole([[0, 1]]), Whole([[1]])]), "position 1 occurs 2 times"),
        (lambda: Partition(2, [Whole([[0, 1, 5]], name="h")]), r"group 0 \('h'\): positions must lie in 0..2"),
        (lambda: Partition(2, [Whole([[0, 1]], 7)]), "marks padding by 7, expected the partition's size 2"),
        (lambda: Partition(1, [Units([[0, 1]], [])]), "only whole parent blocks may be padded, not biases"),
        (lambda: Partition(2, [Units([[0]], [[[[1, 2]]]])]), "only whole parent blocks may be padded"),
        (lambda: Units([[0, 1]], [[[[2, 3, 4]]]]), "q e entries with q = 2, received blocks of 3"),
        (lambda: Units([0], []), r"expected as \(units, q\), received \(1,\)"),
        (lambda: Units([[0]], [[[1]]]), r"expected as \(1 units, parents, k\), received \(1, 1\)"),
        (lambda: Whole([0]), r"expected as \(units, p\), received \(1,\)"),
        (lambda: Whole([[0.5]]), "positions in a flat vector are integers, received an array of float64"),
    ],
)
def test_wrong_positions_are_named(make, message):
    with pytest.raises(ShapeError, match=message):
        make()
