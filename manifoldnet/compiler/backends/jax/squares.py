"""Moduli as sums of squares of rows, with less work where each row begins on a single unit."""

from typing import Any

import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.affine import AffineAt, AffineShape
from manifoldnet.compiler.backends.jax.trace import Trace
from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.square_loss import SquareLoss

Array = Any


def squared(inner: Array) -> Array:
    """The sums over covectors of their squares, (samples, units, inner, inner)."""
    if inner.shape[-1] == 1:
        rows = inner[..., 0]
        return (rows * rows).sum(axis=0)[..., None, None]
    return jnp.einsum("ksui,ksuj->suij", inner, inner)


def squared_outputs(trace: Trace) -> tuple[Array, ...] | None:
    """The Fisher modulus of every unit where outputs are independent and each is one unit that nothing reads.

    Each row then begins on a single unit, which spares the largest product of the backward pass. None elsewhere.
    """
    index = _one_unit_an_output(trace)
    if index is None:
        return None
    ((name, reading),) = trace.readings.items()
    rate = trace.stage_reading(index, reading.scale)
    stage = trace.stages[index]
    assert rate is not None and isinstance(stage, AffineAt)
    inner = rate.rate.pull(jnp.sqrt(trace.modulus(name))[:, :, None])
    moduli, lead = (inner * inner)[..., None], (inner.shape[1],)
    pending: dict[str, Array] = {}
    if not trace.reads_inputs_only(index):
        trace.receive(pending, stage.pull_one_each(inner), lead, False)
    pulled = trace.backward(lead, {}, lambda at, m: at.pull_covectors(m), False, pending, index)
    beneath = {index: moduli, **_beneath(trace, index, moduli)}
    return tuple(beneath[i] if i in beneath else squared(part) for i, part in enumerate(pulled.inner))


def _beneath(trace: Trace, index: int, moduli: Array) -> dict[int, Array]:
    """The moduli of the stages that the outputs alone read, and once, from those of the outputs.

    What a row is there is a single product, and squares of such are pulled back as backpropagated moduli are.
    """
    structure, received = trace.structure, dict[str, Array]()
    trace.receive(received, trace.stages[index].pull_moduli(moduli), (), True)
    read = [name for stage in structure.stages for name in stage.parent_layers]
    found = {}
    for position, stage in enumerate(structure.stages):
        if all(slot.layer in received and read.count(slot.layer) == 1 for slot in stage.slots):
            found[position] = trace.from_readers(position, received, True)
    return found


def _one_unit_an_output(trace: Trace) -> int | None:
    """The stage whose units are the outputs, one by one."""
    if len(trace.structure.outputs) != 1:
        return None
    output = trace.structure.outputs[0]
    if not isinstance(output.interpretation, Bernoulli | SquareLoss) or len(output.sources) != 1:
        return None
    ((layer, units),) = output.sources
    owners = trace.owners(layer)
    is_read = any(layer in stage.parent_layers for stage in trace.structure.stages)
    if units is not None or len(owners) != 1 or is_read or trace.structure.layer(layer).space.size != 1:
        return None
    index, slot = owners[0]
    stage = trace.structure.stages[index]
    whole = isinstance(stage, AffineShape) and (slot.start, slot.stop) == (0, stage.units)
    return index if whole else None


__all__ = ["squared", "squared_outputs"]
