"""A metric averaged over batches, by unit: what a batch adds, and a covector raised by what has been averaged."""

from typing import Any, final

import attrs
import jax
import jax.numpy as jnp
import numpy

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.solving import by_diagonal, is_plain, plus_identity, with_systems, with_wholes
from manifoldnet.compiler.backends.jax.structure import Packing, Structure
from manifoldnet.compiler.backends.jax.systems import (
    Primal,
    entries_at,
    entries_of_blocks,
    level_entries,
    scalar_solved,
    wants_floor,
)
from manifoldnet.compiler.backends.jax.trace import Trace
from manifoldnet.compiler.recipes import DampingRecipe, Kept, MetricRecipe

Array = Any
ByUnit = tuple[Any, ...]


@final
@attrs.frozen(eq=False)
class Averaged:
    """What is kept of each array of parameters: diagonals (units, width), entries (A_00, A_0i, A_ii), or blocks.

    `floor` is the same of what Floor(1) would add, empty where no damping looks at it. Both are empty for the identity.
    """

    parts: ByUnit
    floor: ByUnit


jax.tree_util.register_dataclass(Averaged, data_fields=["parts", "floor"], meta_fields=[])

KEPT: dict[str, Kept] = {"diagonal": "diagonal", "root": "diagonal", "quasi": "quasi", "block": "block"}


def keeps_floor(recipe: MetricRecipe, damping: DampingRecipe) -> bool:
    """Whether the floor is averaged too: what `Damping.wants_floor` says, for metrics that have one."""
    return damping.drops and recipe.structure in ("quasi", "block")


def nothing(packing: Packing, recipe: MetricRecipe, damping: DampingRecipe) -> Averaged:
    """An average of no batches, all zeros."""
    if recipe.structure == "identity":
        return Averaged((), ())
    parts = tuple(_nothing(index.shape, KEPT[recipe.structure]) for index in packing.tangents)
    return Averaged(parts, parts if keeps_floor(recipe, damping) else ())


def _nothing(shape: tuple[int, int], kept: Kept) -> Any:
    units, width = shape
    if kept == "quasi":
        return numpy.zeros(units), numpy.zeros((units, width - 1)), numpy.zeros((units, width - 1))
    return numpy.zeros((units, width, width) if kept == "block" else shape)


def batch_average(
    trace: Trace, recipe: MetricRecipe, damping: DampingRecipe, targets: dict[str, Array], shares: Array
) -> Averaged:
    """The average over one batch, in which each sample counts by its share."""
    if recipe.structure == "identity":
        return Averaged((), ())
    assert recipe.modulus is not None
    inner, own = of.moduli(trace, recipe.modulus, targets, shares)
    parts = _parts(trace, inner, own, recipe)
    if not keeps_floor(recipe, damping):
        return Averaged(parts, ())
    return Averaged(parts, _floor(trace, tuple(modulus.sum(axis=0) for modulus in inner), recipe, shares))


def _floor(trace: Trace, means: tuple, recipe: MetricRecipe, shares: Array) -> ByUnit:
    """What Floor(1) adds, of affine units of one dimension."""
    if recipe.structure == "quasi":
        return tuple(level_entries(trace.stages[i], means[i], shares) for i in of.with_parameters(trace))  # type: ignore[arg-type]
    return _parts(trace, tuple(shares[:, None, None, None] * mean for mean in means), (), recipe)


def _parts(trace: Trace, inner: tuple, own: tuple, recipe: MetricRecipe) -> ByUnit:
    kept = KEPT[recipe.structure]
    if kept == "quasi":
        return tuple(entries_at(trace.stages[i], inner[i]) for i in of.with_parameters(trace))  # type: ignore[arg-type]
    if kept == "block":
        return (*of.contracted(trace, inner, kept), *own)
    found = [part if part.ndim == 2 else _diagonal(part) for part in of.contracted(trace, inner, kept)]
    found += [_diagonal(part) for part in own]
    return tuple(jnp.sqrt(part) if recipe.structure == "root" else part for part in found)


def _diagonal(blocks: Array) -> Array:
    return jnp.diagonal(blocks, axis1=1, axis2=2)


def renewed(old: Averaged, new: Averaged, weight: Array) -> Averaged:
    """(1 - weight) A + weight A(batch)."""
    return jax.tree.map(lambda a, b: (1.0 - weight) * a + weight * b, old, new)


def raised(
    structure: Structure,
    averaged: Averaged,
    recipe: MetricRecipe,
    damping: DampingRecipe,
    slope: ByUnit,
    masks: ByUnit,
) -> tuple[ByUnit, Array]:
    """A^{-1} of a covector by unit, damped; and whether every unit could be solved."""
    if recipe.structure == "identity":
        scale = 1.0 / ((1.0 + damping.absolute) * (1.0 + damping.relative))
        return tuple(part * scale for part in slope), jnp.array(True)
    if recipe.structure in ("diagonal", "root"):
        return by_diagonal(averaged.parts, slope, masks, damping, False)
    floors = averaged.floor or (None,) * len(slope)
    everything = list(zip(averaged.parts, floors, slope, masks, strict=True))
    if recipe.structure == "quasi":
        asked = wants_floor(damping)
        found = [scalar_solved(part, b, mask, damping, floor if asked else None) for part, floor, b, mask in everything]
        return tuple(values for values, _ in found), jnp.array([fine for _, fine in found]).all()
    if is_plain(structure):
        return _by_systems(everything, slope, damping)
    wholes = [(place, plus_identity(part, damping)) for place, part in enumerate(averaged.parts)]
    return with_wholes(list(slope), wholes, slope, masks, damping, jnp.array(True), None)


def _by_systems(everything: list[tuple], slope: ByUnit, damping: DampingRecipe) -> tuple[ByUnit, Array]:
    systems = []
    for place, (part, floor, value, mask) in enumerate(everything):
        # where nothing is added the floor is only compared with
        beside = floor if damping.floor else entries_of_blocks(floor) if wants_floor(damping) else None
        systems.append((place, Primal(part, beside, value, mask, damping)))
    found = list(slope)
    good = with_systems(found, systems, damping, None)
    return tuple(found), good


__all__ = ["Averaged", "batch_average", "keeps_floor", "nothing", "raised", "renewed"]
