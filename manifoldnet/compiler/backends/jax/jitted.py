"""Each evaluation as one compiled function: what is static is hashed, all else is traced."""

from typing import Any

import jax
import jax.numpy as jnp

from manifoldnet.compiler.backends.jax import along
from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.compilation import compiled
from manifoldnet.compiler.backends.jax.evaluations import traced
from manifoldnet.compiler.backends.jax.structure import Structure
from manifoldnet.compiler.recipes import Kept, ModulusRecipe, RowsRecipe

Array = Any


@compiled(0)
def outputs(structure: Structure, arrays: dict, theta: tuple, points: dict) -> Any:
    """omega by interpretation."""
    trace = traced(structure, arrays, theta, points)
    return {name: reading.point() for name, reading in trace.readings.items()}, of.escapes(trace)


@compiled(0)
def numbers(structure: Structure, arrays: dict, theta: tuple, points: dict) -> Any:
    """Output numbers z by interpretation."""
    trace = traced(structure, arrays, theta, points)
    return {name: reading.z for name, reading in trace.readings.items()}, of.escapes(trace)


def scales(structure: Structure, arrays: dict, theta: tuple, points: dict) -> dict[str, Any]:
    """The scale on which each interpretation reads; known without computing anything."""
    found: dict[str, Any] = {}

    def look(arrays: dict, theta: tuple, points: dict) -> Array:
        for name, reading in traced(structure, arrays, theta, points).readings.items():
            found[name] = reading.scale
        return jnp.zeros(())

    jax.eval_shape(look, arrays, theta, points)
    return found


@compiled(0)
def losses(structure: Structure, arrays: dict, theta: tuple, points: dict, targets: dict) -> Any:
    """The loss of each sample."""
    trace = traced(structure, arrays, theta, points)
    return of.sample_losses(trace, targets), of.escapes(trace)


@compiled(0)
def differential(structure: Structure, arrays: dict, theta: tuple, points: dict, targets: dict, weights: Array) -> Any:
    """The sum of dl/dtheta by unit."""
    trace = traced(structure, arrays, theta, points)
    return of.differential(trace, targets, weights), of.escapes(trace)


@compiled(0, 1, 2, 3)
def averages(
    structure: Structure,
    recipe: ModulusRecipe,
    kept: Kept,
    unformed: tuple[int, ...],
    arrays: dict,
    theta: tuple,
    points: dict,
    targets: dict,
    weights: Array,
) -> Any:
    """Sums of what is kept of the blocks, and of the moduli."""
    trace = traced(structure, arrays, theta, points)
    return of.averages(trace, recipe, kept, unformed, targets, weights), of.escapes(trace)


@compiled(0, 1, 2)
def floor(
    structure: Structure,
    kept: Kept,
    unformed: tuple[int, ...],
    arrays: dict,
    theta: tuple,
    points: dict,
    means: tuple,
    weights: Array,
) -> Any:
    """Sums of what Floor damping adds."""
    trace = traced(structure, arrays, theta, points)
    return of.floor(trace, means, kept, unformed, weights), of.escapes(trace)


@compiled(0, 1)
def rows(structure: Structure, recipe: RowsRecipe, arrays: dict, theta: tuple, points: dict, targets: dict) -> Any:
    """The rows of each sample by unit."""
    trace = traced(structure, arrays, theta, points)
    return of.rows(trace, recipe, targets), of.escapes(trace)


@compiled(0, 1)
def gram(
    structure: Structure,
    recipe: RowsRecipe,
    arrays: dict,
    theta: tuple,
    points: dict,
    targets: dict,
    columns: tuple,
    weights: Array,
) -> Any:
    """The sum of the rows' outer products, (size, size); `columns` say where the flat tangent's entries stand."""
    trace = traced(structure, arrays, theta, points)
    found = of.rows(trace, recipe, targets)
    by_row = [part.reshape(*part.shape[:2], -1) for part in found]
    flat = jnp.concatenate(by_row, axis=2)[:, :, columns].reshape(-1, len(columns))
    each = jnp.broadcast_to(weights, by_row[0].shape[:2]).reshape(-1, 1)
    return (flat * each).T @ flat, of.escapes(trace)


@compiled(0)
def natural_products(
    structure: Structure, arrays: dict, theta: tuple, points: dict, tangents: tuple, weights: Array
) -> Any:
    """The sums of the natural inner products of tangents."""
    trace = traced(structure, arrays, theta, points)
    return along.natural_products(trace, tangents, weights), of.escapes(trace)


@compiled(0)
def activities(structure: Structure, arrays: dict, theta: tuple, points: dict) -> Any:
    """The activity of every unit."""
    trace = traced(structure, arrays, theta, points)
    return dict(trace.points), of.escapes(trace)


@compiled(0)
def outer_covectors(structure: Structure, arrays: dict, theta: tuple, points: dict, seeds: dict) -> Any:
    """Covectors at every layer."""
    trace = traced(structure, arrays, theta, points)
    return of.outer_covectors(trace, seeds), of.escapes(trace)


@compiled(0)
def outer_moduli(structure: Structure, arrays: dict, theta: tuple, points: dict) -> Any:
    """Backpropagated moduli at every layer."""
    trace = traced(structure, arrays, theta, points)
    return of.outer_moduli(trace), of.escapes(trace)


@compiled(0, 1)
def seeds(structure: Structure, recipe: RowsRecipe, arrays: dict, theta: tuple, points: dict, targets: dict) -> Any:
    """The covectors on output numbers that a recipe starts from."""
    trace = traced(structure, arrays, theta, points)
    return dict(of.row_seeds(trace, recipe, targets)[0]), of.escapes(trace)
