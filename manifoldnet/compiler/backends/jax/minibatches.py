"""Minibatch training, compiled: a network ready for runs of steps, and what its states are made of."""

from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax.averaging import Averaged, nothing
from manifoldnet.compiler.backends.jax.exchange import blocks_by_unit, blocks_from, entries_by_unit, entries_from
from manifoldnet.compiler.backends.jax.mesh import held, results
from manifoldnet.compiler.backends.jax.precision import in_precision
from manifoldnet.compiler.backends.jax.solving import is_plain, unsupported
from manifoldnet.compiler.backends.jax.stepping import Carried, Plan, run_steps
from manifoldnet.compiler.backends.jax.structure import Network, columns
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.recipes import DampingRecipe, MetricRecipe, StepRules

ByUnit = tuple[Any, ...]


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
        found: dict[str, Any] = held(pool, self.network.precision)
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
        averaged = results(carried.average)
        floor = self._by_group(lowered, averaged.floor) if averaged.floor else None
        return self._by_group(lowered, averaged.parts), floor

    def past_of(self, carried: Carried) -> tuple[NDArray | None, NDArray | None]:
        """The last step and the shares of steps, flat; None where there is no last one, and where all take all of theirs."""
        last, shares = (self.network.packing.flat_vector(results(part)) for part in (carried.last, carried.shares))
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
        with in_precision(self.network.precision):
            found = run_steps(self.plan, self.network.arrays, self._masks, carried, pool, rest, numpy.int64(limit))
            reached, log = found[0], results(found[1])
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
