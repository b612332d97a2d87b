"""Steps on batches with an averaged metric and a trust radius, compiled: one after another they are one `lax.scan`."""

from functools import cached_property, partial
from typing import Any, final

import attrs
import jax
import jax.numpy as jnp
import numpy
from jax import lax
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.along import Motion, ahead, motion, products_of
from manifoldnet.compiler.backends.jax.averaging import Averaged, batch_average, nothing, raised, renewed
from manifoldnet.compiler.backends.jax.descent import mean_loss, moved
from manifoldnet.compiler.backends.jax.exchange import blocks_by_unit, blocks_from, entries_by_unit, entries_from
from manifoldnet.compiler.backends.jax.mesh import to_numpy
from manifoldnet.compiler.backends.jax.solving import is_plain, unsupported
from manifoldnet.compiler.backends.jax.structure import Network, Structure, columns
from manifoldnet.compiler.backends.jax.trace import Trace, traced
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.recipes import DampingRecipe, MetricRecipe, StepRules

Array = Any
ByUnit = tuple[Any, ...]


@final
@attrs.frozen(cache_hash=True)
class Plan:
    """What a compiled run of steps depends on beside arrays."""

    structure: Structure
    recipe: MetricRecipe
    damping: DampingRecipe
    rules: StepRules
    momentum: bool
    length: int


@final
@attrs.frozen(eq=False)
class Carried:
    """Parameters by unit, the averaged metric, and of the steps before the last one and the shares that parameters take.

    Where there is no last step it is zero, and where all take all of theirs the shares are one. `good` is false after a step
    that the other backend has to take, and all else is of no use then.
    """

    theta: ByUnit
    average: Averaged
    last: ByUnit
    shares: ByUnit
    good: Array


jax.tree_util.register_dataclass(Carried, data_fields=["theta", "average", "last", "shares", "good"], meta_fields=[])


def _dot(first: ByUnit, second: ByUnit) -> Array:
    return sum(jnp.vdot(a, b) for a, b in zip(first, second, strict=True))


def _towards(plan: Plan, trace: Trace, slope: ByUnit, own: ByUnit, last: ByUnit, shares: Array) -> tuple[Motion, Any]:
    """The motion to go against, and its slope and squared length: as `manifoldnet.learning.momentum.towards`."""
    along = motion(trace, own)
    first = _dot(slope, own)
    if not plan.momentum:
        return along, (first, products_of(trace, [along], shares)[0, 0])
    before = motion(trace, last)
    second = _dot(slope, last)
    products = products_of(trace, [along, before], shares)
    a, b = _parts(plan, products, first, second)
    squared = a * a * products[0, 0] + 2.0 * a * b * products[0, 1] + b * b * products[1, 1]
    return along.combined(a, before, b), (a * first + b * second, squared)


