"""Online descent (section 1.3), compiled: samples one after another are one `lax.scan`, all stages at once.

Averages and kept inverses are held by the groups of the partition, as on the other backend: rows of all units share
one flat vector, since no two units share a parameter.
"""

from typing import Any, final

import attrs
import jax
import jax.numpy as jnp
import numpy
from jax import lax
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.along import natural_norm2
from manifoldnet.compiler.backends.jax.compilation import compiled
from manifoldnet.compiler.backends.jax.descent import mean_loss, moved
from manifoldnet.compiler.backends.jax.mesh import results
from manifoldnet.compiler.backends.jax.precision import in_precision
from manifoldnet.compiler.backends.jax.structure import Network, Structure, columns
from manifoldnet.compiler.backends.jax.systems import scalar_solved, wants_floor
from manifoldnet.compiler.backends.jax.trace import Trace, traced
from manifoldnet.compiler.recipes import OnlineRecipe

Array = Any
ByGroup = tuple[Any, ...]


@final
@attrs.frozen(cache_hash=True)
class Plan:
    """What a compiled run of samples depends on beside arrays."""

    structure: Structure
    recipe: OnlineRecipe
    length: int


@final
@attrs.frozen(eq=False)
class Kept:
    """Parameters by unit and what is averaged by group: blocks, damped blocks and inverses, or entries (A_00, A_0i, A_ii).

    `weights` are the averaged moduli by stage, `floor` what is made with them; both are empty where nothing asks for them.
    `good` is false from the first sample on that the other backend has to take.
    """

    theta: ByGroup
    blocks: ByGroup
    damped: ByGroup
    inverses: ByGroup
    entries: ByGroup
    weights: ByGroup
    floor: ByGroup
    good: Array


FIELDS = ["theta", "blocks", "damped", "inverses", "entries", "weights", "floor", "good"]
jax.tree_util.register_dataclass(Kept, data_fields=FIELDS, meta_fields=[])


def _flat(parts: ByGroup, places: Array) -> Array:
    """Arrays (k, units, width) by stage as (k, size)."""
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)[:, places]


def _gathered(flat: Array, index: tuple) -> ByGroup:
    """A flat vector, or rows of them (k, size), by group: (U, p), or (U, p, k)."""
    if flat.ndim == 1:
        return tuple(jnp.append(flat, 0.0)[part] for part in index)
    padded = jnp.pad(flat, ((0, 0), (0, 1)))
    return tuple(jnp.moveaxis(padded[:, part], 0, -1) for part in index)


def _unit_rows(trace: Trace, moduli: ByGroup, own: dict[str, Array], data: dict) -> ByGroup:
    """Rows U of each group with U U^T = (da/dtheta)^T m (da/dtheta), for moduli (1, units, d, d) by stage.

    The groups of output parameters come last, and have the rows that `own` says.
    """
    roots = [_root(moduli[index]) for index in of.with_parameters(trace)]
    most = max((len(root) for root in roots), default=1)
    parts = []
    for index, root in zip(of.with_parameters(trace), roots, strict=True):
        rows = trace.stages[index].rows(root)[:, 0]
        parts.append(jnp.pad(rows, ((0, most - len(rows)), (0, 0), (0, 0))))
    outputs = [output for output in trace.structure.outputs if output.parameters]
    parts += [jnp.zeros((most, 1, output.parameters)) for output in outputs]
    found = list(_gathered(_flat(tuple(parts), data["columns"]), data["index"]))
    for place, output in enumerate(outputs, start=len(found) - len(outputs)):
        if output.name in own:
            found[place] = own[output.name][:, 0].T[None]
    return tuple(found)


def _root(modulus: Array) -> Array:
    if modulus.shape[-1] == 1:
        return jnp.sqrt(jnp.maximum(modulus, 0.0))[None, ..., 0]
    values, vectors = jnp.linalg.eigh(modulus)
    return jnp.moveaxis(vectors * jnp.sqrt(jnp.maximum(values, 0.0))[..., None, :], -1, 0)


def _floor_rows(trace: Trace, weights: ByGroup, data: dict) -> ByGroup:
    affine = [float(of.is_affine(trace.structure, index)) for index in range(len(weights))]
    return _unit_rows(trace, tuple(a * w[None] for a, w in zip(affine, weights, strict=True)), {}, data)


