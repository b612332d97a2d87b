"""Backward passes over the stages: covectors and moduli, from the outputs to every unit."""

from collections.abc import Mapping, Sequence

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.backward import swept, swept_outer
from manifoldnet.compiler.data import Targets
from manifoldnet.compiler.kinds import Covectors, Moduli, Squares
from manifoldnet.compiler.trace import Rows, Trace
from manifoldnet.declare.interpretations.interpretation import Factor, Scale
from manifoldnet.declare.layer import Output


def pull_back_covectors(trace: Trace, seeds: Rows) -> list[NDArray]:
    """b_k = [direct] + sum_j (da_j/da_k)^T b_j for k covectors at once (eqs. 4-5, 13, 65).

    Inner coordinates, (k, samples, units, inner) for each stage.
    """
    return swept(trace, Covectors(_count(seeds)), trace.inner_seeds(seeds))


def pull_back_squares(trace: Trace, seeds: Rows) -> list[NDArray]:
    """sum_k b_k b_k^T of the covectors that `pull_back_covectors` gives, (samples, units, inner, inner) by stage."""
    return swept(trace, Squares(_count(seeds)), trace.inner_seeds(seeds))


def outer_covectors(trace: Trace, seeds: Rows) -> dict[str, NDArray]:
    """What readers send back to each layer, (k, samples, units, dim), without the direct terms."""
    return swept_outer(trace, Covectors(_count(seeds)), trace.inner_seeds(seeds))


def _count(seeds: Rows) -> int:
    return len(next(iter(seeds.values())))


def summed_differential(trace: Trace, targets: Targets, share: float) -> NDArray:
    """The sum over the chunk's samples of dl/dtheta, times `share`, (size,) (eqs. 8, 92, with their signs turned)."""
    lowered = trace.lowered
    seeds, gradient = {}, numpy.empty(lowered.tangents.size + 1)
    for name in trace.readings:
        score = trace.score(name, targets[name])
        seeds[name] = (share * score.outputs)[None]
        place = lowered.tangents.get(name)
        if place is not None:
            own = score.parameters
            gradient[place.offset : place.stop] = 0.0 if own is None else share * own.sum(axis=0)
    inner = swept(trace, Covectors(1), trace.inner_seeds(seeds))
    for contraction in lowered.contractions:
        contraction.gradient(trace.linearisations, inner, gradient)
    return gradient[:-1]


def push_forward(trace: Trace, tangent: NDArray) -> dict[str, NDArray]:
    """How output numbers move along a flat tangent of the parameters, (samples, n) for each interpretation."""
    moving: dict[str, NDArray] = {}
    found: dict[int, NDArray] = {}
    padded, lowered = numpy.append(tangent, 0.0), trace.lowered
    gathered = {} if lowered.joint is None else lowered.joint.tangent_weights(tangent)
    for index, stage in enumerate(lowered.stages):
        line, group = trace.linearisations[index], stage.group
        own = numpy.zeros((stage.units, 0)) if group is None or index in gathered else padded[group.index]
        found[index] = line.push(own, moving, gathered.get(index))
        whole = lowered.whole_slots[index]
        if whole is not None and whole not in lowered.read:
            continue
        outer = line.to_inner.push(found[index])
        if whole is not None:
            moving[whole] = outer
            continue
        for slot in stage.slots:
            size = trace.points[slot.layer].shape[1]
            layer = moving.setdefault(slot.layer, numpy.zeros((trace.samples, size, outer.shape[2])))
            layer[:, slot.units] = outer[:, slot.start : slot.stop]
    return {output.name: _moved_numbers(trace, output, found) for output in trace.declaration.outputs}


def _moved_numbers(trace: Trace, output: Output, inner: Mapping[int, NDArray]) -> NDArray:
    scale, parts = trace.readings[output.name].scale, []
    for source in output.sources:
        moved = numpy.zeros_like(trace.points[source.layer])
        for index, slot in trace.owners(source.layer):
            reading = trace.stage_reading(index, scale)
            assert reading is not None
            moved[:, slot.units] = reading.rate.push(inner[index])[:, slot.start : slot.stop]
        parts.append(moved[:, list(source.units)].reshape(trace.samples, -1))
    return numpy.concatenate(parts, axis=1)


