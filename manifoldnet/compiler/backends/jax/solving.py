"""Directions: a differential raised by a metric made of one part a unit, damped, inside a compiled function.

The same as the tensors' `solve`, for the structures and dampings that `unsupported` does not name.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.affine import AffineAt, AffineShape
from manifoldnet.compiler.backends.jax.precision import threshold, tiny
from manifoldnet.compiler.backends.jax.recharted import RechartedAt
from manifoldnet.compiler.backends.jax.small import solved
from manifoldnet.compiler.backends.jax.structure import Structure
from manifoldnet.compiler.backends.jax.systems import (
    Dual,
    Primal,
    entries_at,
    level_entries,
    scalar_solved,
    wants_floor,
)
from manifoldnet.compiler.backends.jax.trace import Trace
from manifoldnet.compiler.recipes import DampingRecipe, Kept, MetricRecipe

Array = Any
ByUnit = tuple[Array, ...]


def is_plain(structure: Structure) -> bool:
    """Whether all that has parameters is affine units of one dimension that read such."""
    affine = all(isinstance(s, AffineShape) and s.is_scalar for s in structure.stages if s.has_parameters)
    return affine and not any(output.parameters for output in structure.outputs)


def unsupported(structure: Structure, recipe: MetricRecipe | None, damping: DampingRecipe) -> str | None:
    """Why steps of a metric with a damping cannot be compiled as one function; None where they can."""
    if recipe is None:
        return "a metric on all parameters at once, or without a recipe, is not compiled as a step"
    if damping.cut == "pseudo-inverse":
        return "PseudoInverse is solved by NumPy: its eigenvectors cost more than all the rest of a step"
    if recipe.structure in ("identity", "diagonal", "root"):
        return "Floor needs a metric with units" if damping.floor else None
    if not is_plain(structure):
        if damping.relative or damping.floor or damping.drops or damping.cut != "nothing":
            return (
                "Intrinsic, Floor and LeastNorm are compiled for affine units of one dimension alone: other units, "
                "charts of parameters and output parameters are solved by NumPy. Tikhonov is compiled for all"
            )
    elif recipe.structure == "block" and damping.cut != "nothing":
        return "LeastNorm of full blocks is solved by NumPy: its eigenvectors cost more than all the rest of a step"
    return None


def direction(
    trace: Trace,
    recipe: MetricRecipe,
    damping: DampingRecipe,
    masks: ByUnit,
    targets: dict[str, Array],
    drawn: dict[str, Array],
    weights: Array,
    total: Array,
    mesh: Mesh | None,
) -> tuple[ByUnit, Array]:
    """A^{-1} dL by unit, averages over `total` samples; and whether every unit could be solved.

    `targets` are the true ones, `drawn` those that the metric is made of, where it draws them.
    """
    slope = tuple(part / total for part in of.differential(trace, targets, weights))
    if recipe.structure == "identity":
        scale = 1.0 / ((1.0 + damping.absolute) * (1.0 + damping.relative))
        return tuple(part * scale for part in slope), jnp.array(True)
    assert recipe.modulus is not None
    made_of = drawn if recipe.needs_rng else targets
    inner, blocks = of.moduli(trace, recipe.modulus, made_of, weights)
    inner = tuple(part / total for part in inner)
    own = tuple(part / total for part in blocks)
    if recipe.structure in ("diagonal", "root"):
        parts = _parts(trace, inner, own, "diagonal")
        return by_diagonal(parts, slope, masks, damping, recipe.structure == "root")
    if recipe.structure == "quasi":
        return _by_entries(trace, inner, own, slope, masks, damping, weights / total, mesh)
    return _by_blocks(trace, inner, own, slope, masks, damping, weights / total, mesh)


def _parts(trace: Trace, inner: tuple, own: tuple, kept: Kept) -> list[Any]:
    return [*of.contracted(trace, inner, kept), *own]


def by_diagonal(
    parts: Sequence[Array], slope: ByUnit, masks: ByUnit, damping: DampingRecipe, root: bool
) -> tuple[ByUnit, Array]:
    found, good = [], jnp.array(True)
    for part, value, mask in zip(parts, slope, masks, strict=True):
        entries = part if part.ndim == 2 else jnp.diagonal(part, axis1=1, axis2=2)
        entries = (jnp.sqrt(entries) if root else entries) + damping.absolute
        kept = (entries > tiny(entries)) & (mask > 0.0)
        if not damping.drops:
            good = good & (kept | (mask == 0.0)).all()
        found.append(jnp.where(kept, value / ((1.0 + damping.relative) * jnp.where(kept, entries, 1.0)), 0.0))
    return tuple(found), good


def _by_entries(
    trace: Trace,
    inner: tuple,
    own: tuple,
    slope: ByUnit,
    masks: ByUnit,
    damping: DampingRecipe,
    shares: Array,
    mesh: Mesh | None,
) -> tuple[ByUnit, Array]:
    """Eqs. 89 and 90 for units whose entries are numbers; the reduced blocks of others are factorised."""
    found: list[Array] = []
    good, wholes = jnp.array(True), []
    for position, (value, mask) in enumerate(zip(slope, masks, strict=True)):
        stage, modulus = _at(trace, position, inner)
        if isinstance(stage, AffineAt) and stage.shape.is_scalar:
            floor = level_entries(stage, modulus.sum(axis=0), shares) if wants_floor(damping) else None
            solution, fine = scalar_solved(entries_at(stage, modulus), value, mask, damping, floor)
            found.append(solution)
            good = good & fine
            continue
        part = _kept(trace, position, inner, own, "quasi")
        if isinstance(stage, RechartedAt):
            # the reduction is made in affine coordinates and pulled back, and then damped
            part = stage.pulled_block(_reduced(part, 0.0))
        elif isinstance(part, tuple):
            wholes.append((position, _reduced(part, damping.absolute)))
            found.append(value)
            continue
        wholes.append((position, plus_identity(part, damping)))
        found.append(value)
    return with_wholes(found, wholes, slope, masks, damping, good, mesh)


def _by_blocks(
    trace: Trace,
    inner: tuple,
    own: tuple,
    slope: ByUnit,
    masks: ByUnit,
    damping: DampingRecipe,
    shares: Array,
    mesh: Mesh | None,
) -> tuple[ByUnit, Array]:
    found, wholes = list(slope), []
    systems: list[tuple[int, Primal | Dual]] = []
    for position, (value, mask) in enumerate(zip(slope, masks, strict=True)):
        stage, modulus = _at(trace, position, inner)
        if isinstance(stage, AffineAt) and stage.shape.is_scalar:
            systems.append((position, _system(stage, modulus, value, mask, damping, shares)))
            continue
        part = _kept(trace, position, inner, own, "block")
        wholes.append((position, plus_identity(part, damping)))
    good = with_systems(found, systems, damping, mesh)
    return with_wholes(found, wholes, slope, masks, damping, good, mesh)


def with_systems(
    found: list[Array], systems: "Sequence[tuple[int, Primal | Dual]]", damping: DampingRecipe, mesh: Mesh | None
) -> Array:
    """Put the solutions of systems in their places; whether there are such."""
    solutions, least = solved([s.matrix for _, s in systems], [s.value for _, s in systems], mesh)
    for (position, system), solution in zip(systems, solutions, strict=True):
        found[position] = system.back(solution)
    return jnp.array([system.good for _, system in systems]).all() & (least > threshold(least, damping.tolerance))


def _system(
    stage: AffineAt, modulus: Array, value: Array, mask: Array, damping: DampingRecipe, shares: Array
) -> "Primal | Dual":
    if _prefers_dual(stage, modulus, damping):
        return Dual(stage, modulus, value, mask, damping)
    floor: Any = None
    if damping.floor:
        floor = stage.block(shares[:, None, None, None] * modulus.sum(axis=0))
    elif wants_floor(damping):
        floor = level_entries(stage, modulus.sum(axis=0), shares)
    return Primal(stage.block(modulus), floor, value, mask, damping)


def _prefers_dual(stage: AffineAt, modulus: Array, damping: DampingRecipe) -> bool:
    """Fewer samples than parameters of a unit: with eps Id added, the samples' Gram matrices are the smaller systems."""
    only_absolute = damping.absolute > 0.0 and not damping.relative and not damping.floor
    return only_absolute and len(modulus) < stage.shape.width - 1


