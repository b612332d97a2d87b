"""The compiled evaluations: pure functions of a structure and of arrays. All sums are over samples, each with its weight.

A weight of 0 makes a sample a mere filling, so that batches of different sizes can share what is compiled.
"""

from typing import Any

import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.affine import AffineShape
from manifoldnet.compiler.backends.jax.general import GeneralShape
from manifoldnet.compiler.backends.jax.recharted import RechartedShape
from manifoldnet.compiler.backends.jax.squares import squared, squared_outputs
from manifoldnet.compiler.backends.jax.structure import Structure
from manifoldnet.compiler.backends.jax.trace import Seeds, Trace, traced
from manifoldnet.compiler.recipes import Kept, ModulusRecipe, RowsRecipe

Array = Any
Parts = tuple[Any, ...]


def escapes(trace: Trace) -> tuple[Array, ...]:
    """The activities of the stages that could leave their manifold, which are looked at outside."""
    pairs = zip(trace.structure.stages, trace.stages, strict=True)
    return tuple(stage.points for shape, stage in pairs if shape.may_leave)


def with_parameters(trace: Trace) -> list[int]:
    """The positions of the stages that have parameters."""
    return [index for index, shape in enumerate(trace.structure.stages) if shape.has_parameters]


def sample_losses(trace: Trace, targets: dict[str, Array]) -> Array:
    """The loss of each sample, summed over interpretations."""
    return sum(reading.loss(targets[name]) for name, reading in trace.readings.items())


def differential(trace: Trace, targets: dict[str, Array], weights: Array) -> Parts:
    """The sum over samples of dl/dtheta, by unit (eqs. 8, 92, with their signs turned)."""
    seeds, own = {}, []
    for name in trace.readings:
        score = trace.score(name, targets[name])
        seeds[name] = score.outputs[None] * weights[:, None]
        if score.parameters is not None:
            own.append((score.parameters * weights[:, None]).sum(axis=0)[None])
    pulled = trace.pull_back_covectors(seeds)
    return (*(trace.stages[i].gradient(pulled.inner[i][0]) for i in with_parameters(trace)), *own)


def row_seeds(trace: Trace, recipe: RowsRecipe, targets: dict[str, Array]) -> tuple[Seeds, dict[str, Array]]:
    """Covectors on output numbers (k, samples, n) and on output parameters (k, samples, p), by interpretation.

    For drawn rows, targets have the draws before the samples.
    """
    if recipe.source == "fisher":
        return _fisher_seeds(trace)
    scores = {}
    for name, reading in trace.readings.items():
        drawn = list(targets[name]) if recipe.source == "drawn" else [targets[name]]
        scores[name] = [reading.score(one) for one in drawn]
    weight = 1.0 if recipe.source == "targets" else recipe.draws**-0.5
    outputs = {name: weight * jnp.stack([s.outputs for s in found]) for name, found in scores.items()}
    own = {
        name: weight * jnp.stack([s.parameters for s in found])
        for name, found in scores.items()
        if found[0].parameters is not None
    }
    return outputs, own


def _fisher_seeds(trace: Trace) -> tuple[Seeds, dict[str, Array]]:
    factors = {name: reading.factor() for name, reading in trace.readings.items()}
    total = sum(factor.rows for factor in factors.values())
    outputs, own, start = {}, {}, 0
    for name, factor in factors.items():
        # several interpretations side by side: their contributions add, so each has rows of its own
        outputs[name] = _among(factor.outputs, start, total)
        if factor.parameters is not None:
            own[name] = _among(factor.parameters, start, total)
        start += factor.rows
    return outputs, own


def _among(rows: Array, start: int, total: int) -> Array:
    return jnp.pad(rows, ((start, total - start - len(rows)), (0, 0), (0, 0)))


def rows(trace: Trace, recipe: RowsRecipe, targets: dict[str, Array]) -> Parts:
    """The rows of each sample over all parameters, by unit, (k, samples, units, width) each."""
    seeds, own = row_seeds(trace, recipe, targets)
    pulled = trace.pull_back_covectors(seeds)
    count = len(next(iter(seeds.values())))
    found = [trace.stages[i].rows(pulled.inner[i]) for i in with_parameters(trace)]
    for output in trace.structure.outputs:
        if output.parameters:
            part = own.get(output.name, jnp.zeros((count, trace.samples, output.parameters)))
            found.append(part[:, :, None, :])
    return tuple(found)


def moduli(trace: Trace, recipe: ModulusRecipe, targets: dict[str, Array], weights: Array) -> tuple[Parts, Parts]:
    """The modulus of every unit times each sample's weight, stage by stage, and the blocks of output parameters."""
    if recipe.rows is None:
        blocks: Parts = ()
        if any(output.parameters for output in trace.structure.outputs):
            blocks = _output_blocks(trace, _fisher_seeds(trace)[1], weights)
        return trace.pull_back_moduli(weights).inner, blocks
    own: dict[str, Array] = {}
    squares = squared_outputs(trace) if recipe.rows.source == "fisher" else None
    if squares is None:
        seeds, own = row_seeds(trace, recipe.rows, targets)
        squares = tuple(squared(inner) for inner in trace.pull_back_covectors(seeds).inner)
    return tuple(part * weights[:, None, None, None] for part in squares), _output_blocks(trace, own, weights)