def natural_products(trace: Trace, tangents: Sequence[NDArray]) -> NDArray:
    """The sums over samples of <domega(u), Omega domega(v)>: natural inner products (eq. 64) without the matrix.

    (k, k) for k flat tangents, by one pass forward for each.
    """
    factors = {name: reading.factor() for name, reading in trace.readings.items()}
    images = numpy.array([_natural_image(trace, factors, tangent) for tangent in tangents])
    return images @ images.T


def _natural_image(trace: Trace, factors: Mapping[str, Factor], tangent: NDArray) -> NDArray:
    """Omega^(1/2) domega(tangent) of every sample and interpretation, one after another."""
    parts = []
    for name, moved in push_forward(trace, tangent).items():
        own = None
        if factors[name].parameters is not None:
            place = trace.lowered.tangents[name]
            own = tangent[place.offset : place.stop]
        parts.append(factors[name].push(moved, own))
    return numpy.concatenate([part.reshape(-1) for part in parts])


def pull_back_moduli(trace: Trace) -> list[NDArray]:
    """m_k = [direct] + sum_j (da_j/da_k)^T m_j (da_j/da_k), in inner coordinates by stage (eqs. 26-27, 76)."""
    return swept(trace, Moduli(), _direct_moduli(trace))


def outer_moduli(trace: Trace) -> dict[str, NDArray]:
    """What readers send back to each layer, (samples, units, dim, dim), without the direct terms."""
    return swept_outer(trace, Moduli(), _direct_moduli(trace))


def _direct_moduli(trace: Trace) -> Mapping[int, NDArray]:
    """(partial omega/partial a_k)^T Omega (partial omega/partial a_k), unit by unit, in inner coordinates."""
    found: dict[int, NDArray] = {}
    whole = trace.lowered.whole_outputs
    if len({*whole.values()}) == len(trace.declaration.outputs):
        return {index: _whole_modulus(trace, name, index) for name, index in whole.items()}
    for (layer, scale), blocks in direct_numbers(trace).items():
        for index, slot in trace.owners(layer):
            stage, reading = trace.lowered.stages[index], trace.stage_reading(index, scale)
            assert reading is not None
            spread = numpy.zeros((len(blocks), stage.units, *blocks.shape[2:]))
            spread[:, slot.start : slot.stop] = blocks[:, slot.units]
            found[index] = found.get(index, 0.0) + reading.rate.pull_modulus(spread)
    return found


def _whole_modulus(trace: Trace, name: str, index: int) -> NDArray:
    """That of an interpretation that reads all units of one stage, in order."""
    reading = trace.readings[name]
    on_stage = trace.stage_reading(index, reading.scale)
    assert on_stage is not None
    size = reading.z.shape[1] // trace.lowered.stages[index].units
    diagonal, rows = (trace.modulus(name), None) if size == 1 else (None, reading.factor().outputs)
    return on_stage.rate.pull_modulus(_unit_blocks(diagonal, rows, slice(None), size))


def direct_numbers(trace: Trace) -> dict[tuple[str, Scale], NDArray]:
    """The diagonal blocks of the interpretations' metrics on output numbers, (samples, units, size, size), by layer."""
    found: dict[tuple[str, Scale], NDArray] = {}
    for output in trace.declaration.outputs:
        reading, start = trace.readings[output.name], 0
        sizes = [trace.points[source.layer].shape[2] for source in output.sources]
        diagonal = trace.modulus(output.name) if all(size == 1 for size in sizes) else None
        rows = reading.factor().outputs if diagonal is None else None
        for source, size in zip(output.sources, sizes, strict=True):
            stop = start + size * len(source.units)
            block = _unit_blocks(diagonal, rows, slice(start, stop), size)
            units = trace.points[source.layer].shape[1]
            shape = (trace.samples, units, size, size)
            total = found.setdefault((source.layer, reading.scale), numpy.zeros(shape))
            total[:, list(source.units)] += block
            start = stop
    return found


def _unit_blocks(diagonal: NDArray | None, rows: NDArray | None, part: slice, size: int) -> NDArray:
    """The blocks of consecutive units, from a diagonal (samples, n) if units have one number, else from rows."""
    if diagonal is not None:
        return diagonal[:, part, None, None]
    assert rows is not None
    by_unit = rows[..., part].reshape(*rows.shape[:2], -1, size)
    return numpy.einsum("rsui,rsuj->suij", by_unit, by_unit, optimize=True)