def _at(trace: Trace, position: int, inner: tuple) -> tuple[Any, Any]:
    """The stage of an array of parameters, and its moduli; None for output parameters."""
    stages = of.with_parameters(trace)
    return (trace.stages[stages[position]], inner[stages[position]]) if position < len(stages) else (None, None)


def _kept(trace: Trace, position: int, inner: tuple, own: tuple, kept: Kept) -> Any:
    """The block of each unit of an array of parameters, or its entries."""
    stage, modulus = _at(trace, position, inner)
    if stage is None:
        return own[position - len(of.with_parameters(trace))]
    return stage.block(modulus) if kept == "block" else stage.quasi(modulus)


def plus_identity(blocks: Array, damping: DampingRecipe) -> Array:
    return blocks + damping.absolute * jnp.eye(blocks.shape[1])


def _reduced(entries: tuple, eps: float) -> Array:
    """The reduced blocks (units, width, width) of entries to whose diagonal blocks eps is added first."""
    bias, cross, own = entries
    q = bias.shape[1]
    bias = bias + eps * jnp.eye(q)
    own = tuple(part + eps * jnp.eye(part.shape[-1]) for part in own)
    inverse = jnp.linalg.inv(bias) if q > 1 else 1.0 / bias
    row = jnp.concatenate([bias, *(_row(part) for part in cross)], axis=2)
    blocks = row.swapaxes(1, 2) @ inverse @ row
    start = q
    for part in own:
        parents, k = part.shape[1:3]
        places = start + jnp.arange(parents * k).reshape(parents, k)
        blocks = blocks.at[:, places[:, :, None], places[:, None, :]].set(part)
        start += parents * k
    return blocks


def _row(part: Array) -> Array:
    units, parents, q, k = part.shape
    return part.transpose(0, 2, 1, 3).reshape(units, q, parents * k)


def with_wholes(
    found: list[Array],
    wholes: list[tuple[int, Array]],
    slope: ByUnit,
    masks: ByUnit,
    damping: DampingRecipe,
    good: Array,
    mesh: Mesh | None,
) -> tuple[ByUnit, Array]:
    """Solve the units that are factorised whole, scaled by their diagonals."""
    if not wholes:
        return tuple(found), good
    matrices, values, scales = [], [], []
    for position, part in wholes:
        diagonal = jnp.diagonal(part, axis1=1, axis2=2)
        seen = (diagonal > tiny(diagonal)) & (masks[position] > 0.0)
        scale = jnp.where(seen, 1.0 / jnp.sqrt(jnp.where(seen, diagonal, 1.0)), 0.0)
        good = good & (seen | (masks[position] == 0.0)).all()
        identity = jnp.eye(part.shape[1])
        standard = part * scale[:, :, None] * scale[:, None, :]
        matrices.append(standard * (1.0 - identity) + identity)
        values.append(slope[position] * scale)
        scales.append(scale)
    solutions, least = solved(matrices, values, mesh)
    for (position, _), solution, scale in zip(wholes, solutions, scales, strict=True):
        found[position] = solution * scale
    return tuple(found), good & (least > threshold(least, damping.tolerance))