def _mixed(old: Any, new: Any, gamma: Array) -> Any:
    return jax.tree.map(lambda a, b: (1.0 - gamma) * a + gamma * b, old, new)


def _squares(rows: ByGroup) -> ByGroup:
    return tuple(part @ part.swapaxes(1, 2) for part in rows)


def _entries(rows: ByGroup) -> ByGroup:
    """A_00, A_0i and A_ii of U U^T for every group, without forming it."""
    found = []
    for part in rows:
        first, rest = part[:, 0, :], part[:, 1:, :]
        found.append(((first**2).sum(axis=1), (rest * first[:, None, :]).sum(axis=2), (rest**2).sum(axis=2)))
    return tuple(found)


def _inverse(inverse: Array, rows: Array, gamma: Array) -> Array:
    """Sherman and Morrison's formula, or Woodbury's: as `manifoldnet.linalg.kept.inverse_updated`."""
    turned = inverse @ rows
    inner = rows.swapaxes(1, 2) @ turned + (1.0 - gamma) / gamma * jnp.eye(rows.shape[2])
    if rows.shape[2] == 1:
        change = (turned / inner) @ turned.swapaxes(1, 2)
    else:
        change = turned @ jnp.linalg.solve(inner, turned.swapaxes(1, 2))
        change = 0.5 * (change + change.swapaxes(1, 2))
    return (inverse - change) / (1.0 - gamma)


def _renewed(plan: Plan, trace: Trace, kept: Kept, sample: dict, data: dict) -> Kept:
    """The averages with one sample more (eq. 37)."""
    recipe, gamma, one = plan.recipe, data["gamma"], jnp.ones(1)
    if recipe.rows is not None:
        found = of.rows(trace, recipe.rows, sample["targets"])
        rows = _gathered(_flat(tuple(part[:, 0] for part in found), data["columns"]), data["index"])
    else:
        assert recipe.modulus is not None
        moduli = of.moduli(trace, recipe.modulus, sample["targets"], one)[0]
        rows = _unit_rows(trace, moduli, of.own_rows(trace, recipe.modulus, sample["targets"]), data)
    weights, floor = kept.weights, kept.floor
    if kept.floor:
        weights = _mixed(weights, tuple(part[0] for part in moduli), gamma)
        added = _floor_rows(trace, weights, data)
        floor = _mixed(floor, _entries(added) if recipe.is_reduced else _squares(added), gamma)
    if recipe.is_reduced:
        return attrs.evolve(kept, entries=_mixed(kept.entries, _entries(rows), gamma), weights=weights, floor=floor)
    squares = _squares(rows)
    return attrs.evolve(
        kept,
        blocks=_mixed(kept.blocks, squares, gamma),
        damped=_mixed(kept.damped, squares, gamma),
        inverses=tuple(_inverse(a, u, gamma) for a, u in zip(kept.inverses, rows, strict=True)),
        weights=weights,
        floor=floor,
    )


def _solved(plan: Plan, kept: Kept, slope: Array, data: dict) -> tuple[Array, Array]:
    """The direction, flat, and whether there is one."""
    parts, good = _gathered(slope, data["index"]), jnp.array(True)
    found = jnp.zeros(len(slope) + 1)
    for number, (index, part) in enumerate(zip(data["index"], parts, strict=True)):
        if plan.recipe.is_reduced:
            damping = plan.recipe.damping
            floor = kept.floor[number] if kept.floor and wants_floor(damping) else None
            mask = (index < len(slope)).astype(float)
            values, fine = scalar_solved(kept.entries[number], part, mask, damping, floor)
            good = good & fine
        else:
            values = (kept.inverses[number] @ part[..., None])[..., 0]
        found = found.at[index].set(values)
    return found[:-1], good & jnp.isfinite(found).all()


