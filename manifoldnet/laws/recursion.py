"""Definition 8: the backpropagated modulus by its own recursion, with central differences for da_j/da_k."""

from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.quantities import backpropagated_moduli
from manifoldnet.compiler.stage import Stage
from manifoldnet.compiler.trace import OutputReading, Trace
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation

STEP = 1e-5
TOLERANCE = 1e-5


def recursion(situation: Situation) -> Check:
    """Definition 8 (eqs. 26-27, 56-57, 76): m_k is the squared change of omega when unit k alone moves, plus the
    squared changes, as their own moduli measure them, of the units that read k, each on its own.

    Compared with `backpropagated_moduli` at every unit and sample; relative to the largest modulus of a layer.
    """
    statement = Statement("definition 8, recursion of moduli", "backpropagated")
    trace, found = situation.here.whole, backpropagated_moduli(situation.here)
    expected = moduli(trace)
    worst, where = 0.0, ""
    for layer, values in expected.items():
        scale = max(numpy.abs(values).max(), numpy.abs(found[layer]).max(), 1e-300)
        gaps = numpy.abs(found[layer] - values).max(axis=(0, 2, 3)) / scale
        unit = int(numpy.argmax(gaps))
        if not gaps[unit] <= worst:
            worst, where = float(gaps[unit]), f"largest at unit {layer}[{unit}]"
    return statement.measured(worst, TOLERANCE, where)


def moduli(trace: Trace) -> dict[str, NDArray]:
    """m_k of every layer but the inputs, (samples, units, dim, dim), in the coordinates of its chart."""
    found: dict[str, NDArray] = {}
    layers = [layer for layer in trace.declaration.layers if not layer.is_input]
    for layer in reversed(layers):
        space = trace.lowered.spaces[layer.name]
        total = numpy.zeros((trace.samples, layer.size, space.dim, space.dim))
        frames = space.frame(trace.points[layer.name])
        for unit in range(layer.size):
            total[:, unit] = _direct(trace, layer.name, unit, frames[:, unit])
            for name, caused in _caused(trace, layer.name, unit, frames[:, unit]):
                # each reader's change is squared by its own modulus before they are added
                total[:, unit] += numpy.einsum("suid,suij,suje->sde", caused, found[name], caused, optimize=True)
        found[layer.name] = total
    return found


def _direct(trace: Trace, layer: str, unit: int, frame: NDArray) -> NDArray:
    """The squared change of omega when one unit alone moves and no unit that reads it does, (samples, dim, dim)."""
    total = numpy.zeros((trace.samples, frame.shape[2], frame.shape[2]))
    for output in trace.declaration.outputs:
        if not any(source.layer == layer and unit in source.units for source in output.sources):
            continue
        reading = trace.readings[output.name]
        sources = [(source.layer, source.units) for source in output.sources]
        ahead, behind = (
            [_omega(trace, reading, sources, points) for points in _perturbed(trace, layer, unit, frame, sign)]
            for sign in (1.0, -1.0)
        )
        point = numpy.asarray(reading.point())
        manifold = reading.interpretation.output_manifold(reading.z.shape[1])
        slopes = numpy.stack([(a - b).reshape(trace.samples, -1) for a, b in zip(ahead, behind, strict=True)], axis=2)
        moved = manifold.coframe(point) @ slopes / (2.0 * STEP)
        total += moved.swapaxes(1, 2) @ reading.interpretation.output_metric(point) @ moved
    return total


def _perturbed(trace: Trace, layer: str, unit: int, frame: NDArray, sign: float) -> Iterator[dict[str, NDArray]]:
    """The points with one unit moved along each vector of its frame; readers stay where they are."""
    for direction in range(frame.shape[2]):
        moved = trace.points[layer].copy()
        moved[:, unit] += sign * STEP * frame[:, :, direction]
        yield {**trace.points, layer: moved}


def _omega(
    trace: Trace, reading: OutputReading, sources: list[tuple[str, tuple[int, ...]]], points: dict[str, NDArray]
) -> NDArray:
    parts = [_numbers(trace, name, reading.scale, points)[:, list(units)] for name, units in sources]
    z = numpy.concatenate([part.reshape(trace.samples, -1) for part in parts], axis=1)
    return numpy.asarray(reading.interpretation.point(z, reading.vartheta, reading.scale))


def _numbers(trace: Trace, layer: str, scale: str, points: dict[str, NDArray]) -> NDArray:
    """Output numbers on a scale, from points alone."""
    if scale == "log-odds":
        manifold = trace.lowered.spaces[layer].manifold
        low, high = manifold.low, manifold.high  # type: ignore[attr-defined]
        return numpy.log(points[layer] - low) - numpy.log(high - points[layer])
    return numpy.log(numpy.abs(points[layer])) if scale == "log" else points[layer]


def _caused(trace: Trace, layer: str, unit: int, frame: NDArray) -> Iterator[tuple[str, NDArray]]:
    """da_j/da_k of all units j of each layer that reads unit k, (samples, units, dim j, dim k)."""
    for stage in trace.lowered.stages:
        if layer not in stage.parent_layers:
            continue
        columns = [
            (_values(trace, stage, ahead) - _values(trace, stage, behind)) / (2.0 * STEP)
            for ahead, behind in zip(
                _perturbed(trace, layer, unit, frame, 1.0), _perturbed(trace, layer, unit, frame, -1.0), strict=True
            )
        ]
        slopes = numpy.stack(columns, axis=3)
        for slot in stage.slots:
            space, size = trace.lowered.spaces[slot.layer], trace.points[slot.layer].shape[1]
            part = space.coframe(trace.points[slot.layer][:, slot.units]) @ slopes[:, slot.start : slot.stop]
            whole = numpy.zeros((trace.samples, size, *part.shape[2:]))
            whole[:, slot.units] = part
            yield slot.layer, whole


def _values(trace: Trace, stage: Stage, points: dict[str, NDArray]) -> NDArray:
    return stage.linearise(trace.theta, points).points
