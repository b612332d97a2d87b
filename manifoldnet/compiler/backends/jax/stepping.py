"""One step on a batch, and runs of them: direction, length and cuts of a trust radius, as one compiled function.

What `manifoldnet.learning.minibatches` and `.descending` do, in their order.
"""

from typing import Any, final

import attrs
import jax
import jax.numpy as jnp
from jax import lax

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.along import Motion, ahead, motion, products_of
from manifoldnet.compiler.backends.jax.averaging import Averaged, batch_average, raised, renewed
from manifoldnet.compiler.backends.jax.compilation import compiled
from manifoldnet.compiler.backends.jax.descent import mean_loss, moved
from manifoldnet.compiler.backends.jax.structure import Structure
from manifoldnet.compiler.backends.jax.trace import Trace, traced
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


@compiled(0)
def run_steps(plan: Plan, arrays: dict, masks: ByUnit, carried: Carried, pool: dict, steps: dict, limit: Array) -> Any:
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


__all__ = ["Carried", "Plan", "run_steps"]
