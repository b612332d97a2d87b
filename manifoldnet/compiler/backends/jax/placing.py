"""Where the units of a layer stand among those of a stage, and their numbers among those that an interpretation reads."""

from typing import Any

import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.structure import Structure

Array = Any


def of_units(values: Array, units: tuple[int, ...] | None, axis: int) -> Array:
    """Some of the units along an axis; all of them for None."""
    return values if units is None else jnp.take(values, jnp.array(units), axis=axis)


def unit_blocks(values: Array, single: bool, part: slice, size: int) -> Array:
    """The blocks of consecutive units, from a diagonal (samples, n) if units have one number, else from rows."""
    if single:
        return values[:, part, None, None]
    by_unit = values[..., part].reshape(*values.shape[:2], -1, size)
    return jnp.einsum("rsui,rsuj->suij", by_unit, by_unit)


def place(found: dict[str, Array], slots: Any, values: Array, structure: Structure) -> None:
    """Put the units that a stage computed where their layer's activities stand."""
    for slot in slots:
        part = values[:, slot.start : slot.stop]
        if slot.units is None:
            found[slot.layer] = part
            continue
        if slot.layer not in found:
            found[slot.layer] = jnp.zeros((len(values), structure.layer(slot.layer).size, *values.shape[2:]))
        found[slot.layer] = found[slot.layer].at[:, jnp.array(slot.units)].set(part)


__all__ = ["of_units", "place", "unit_blocks"]