def _parts(plan: Plan, products: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """The coefficients of two directions where the quadratic model is least; (1, 0) where they are not apart."""
    one, other, cross = products[0, 0], products[1, 1], products[0, 1]
    seen = (one > 0.0) & (other > 0.0)
    d, v = (jnp.sqrt(jnp.where(seen, each, 1.0)) for each in (one, other))
    cosine = cross / (d * v)
    rest = 1.0 - cosine * cosine
    apart = seen & (rest > plan.rules.parallel)
    rest = jnp.where(apart, rest, 1.0)
    a, b = (first / d - cosine * second / v) / rest / d, (second / v - cosine * first / d) / rest / v
    return jnp.where(apart, a, 1.0), jnp.where(apart, b, 0.0)


@final
@attrs.frozen(eq=False)
class _Tried:
    """A part of a step: how many were tried before it, what it is, and the loss there."""

    tries: Array
    part: Array
    loss: Array
    fine: Array


jax.tree_util.register_dataclass(_Tried, data_fields=["tries", "part", "loss", "fine"], meta_fields=[])


def _descended(
    plan: Plan, trace: Trace, along: Motion, foretold: Array, rate: Array, loss: Array, batch: dict
) -> _Tried:
    """The largest part of a step whose loss falls as foretold: as `manifoldnet.learning.descending.descended`.

    Where a loss on the way is not finite, which the other backend explains, nothing farther is tried.
    """
    rules = plan.rules
    factors, slack = 0.5 ** jnp.array(rules.halvings, float), rules.slack * (1.0 + jnp.abs(loss))

    def tried(before: _Tried) -> _Tried:
        part = rate * factors[before.tries]
        there = moved(plan.structure, trace.parameters, along.tangent, part)
        reached = mean_loss(ahead(trace, there, along, part), batch)
        fall = loss - reached
        least, most = rules.least_fall * part * foretold, rules.most_fall * part * foretold
        return _Tried(before.tries + 1, part, reached, (fall >= least - slack) & (fall <= most + slack))

    def goes_on(found: _Tried) -> Array:
        return ~found.fine & jnp.isfinite(found.loss) & (found.tries < len(rules.halvings))

    return lax.while_loop(goes_on, tried, _Tried(jnp.array(0), rate, loss, jnp.array(False)))


def _averaged(plan: Plan, trace: Trace, old: Averaged, batch: dict, weight: Array) -> Averaged:
    shares = batch["weights"] / batch["total"]
    return lax.cond(
        weight > 0.0,
        lambda: renewed(old, batch_average(trace, plan.recipe, plan.damping, batch["targets"], shares), weight),
        lambda: old,
    )


def _batch(pool: dict, step: dict) -> dict:
    """The samples of a step; those that only fill it up weigh nothing."""
    rows = step["rows"]
    chosen = jax.tree.map(lambda part: part.at[rows].get(mode="promise_in_bounds"), pool)
    weights = (jnp.arange(len(rows)) < step["count"]).astype(float)
    return {**chosen, "weights": weights, "total": step["count"].astype(float)}


def _step(plan: Plan, arrays: dict, masks: ByUnit, pool: dict, carried: Carried, step: dict) -> tuple[Carried, tuple]:
    batch = _batch(pool, step)
    trace = traced(plan.structure, arrays, carried.theta, batch["points"])
    loss = mean_loss(trace, batch)
    shares = batch["weights"] / batch["total"]
    slope = of.differential(trace, batch["targets"], shares)
    average = _averaged(plan, trace, carried.average, batch, step["weight"])
    direction, good = raised(plan.structure, average, plan.recipe, plan.damping, slope, masks)
    own = tuple(share * part for share, part in zip(carried.shares, direction, strict=True))
    along, (foretold, squared) = _towards(plan, trace, slope, own, carried.last, shares)
    rate = step["left"] * jnp.minimum(step["fraction"] * foretold / squared, step["radius"] / jnp.sqrt(squared))
    found = _descended(plan, trace, along, foretold, rate, loss, batch)
    there = moved(plan.structure, carried.theta, along.tangent, found.part)
    # what is not finite, moves nothing or stands still is the other backend's: not finite compares false
    good = good & found.fine & (squared > 0.0) & (found.part > 0.0) & (found.part >= plan.rules.standstill * rate)
    good = good & jnp.isfinite(foretold) & jnp.isfinite(_dot(there, there))
    last = tuple(found.part * part for part in along.tangent) if plan.momentum else carried.last
    grown = tuple(jnp.minimum(1.0, plan.rules.growth * part) for part in carried.shares)
    return Carried(there, average, last, grown, good), (there, loss, found.part, good)


@partial(jax.jit, static_argnums=0)
def _run(plan: Plan, arrays: dict, masks: ByUnit, carried: Carried, pool: dict, steps: dict, limit: Array) -> Any:
    """At most `limit` steps, up to the first that is not good; a loop that ends there needs no way around its body."""

    def body(at: tuple) -> tuple:
        number, carried, log = at
        step = jax.tree.map(lambda part: lax.dynamic_index_in_dim(part, number, keepdims=False), steps)
        carried, told = _step(plan, arrays, masks, pool, carried, step)
        return number + 1, carried, jax.tree.map(lambda whole, part: whole.at[number].set(part), log, told)

    def goes_on(at: tuple) -> Array:
        return (at[0] < limit) & at[1].good

    # what no step writes is not read either
    places = tuple(lax.empty((plan.length, *part.shape), part.dtype) for part in carried.theta)
    nothing = jnp.zeros(plan.length)
    log = places, nothing, nothing, nothing > 0.0
    return lax.while_loop(goes_on, body, (jnp.array(0), carried, log))[1:]


@final
@attrs.frozen(eq=False)
class Reached:
    """What a run of steps came to: for each step taken parameters, loss and rate, and what is carried on.

    Nothing can be carried on where a step was not to be taken so: a run of just those before it can.
    """

    carried: Carried
    flat: NDArray
    losses: NDArray
    rates: NDArray


@final
@attrs.frozen(eq=False, slots=False)
class MinibatchRuns:
    """A network ready for compiled runs of at most `length` steps."""

    network: Network
    plan: Plan

    @property
    def length(self) -> int:
        return self.plan.length

    def held(self, pool: dict[str, Any]) -> dict[str, Any]:
        """A pool where steps can take samples from it again and again."""
        with jax.enable_x64(True):
            found: dict[str, Any] = jax.device_put(pool)
        return found

    def begun(
        self, lowered: Lowered, flat: NDArray, average: Any, last: NDArray | None, shares: NDArray | None
    ) -> Carried:
        """Where steps go on from: flat parameters, an average as `average_of` gives it (None: of no batches), flat tangents."""
        packing, recipe, damping = self.network.packing, self.plan.recipe, self.plan.damping
        averaged = nothing(packing, recipe, damping)
        if average is not None and recipe.structure != "identity":
            parts, floor = (self._by_unit(lowered, values) for values in average)
            averaged = Averaged(parts, floor if averaged.floor else ())
        return Carried(
            packing.parameters(flat),
            averaged,
            packing.vectors(numpy.zeros(packing.size) if last is None else last),
            packing.vectors(numpy.ones(packing.size) if shares is None else shares),
            numpy.bool_(True),
        )

    def average_of(self, lowered: Lowered, carried: Carried) -> tuple[Any, Any]:
        """The averaged metric and its floor: a flat diagonal, or what is kept of each group of the partition; else None."""
        if self.plan.recipe.structure == "identity":
            return numpy.ones(self.network.packing.size), None
        averaged = jax.tree.map(to_numpy, carried.average)
        floor = self._by_group(lowered, averaged.floor) if averaged.floor else None
        return self._by_group(lowered, averaged.parts), floor

    def past_of(self, carried: Carried) -> tuple[NDArray | None, NDArray | None]:
        """The last step and the shares of steps, flat; None where there is no last one, and where all take all of theirs."""
        last, shares = (
            self.network.packing.flat_vector(jax.tree.map(to_numpy, part)) for part in (carried.last, carried.shares)
        )
        return last if last.any() else None, shares if (shares < 1.0).any() else None

    def _by_group(self, lowered: Lowered, parts: ByUnit) -> Any:
        packing, structure = self.network.packing, self.plan.recipe.structure
        if structure == "quasi":
            return entries_from(packing, lowered.partition, parts)
        return blocks_from(packing, lowered, parts) if structure == "block" else packing.flat_vector(parts)

    def _by_unit(self, lowered: Lowered, values: Any) -> ByUnit:
        packing, structure = self.network.packing, self.plan.recipe.structure
        if values is None:
            return ()
        if structure == "quasi":
            return entries_by_unit(packing, lowered.partition, values)
        if structure == "block":
            return blocks_by_unit(packing, lowered.partition, values)
        return packing.vectors(values)

    def run(self, carried: Carried, steps: dict[str, Any], limit: int) -> Reached:
        """Take at most `limit` steps; fewer where one is not to be taken so.

        `steps` has a `pool` of `points` and `targets`, (samples, ...) by name; the `rows` (length, batch) that each takes of
        it, of which the first `count` (length,) count; the `weight` (length,) of its metric in the average, 0 where it is
        not renewed; and `fraction`, `radius` and `left` (length,) for the rate.
        """
        pool, rest = steps["pool"], {name: values for name, values in steps.items() if name != "pool"}
        with jax.enable_x64(True):
            found = _run(self.plan, self.network.arrays, self._masks, carried, pool, rest, numpy.int64(limit))
            reached, log = found[0], jax.tree.map(to_numpy, found[1])
        theta, losses, rates, good = log
        taken = int(good.sum())
        return Reached(reached, self._flat(theta, taken), losses[:taken], rates[:taken])

    @cached_property
    def _masks(self) -> ByUnit:
        return self.network.packing.masks()

    @cached_property
    def _places(self) -> NDArray[numpy.int_] | None:
        """Where the entries of flat parameters stand among arrays side by side; None if in order."""
        found = columns(self.network.packing.stored, self.network.packing.stored_size)
        return None if numpy.array_equal(found, numpy.arange(len(found))) else found

    def _flat(self, theta: ByUnit, taken: int) -> NDArray:
        """Flat parameters after each of the steps taken, (taken, size)."""
        side_by_side = numpy.concatenate([part[:taken].reshape(taken, part[0].size) for part in theta], axis=1)
        return side_by_side if self._places is None else side_by_side.take(self._places, axis=1)


def minibatch_runs(
    network: Network,
    recipe: MetricRecipe | None,
    damping: DampingRecipe,
    rules: StepRules,
    momentum: bool,
    length: int,
) -> MinibatchRuns | str:
    """Compiled runs of at most `length` steps, or why they cannot be compiled."""
    reason = unsupported(network.structure, recipe, damping)
    if reason is not None:
        return reason
    assert recipe is not None
    if recipe.needs_rng:
        return "a metric of drawn targets draws for every batch"
    if recipe.structure == "quasi" and not is_plain(network.structure):
        return "quasi-diagonal entries are averaged for affine units of one dimension alone"
    return MinibatchRuns(network, Plan(network.structure, recipe, damping, rules, momentum, length))


__all__ = ["Carried", "MinibatchRuns", "minibatch_runs"]