def _step(plan: Plan, arrays: dict, data: dict, kept: Kept, sample: dict) -> tuple[Kept, tuple]:
    one = {"weights": jnp.ones(1), "total": 1.0, "targets": sample["targets"]}
    trace = traced(plan.structure, arrays, kept.theta, sample["points"])
    loss = mean_loss(trace, one)
    slope = _flat(tuple(p[None] for p in of.differential(trace, sample["targets"], one["weights"])), data["columns"])[0]
    new = _renewed(plan, trace, kept, sample, data)
    flat, good = _solved(plan, new, slope, data)
    direction = tuple(jnp.append(flat, 0.0)[part] for part in data["tangents"])
    foretold = slope @ flat
    squared = jnp.maximum(foretold, natural_norm2(trace, direction, one["weights"]))
    limit = jnp.where(squared > 0.0, sample["radius"] / jnp.sqrt(jnp.where(squared > 0.0, squared, 1.0)), jnp.inf)
    rate = sample["factor"] * jnp.minimum(sample["rate"], limit)
    there = moved(plan.structure, kept.theta, direction, rate)
    reached = mean_loss(traced(plan.structure, arrays, there, sample["points"]), one)
    slack, fall = data["slack"] * (1.0 + jnp.abs(loss)), loss - reached
    # what is not finite compares false, so that the other backend takes such a step and tells why
    least, most = (data[name] * rate * foretold for name in ("least_fall", "most_fall"))
    fine = (fall >= least - slack) & (fall <= most + slack) & jnp.isfinite(squared)
    good = good & fine & jnp.isfinite(slope).all()
    ahead = attrs.evolve(new, theta=there, good=jnp.array(True))
    stopped = attrs.evolve(kept, good=jnp.array(False))
    after = jax.tree.map(lambda a, b: jnp.where(good, a, b), ahead, stopped)
    return after, (after.theta, loss, rate, good)


@compiled(0)
def _run(plan: Plan, arrays: dict, kept: Kept, samples: dict, data: dict, limit: Array) -> Any:
    def body(carried: Kept, each: tuple) -> tuple[Kept, tuple]:
        number, sample = each
        nothing = carried.theta, jnp.zeros(()), jnp.zeros(()), jnp.array(False)
        return lax.cond(
            (number < limit) & carried.good,
            lambda: _step(plan, arrays, data, carried, sample),
            lambda: (carried, nothing),
        )

    return lax.scan(body, kept, (jnp.arange(plan.length), samples))


@final
@attrs.frozen(eq=False)
class Reached:
    """What a run of samples came to: what is kept after it, and for each sample taken parameters, loss and rate."""

    kept: Kept
    flat: NDArray
    losses: NDArray
    rates: NDArray


@final
@attrs.frozen(eq=False, slots=False)
class OnlineRuns:
    """A network ready for compiled runs of at most `length` samples."""

    network: Network
    plan: Plan
    data: dict[str, Any]

    @property
    def length(self) -> int:
        return self.plan.length

    def run(self, flat: NDArray, averages: dict[str, ByGroup], samples: dict[str, Any], limit: int) -> Reached:
        """Take at most `limit` samples from flat parameters and averages on; fewer where one is not to be taken so.

        `samples` has `points` and `targets` (length, 1, ...), `rate`, `radius` and `factor` (length,).
        """
        packing = self.network.packing
        kept = Kept(theta=packing.parameters(flat), good=numpy.bool_(True), **averages)
        with in_precision(self.network.precision):
            found = _run(self.plan, self.network.arrays, kept, samples, self.data, numpy.int64(limit))
            kept, (theta, losses, rates, good) = results(found)
        taken = int(good.sum())
        side_by_side = numpy.concatenate([part.reshape(len(part), -1) for part in theta], axis=1)
        places = columns(packing.stored, packing.stored_size)
        return Reached(kept, side_by_side[:taken].take(places, axis=1), losses[:taken], rates[:taken])


def online_runs(
    network: Network, recipe: OnlineRecipe, index: tuple[NDArray, ...], length: int, numbers: dict[str, float]
) -> OnlineRuns:
    """Compiled runs of at most `length` samples, for the groups that `index` gives the positions of."""
    packing = network.packing
    data = {
        "index": index,
        "tangents": packing.tangents,
        "columns": columns(packing.tangents, packing.size),
        **{name: numpy.float64(value) for name, value in numbers.items()},
    }
    return OnlineRuns(network, Plan(network.structure, recipe, length), data)


__all__ = ["OnlineRuns", "online_runs"]