def own_rows(trace: Trace, recipe: ModulusRecipe, targets: dict[str, Array]) -> dict[str, Array]:
    """Rows (k, samples, p) whose squares sum to the blocks of output parameters, by interpretation."""
    if not any(output.parameters for output in trace.structure.outputs):
        return {}
    return (_fisher_seeds(trace) if recipe.rows is None else row_seeds(trace, recipe.rows, targets))[1]


def _output_blocks(trace: Trace, own: dict[str, Array], weights: Array) -> Parts:
    parts = [own[output.name] for output in trace.structure.outputs if output.name in own]
    return tuple(jnp.einsum("ksp,ksq->pq", part * weights[:, None], part)[None] for part in parts)


def contracted(trace: Trace, inner: Parts, kept: Kept, unformed: tuple[int, ...] = ()) -> Parts:
    """What is kept of the block of each stage with parameters, for these moduli.

    Blocks of stages at the positions `unformed` are left as what they are made of.
    """
    stages = [(trace.stages[i], inner[i]) for i in with_parameters(trace)]
    if kept == "block":
        return tuple(
            stage.products.weighted_reads(modulus) if position in unformed else stage.block(modulus)  # type: ignore[attr-defined]
            for position, (stage, modulus) in enumerate(stages)
        )
    if kept == "quasi":
        return tuple(stage.quasi(modulus) for stage, modulus in stages)
    return tuple(stage.diagonal(modulus) for stage, modulus in stages)


def averages(
    trace: Trace,
    recipe: ModulusRecipe,
    kept: Kept,
    unformed: tuple[int, ...],
    targets: dict[str, Array],
    weights: Array,
) -> tuple[Parts, Parts]:
    """Sums of what is kept, output parameters last; and sums of the moduli of every stage."""
    inner, blocks = moduli(trace, recipe, targets, weights)
    totals = tuple(part.sum(axis=0) for part in inner)
    return (*contracted(trace, inner, kept, unformed), *blocks), totals


def floor(trace: Trace, means: Parts, kept: Kept, unformed: tuple[int, ...], weights: Array) -> Parts:
    """Sums of E[c] a~ a~^T of the stages with parameters, zero where they are not affine; `means` are by stage."""
    inner: list[Array] = [None] * len(trace.stages)
    for index in with_parameters(trace):
        mean = means[index] * float(is_affine(trace.structure, index))
        inner[index] = weights[:, None, None, None] * mean
    return contracted(trace, tuple(inner), kept, unformed)


def is_affine(structure: Structure, index: int) -> bool:
    """Whether the units of a stage are affine, however it was lowered."""
    shape = structure.stages[index]
    if isinstance(shape, GeneralShape):
        return shape.affine_blocks is not None
    return isinstance(shape, AffineShape | RechartedShape)


def outer_covectors(trace: Trace, seeds: Seeds) -> dict[str, Array]:
    """Covectors at every layer but the inputs, in outer coordinates, direct terms included."""
    outer = dict(trace.pull_back_covectors(seeds).outer)
    for (layer, scale), values in trace.on_layers(seeds).items():
        direct = trace.outer_rate(layer, scale).pull(values)
        outer[layer] = outer[layer] + direct if layer in outer else direct
    count = len(next(iter(seeds.values())))
    return _filled(trace, outer, lambda layer: (count, trace.samples, layer.size, layer.space.dim))


def outer_moduli(trace: Trace) -> dict[str, Array]:
    """Backpropagated moduli at every layer but the inputs, in outer coordinates, direct terms included."""
    outer = dict(trace.pull_back_moduli().outer)
    for (layer, scale), blocks in trace.direct_numbers().items():
        direct = trace.outer_rate(layer, scale).pull_modulus(blocks)
        outer[layer] = outer[layer] + direct if layer in outer else direct
    return _filled(trace, outer, lambda layer: (trace.samples, layer.size, layer.space.dim, layer.space.dim))


def _filled(trace: Trace, outer: dict[str, Array], shape: Any) -> dict[str, Array]:
    """Zero where nothing comes back to a layer; inputs are left out, since no parameter precedes them."""
    layers = [layer for layer in trace.structure.layers if not layer.is_input]
    return {layer.name: outer.get(layer.name, jnp.zeros(shape(layer))) for layer in layers}


__all__ = [
    "averages",
    "contracted",
    "differential",
    "escapes",
    "floor",
    "moduli",
    "outer_covectors",
    "outer_moduli",
    "own_rows",
    "row_seeds",
    "rows",
    "sample_losses",
    "traced",
]
