"""Directions: a differential raised by a metric made of one part a unit, damped, inside a compiled function.

The same as the tensors' `solve`, for the structures and dampings that `unsupported` does not name.
"""

from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.affine import AffineAt, AffineShape
from manifoldnet.compiler.backends.jax.recharted import RechartedAt
from manifoldnet.compiler.backends.jax.small import solved
from manifoldnet.compiler.backends.jax.structure import Structure
from manifoldnet.compiler.backends.jax.trace import Trace
from manifoldnet.compiler.recipes import DampingRecipe, Kept, MetricRecipe
from manifoldnet.linalg.entries import TINY
from manifoldnet.linalg.inverse import SINGULAR

Array = Any
ByUnit = tuple[Array, ...]


def unsupported(structure: Structure, recipe: MetricRecipe | None, damping: DampingRecipe) -> str | None:
    """Why steps of a metric with a damping cannot be compiled as one function; None where they can."""
    if recipe is None:
        return "a metric on all parameters at once, or without a recipe, is not compiled as a step"
    if damping.cut == "pseudo-inverse":
        return "PseudoInverse is solved by NumPy: its eigenvectors cost more than all the rest of a step"
    if recipe.structure in ("identity", "diagonal", "root"):
        return "Floor needs a metric with units" if damping.floor else None
    plain = all(isinstance(s, AffineShape) and s.is_scalar for s in structure.stages if s.has_parameters)
    if not plain or any(output.parameters for output in structure.outputs):
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
        return _by_diagonal(parts, slope, masks, damping, recipe.structure == "root")
    if recipe.structure == "quasi":
        return _by_entries(trace, inner, own, slope, masks, damping, weights / total, mesh)
    return _by_blocks(trace, inner, own, slope, masks, damping, weights / total, mesh)


def _parts(trace: Trace, inner: tuple, own: tuple, kept: Kept) -> list[Any]:
    return [*of.contracted(trace, inner, kept), *own]


def _by_diagonal(
    parts: list[Array], slope: ByUnit, masks: ByUnit, damping: DampingRecipe, root: bool
) -> tuple[ByUnit, Array]:
    found, good = [], jnp.array(True)
    for part, value, mask in zip(parts, slope, masks, strict=True):
        entries = part if part.ndim == 2 else jnp.diagonal(part, axis1=1, axis2=2)
        entries = (jnp.sqrt(entries) if root else entries) + damping.absolute
        kept = (entries > TINY) & (mask > 0.0)
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
            floor = _floor_entries(stage, modulus, shares) if wants_floor(damping) else None
            solution, fine = scalar_solved(_entries(stage, modulus), value, mask, damping, floor)
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
        wholes.append((position, _plus_identity(part, damping)))
        found.append(value)
    return _with_wholes(found, wholes, slope, masks, damping, good, mesh)


def wants_floor(damping: DampingRecipe) -> bool:
    return damping.floor > 0.0 or _compares(damping)


def _compares(damping: DampingRecipe) -> bool:
    """Whether the weighted variances of parents are compared with their plain ones, and those left alone that have none."""
    return damping.drops and not damping.absolute


Entries = tuple[Array, Array, Array]


def _entries(stage: AffineAt, modulus: Array) -> Entries:
    """A_00 (units,), A_0i and A_ii (units, parents)."""
    bias, cross, own = stage.quasi(modulus)
    return bias[:, 0, 0], _side_by_side(cross), _side_by_side(own)


def _side_by_side(parts: tuple) -> Array:
    flat = [part[:, :, 0, 0] for part in parts]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=1)


def _floor_entries(stage: AffineAt, modulus: Array, shares: Array) -> Entries:
    mean = modulus.sum(axis=0)
    return _entries(stage, shares[:, None, None, None] * mean)


def scalar_solved(
    entries: Entries, value: Array, mask: Array, damping: DampingRecipe, floor: Entries | None
) -> tuple[Array, Array]:
    standard = Standard(_damped(entries, mask, damping, floor), mask, damping, floor)
    scale = 1.0 / (1.0 + damping.relative)
    weights = (value[:, 1:] - standard.means * value[:, :1]) * standard.inverses * scale
    level = value[:, 0] * standard.bias * scale - (standard.means * weights).sum(axis=1)
    return jnp.concatenate([level[:, None], weights], axis=1), standard.good


def _sum(entries: Entries, added: Entries, factor: float) -> Entries:
    return entries[0] + factor * added[0], entries[1] + factor * added[1], entries[2] + factor * added[2]


def _damped(entries: Entries, mask: Array, damping: DampingRecipe, floor: Entries | None) -> Entries:
    if damping.floor and floor is not None:
        entries = _sum(entries, floor, damping.floor)
    bias, cross, own = entries
    return bias + damping.absolute, cross, own + damping.absolute * mask[:, 1:]


class Standard:
    """Units centred and scaled by their bias: 1/A_00, the means A_0i/A_00 and 1/C_ii, zero where dropped."""

    def __init__(self, entries: Entries, mask: Array, damping: DampingRecipe, floor: Entries | None) -> None:
        bias, cross, own = entries
        alive = bias > TINY
        self.means = cross / jnp.where(alive, bias, jnp.inf)[:, None]
        rests = own - cross * self.means
        kept = rests > damping.tolerance * own + TINY
        if floor is not None and _compares(damping):
            plain = _rests(floor)
            kept = kept & (rests > damping.rcond * plain) & (plain > SINGULAR * floor[2])
        kept = kept & alive[:, None] & (mask[:, 1:] > 0.0)
        self.kept = kept
        self.bias = jnp.where(alive, 1.0 / jnp.where(alive, bias, 1.0), 0.0)
        self.inverses = jnp.where(kept, 1.0 / jnp.where(kept, rests, 1.0), 0.0)
        fine = jnp.isfinite(bias)
        if not damping.drops:
            fine = fine & alive & (kept | (mask[:, 1:] == 0.0)).all(axis=1)
        self.good = fine.all()


