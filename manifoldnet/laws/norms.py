"""Propositions 17 and 24: the norm of a tangent does not depend on charts."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.changes import Pair
from manifoldnet.laws.promises import is_intrinsic
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.reductions import QuasiDiagonal

DIRECTIONS = 3
EXACT = 1e-9
SEEN = 1e-3


def norms(pair: Pair, rule: MetricRule) -> Check:
    """Proposition 17 (24 for quasi-diagonal metrics): random tangents have the same norm after a change of charts.

    The whole norm is compared, and that of the part of each unit, whose metric is a block of the tensor.
    """
    name = "proposition 24, norms" if isinstance(rule, QuasiDiagonal) else "proposition 17, norms"
    statement = Statement(name, rule.name, pair.change.name, is_intrinsic(rule))
    before, after = pair.before.tensor(rule), pair.after.tensor(rule)
    worst, where = 0.0, ""
    for drawn in pair.before.rng(4).standard_normal((DIRECTIONS, before.size)):
        moved = pair.tangent(drawn)
        whole = _relative(before.norm2(drawn), after.norm2(moved))
        by_unit = _relative(unit_norms(pair.before, before, drawn), unit_norms(pair.after, after, moved))
        unit = int(numpy.argmax(by_unit))
        for deviation, place in ((whole, "the whole norm"), (by_unit[unit], f"unit {_names(pair.before)[unit]}")):
            # a NaN is the worst of all
            if not deviation <= worst:
                worst, where = float(deviation), place
    return statement.measured(worst, EXACT if statement.promised else SEEN, f"largest at {where}" if where else "")


def unit_norms(situation: Situation, tensor: MetricTensor, tangent: NDArray) -> NDArray:
    """The squared norm of each unit's part of a tangent, (units,), in the order of the flat vector."""
    starts = numpy.unique(situation.owners)
    found: dict[int, float] = {}
    partition = situation.program.partition
    for group, blocks, parts in zip(
        partition.groups, tensor.unit_blocks(partition), partition.gather(tangent), strict=True
    ):
        values = numpy.einsum("ui,uij,uj->u", parts, blocks, parts, optimize=True)
        owners = situation.owners[
            numpy.where(group.index == partition.size, partition.size - 1, group.index).min(axis=1)
        ]
        found.update(zip(owners.tolist(), values.tolist(), strict=True))
    return numpy.array([found[start] for start in starts.tolist()])


def _names(situation: Situation) -> list[str]:
    return [situation.unit(int(start)) for start in numpy.unique(situation.owners)]


def _relative(before: NDArray | float, after: NDArray | float) -> NDArray:
    """|after - before| over the larger of both; what is rounding beside the largest of all counts as equal."""
    before, after = numpy.asarray(before), numpy.asarray(after)
    scale = numpy.maximum(numpy.abs(before), numpy.abs(after))
    return numpy.abs(after - before) / (scale + 1e-13 * scale.max(initial=1e-300))
