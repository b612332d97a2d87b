"""Affine units of one dimension: what is kept of their blocks, damped, centred and scaled by their bias."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.affine import AffineAt
from manifoldnet.compiler.backends.jax.precision import root_threshold, threshold, tiny
from manifoldnet.compiler.recipes import DampingRecipe
from manifoldnet.linalg.inverse import SINGULAR

Array = Any


def wants_floor(damping: DampingRecipe) -> bool:
    return damping.floor > 0.0 or _compares(damping)


def _compares(damping: DampingRecipe) -> bool:
    """Whether the weighted variances of parents are compared with their plain ones, and those left alone that have none."""
    return damping.drops and not damping.absolute


Entries = tuple[Array, Array, Array]


def entries_at(stage: AffineAt, modulus: Array) -> Entries:
    """A_00 (units,), A_0i and A_ii (units, parents)."""
    bias, cross, own = stage.quasi(modulus)
    return bias[:, 0, 0], _joined(cross), _joined(own)


def _joined(parts: Sequence[Array]) -> Array:
    """Numbers of each width of parent, (units, parents, 1...), side by side."""
    flat = [part.reshape(part.shape[:2]) for part in parts]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=1)


def level_entries(stage: AffineAt, mean: Array, shares: Array) -> Entries:
    """The entries for one modulus (units, 1, 1) on all samples, each of which counts by its share."""
    weights, read = mean[:, 0, 0], stage.design
    cross, own = (stage.products.by_unit((shares @ values)[:, None] * weights) for values in (read, read * read))
    return weights * shares.sum(), _joined(cross), _joined(own)


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
        alive = bias > tiny(bias)
        self.means = cross / jnp.where(alive, bias, jnp.inf)[:, None]
        rests = own - cross * self.means
        kept = rests > threshold(own, damping.tolerance) * own + tiny(own)
        if floor is not None and _compares(damping):
            plain = _rests(floor)
            kept = (
                kept
                & (rests > root_threshold(own, damping.rcond) * plain)
                & (plain > threshold(own, SINGULAR) * floor[2])
            )
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
    return own - cross * cross / jnp.where(bias > tiny(bias), bias, jnp.inf)[:, None]


def entries_of_blocks(blocks: Array) -> Entries:
    """A_00, A_0i and A_ii of blocks (units, width, width) of units of one dimension."""
    return blocks[:, 0, 0], blocks[:, 0, 1:], jnp.diagonal(blocks, axis1=1, axis2=2)[:, 1:]


class Primal:
    """Blocks in standard coordinates, in which the bias stands alone.

    `floor` is what Floor adds, in blocks, or its entries where it is only compared with.
    """

    def __init__(self, blocks: Array, floor: Any, value: Array, mask: Array, damping: DampingRecipe) -> None:
        inside = blocks[:, 1:, 1:]
        if damping.floor:
            inside = inside + damping.floor * floor[:, 1:, 1:]
            floor = entries_of_blocks(floor)
        damped = _damped(entries_of_blocks(blocks), mask, damping, floor)
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


class Dual:
    """(eps + V^T V)^{-1} b = (b - V^T (eps + V V^T)^{-1} V b) / eps, with a row of V for each sample."""

    def __init__(self, stage: AffineAt, modulus: Array, value: Array, mask: Array, damping: DampingRecipe) -> None:
        self._eps = damping.absolute
        weights = jnp.sqrt(modulus[:, :, 0, 0]).T
        read = stage.products.gathered()
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