def _rests(entries: Entries) -> Array:
    bias, cross, own = entries
    return own - cross * cross / jnp.where(bias > TINY, bias, jnp.inf)[:, None]


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
    found: list[Any] = list(slope)
    good, wholes = jnp.array(True), []
    systems: list[tuple[int, Any, Array, Array]] = []
    for position, (value, mask) in enumerate(zip(slope, masks, strict=True)):
        stage, modulus = _at(trace, position, inner)
        if isinstance(stage, AffineAt) and stage.shape.is_scalar:
            system = _system(stage, modulus, value, mask, damping, shares)
            good = good & system.good
            systems.append((position, system, system.matrix, system.value))
            continue
        part = _kept(trace, position, inner, own, "block")
        wholes.append((position, _plus_identity(part, damping)))
    solutions, least = solved([s[2] for s in systems], [s[3] for s in systems], mesh)
    for (position, system, _, _), solution in zip(systems, solutions, strict=True):
        found[position] = system.back(solution)
    good = good & (least > damping.tolerance)
    return _with_wholes(found, wholes, slope, masks, damping, good, mesh)


def _system(
    stage: AffineAt, modulus: Array, value: Array, mask: Array, damping: DampingRecipe, shares: Array
) -> "_Primal | _Dual":
    if _prefers_dual(stage, modulus, damping):
        return _Dual(stage, modulus, value, mask, damping)
    return _Primal(stage, modulus, value, mask, damping, shares)


def _prefers_dual(stage: AffineAt, modulus: Array, damping: DampingRecipe) -> bool:
    """Fewer samples than parameters of a unit: with eps Id added, the samples' Gram matrices are the smaller systems."""
    only_absolute = damping.absolute > 0.0 and not damping.relative and not damping.floor
    return only_absolute and len(modulus) < stage.shape.width - 1


class _Primal:
    """Blocks in standard coordinates, in which the bias stands alone."""

    def __init__(
        self, stage: AffineAt, modulus: Array, value: Array, mask: Array, damping: DampingRecipe, shares: Array
    ) -> None:
        blocks = stage.block(modulus)
        entries = blocks[:, 0, 0], blocks[:, 0, 1:], jnp.diagonal(blocks, axis1=1, axis2=2)[:, 1:]
        inside = blocks[:, 1:, 1:]
        floor = None
        if damping.floor:
            added = stage.block(shares[:, None, None, None] * modulus.sum(axis=0))
            floor = added[:, 0, 0], added[:, 0, 1:], jnp.diagonal(added, axis1=1, axis2=2)[:, 1:]
            inside = inside + damping.floor * added[:, 1:, 1:]
        elif wants_floor(damping):
            floor = _floor_entries(stage, modulus, shares)
        damped = _damped(entries, mask, damping, floor)
        standard = self._standard = Standard(damped, mask, damping, floor)
        self._relative = damping.relative
        self._scales = jnp.sqrt(standard.inverses)
        centred = inside - standard.means[:, :, None] * damped[1][:, None, :]
        scaled = centred * self._scales[:, :, None] * self._scales[:, None, :]
        # scaled, the diagonal is one; what is dropped or padded is kept out of the way
        identity = jnp.eye(scaled.shape[1])
        self.matrix = scaled * (1.0 - identity) + identity * (1.0 + damping.relative)
        self.value = (value[:, 1:] - standard.means * value[:, :1]) * self._scales
        self._first = value[:, 0]
        self.good = standard.good

    def back(self, solution: Array) -> Array:
        standard = self._standard
        weights = solution * self._scales
        level = self._first * standard.bias / (1.0 + self._relative) - (standard.means * weights).sum(axis=1)
        return jnp.concatenate([level[:, None], weights], axis=1)


class _Dual:
    """(eps + V^T V)^{-1} b = (b - V^T (eps + V V^T)^{-1} V b) / eps, with a row of V for each sample."""

    def __init__(self, stage: AffineAt, modulus: Array, value: Array, mask: Array, damping: DampingRecipe) -> None:
        self._eps = damping.absolute
        weights = jnp.sqrt(modulus[:, :, 0, 0]).T
        read = stage.shape.gathered(stage.numbers, stage.design)
        identity = jnp.eye(read.shape[0])
        if stage.shape.dense:
            self._rows, shared = None, read[:, 0]
            self._shared, self._weights = shared, weights
            gram = weights[:, :, None] * weights[:, None, :] * (shared @ shared.T)
            pulled = weights * (value @ shared.T)
        else:
            self._rows = read.transpose(1, 0, 2) * weights[:, :, None]
            gram = self._rows @ self._rows.swapaxes(1, 2)
            pulled = (self._rows @ value[..., None])[..., 0]
        matrix = gram + self._eps * identity
        self._scales = 1.0 / jnp.sqrt(jnp.diagonal(matrix, axis1=1, axis2=2))
        self.matrix = matrix * self._scales[:, :, None] * self._scales[:, None, :]
        self.value = pulled * self._scales
        self._b, self._mask, self.good = value, mask, jnp.array(True)

    def back(self, solution: Array) -> Array:
        dual = solution * self._scales
        pushed = dual * self._weights @ self._shared if self._rows is None else (dual[:, None, :] @ self._rows)[:, 0]
        return (self._b - pushed) / self._eps * self._mask


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


def _plus_identity(blocks: Array, damping: DampingRecipe) -> Array:
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


def _with_wholes(
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
        seen = (diagonal > TINY) & (masks[position] > 0.0)
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
    return tuple(found), good & (least > damping.tolerance)
