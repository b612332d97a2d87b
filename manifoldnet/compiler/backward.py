"""One pass from the outputs back to every stage, of covectors or of moduli."""

from collections.abc import Mapping
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.chains import carried_back
from manifoldnet.compiler.kinds import Carried, Kind
from manifoldnet.compiler.stage import Contribution, Linearisation
from manifoldnet.compiler.trace import Trace, inner_rows

_NONE = numpy.zeros(0)


def swept(trace: Trace, kind: Kind, direct: Mapping[int, Carried]) -> list[NDArray]:
    """What the kind keeps of what stands at each stage; nothing else outlives its use.

    `direct` are the terms of the interpretations in inner coordinates, by stage.
    """
    pending: dict[str, NDArray] = {}
    lowered, lines = trace.lowered, trace.linearisations
    found: list[NDArray] = [_NONE] * len(lines)
    for chain in reversed(lowered.singles if kind.squares_weights is None else lowered.chains):
        first = chain[0]
        inner = _visited(trace, kind, chain, pending, direct, found)
        for item in kind.upstream(lines[first], inner) if lowered.feeds[first] and inner is not None else ():
            _add(trace, kind, item, pending)
    return found


def _visited(
    trace: Trace,
    kind: Kind,
    chain: tuple[int, ...],
    pending: dict[str, NDArray],
    direct: Mapping[int, Carried],
    found: list[NDArray],
) -> Carried | None:
    """Note what is kept at the stages of a chain; what stands at its first one, None if nothing does."""
    last, lines = chain[-1], trace.linearisations
    layer, given = trace.lowered.whole_slots[last], direct.get(last)
    outer = _by_slots(trace, kind, last, pending) if layer is None else pending.pop(layer, None)
    if given is None and outer is None:
        for index in chain:
            found[index] = _nothing(trace, kind, index)
        return None
    inner = _inner(kind, lines[last], outer, given, reuse=True, is_sent=trace.lowered.feeds[last])
    if len(chain) == 1:
        found[last] = kind.kept(inner)
        return inner
    return _along(trace, kind, chain, inner_rows(inner), found)


def _along(trace: Trace, kind: Kind, chain: tuple[int, ...], last: NDArray, found: list[NDArray]) -> NDArray:
    """Note what stands at the stages of a chain, from what stands at its last one; that of the first."""
    lines: list[Any] = [trace.linearisations[index] for index in chain]
    standing = carried_back(lines, last.reshape(trace.samples, -1), squared=bool(kind.squares_weights))
    # axes of length one before and after, as the kind has them
    axes = (None, ..., None) if kind.unit_axis == -2 else (..., None, None)
    for index, values in zip(chain, standing, strict=True):
        found[index] = values[axes]
    return found[chain[0]]


def swept_outer(trace: Trace, kind: Kind, direct: Mapping[int, Carried]) -> dict[str, NDArray]:
    """What readers send to each layer, in outer coordinates; without the direct terms of the interpretations."""
    pending: dict[str, NDArray] = {}
    for index in reversed(range(len(trace.lowered.stages))):
        layer = trace.lowered.whole_slots[index]
        outer = _by_slots(trace, kind, index, pending) if layer is None else pending.get(layer)
        if trace.lowered.feeds[index] and (outer is not None or index in direct):
            line = trace.linearisations[index]
            inner = _inner(kind, line, outer, direct.get(index), reuse=False, is_sent=True)
            for item in kind.upstream(line, inner):
                _add(trace, kind, item, pending)
    return pending


def _inner(
    kind: Kind, line: Linearisation, outer: NDArray | None, direct: Carried | None, reuse: bool, is_sent: bool
) -> Carried:
    """b_k or m_k of a stage; all its readers have been visited. With `reuse`, what they sent is used up."""
    if outer is None:
        assert direct is not None
        return direct
    inner = kind.pull(line, outer, reuse, is_sent)
    return inner if direct is None else inner_rows(inner) + inner_rows(direct)


def _by_slots(trace: Trace, kind: Kind, index: int, pending: dict[str, NDArray]) -> NDArray | None:
    """What layers have received for the units of a stage, in an array that nobody else holds."""
    stage = trace.lowered.stages[index]
    if not any(slot.layer in pending for slot in stage.slots):
        return None
    parts = []
    for slot in stage.slots:
        if slot.layer in pending:
            parts.append(numpy.take(pending[slot.layer], slot.units, axis=kind.unit_axis))
        else:
            dim = trace.lowered.spaces[slot.layer].dim
            parts.append(numpy.zeros(kind.shape(trace.samples, len(slot.units), dim)))
    return parts[0] if len(parts) == 1 else numpy.concatenate(parts, axis=kind.unit_axis)


def _nothing(trace: Trace, kind: Kind, index: int) -> NDArray:
    stage = trace.lowered.stages[index]
    return kind.kept(numpy.zeros(kind.shape(trace.samples, stage.units, stage.inner_dim)))


def _add(trace: Trace, kind: Kind, item: Contribution, pending: dict[str, NDArray]) -> None:
    """Add to what a parent's layer has received: this is where several readers of a unit meet."""
    layer, units, values = item
    if layer in trace.lowered.inputs:
        return
    if units is None:
        pending[layer] = pending[layer] + values if layer in pending else values
        return
    if layer not in pending:
        dim, count = trace.lowered.spaces[layer].dim, trace.points[layer].shape[1]
        pending[layer] = numpy.zeros(kind.shape(trace.samples, count, dim))
    if kind.unit_axis == -2:
        pending[layer][:, :, units] += values
    else:
        pending[layer][:, units] += values
