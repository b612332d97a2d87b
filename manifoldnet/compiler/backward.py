"""One pass from the outputs back to every stage, of covectors or of moduli."""

from collections.abc import Mapping

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.chains import carried_back
from manifoldnet.compiler.kinds import Carried, Kind
from manifoldnet.compiler.lines import ChainLines
from manifoldnet.compiler.stage import Contribution, Linearisation
from manifoldnet.compiler.trace import Trace, inner_rows

_NONE = numpy.zeros(0)


def swept(trace: Trace, kind: Kind, direct: Mapping[int, Carried]) -> list[NDArray]:
    """What the kind keeps of what stands at each stage; nothing else outlives its use.

    `direct` are the terms of the interpretations in inner coordinates, by stage.
    """
    lowered, lines, squared = trace.lowered, trace.linearisations, kind.squares_weights
    if isinstance(lines, ChainLines) and squared is not None and direct:
        # no interpretation reads any stage but the last
        (last,) = direct.values()
        standing = lines.carried_back(inner_rows(last)[kind.number_axes], squared)
        return [values[kind.added_axes] for values in standing]
    pending: dict[str, NDArray] = {}
    found: list[NDArray] = [_NONE] * len(lines)
    for chain in reversed(lowered.singles if squared is None else lowered.chains):
        inner = _at_last(trace, kind, chain[-1], pending, direct)
        if inner is None:
            for index in chain:
                found[index] = _nothing(trace, kind, index)
            continue
        if len(chain) > 1:
            inner = _along(trace, kind, chain, inner_rows(inner), found)
        else:
            found[chain[0]] = kind.kept(inner)
        if lowered.feeds[chain[0]]:
            for item in kind.upstream(lines[chain[0]], inner):
                _add(trace, kind, item, pending)
    return found


def _at_last(
    trace: Trace, kind: Kind, last: int, pending: dict[str, NDArray], direct: Mapping[int, Carried]
) -> Carried | None:
    """What stands at the last stage of a chain, None if nothing does."""
    layer, given = trace.lowered.whole_slots[last], direct.get(last)
    outer = _by_slots(trace, kind, last, pending) if layer is None else pending.pop(layer, None)
    if outer is None:
        return given
    return _inner(kind, trace.linearisations[last], outer, given, reuse=True, is_sent=trace.lowered.feeds[last])


def _along(trace: Trace, kind: Kind, chain: tuple[int, ...], last: NDArray, found: list[NDArray]) -> NDArray:
    """Note what stands at the stages of a chain, from what stands at its last one; that of the first."""
    lines = trace.linearisations
    weights = [lines.weights(index) for index in chain[1:]]
    rates = [lines.scalar_rate(index) for index in chain[:-1]]
    standing = carried_back(last[kind.number_axes], weights, rates, squared=bool(kind.squares_weights))
    for index, values in zip(chain, standing, strict=True):
        found[index] = values[kind.added_axes]
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
