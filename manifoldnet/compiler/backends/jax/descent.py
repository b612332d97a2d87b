"""Full-batch descent with the paper's adaptive rate (section 4), compiled: runs of steps are one loop."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import jax
import jax.numpy as jnp
import numpy
from jax import lax
from jax.sharding import Mesh
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax import evaluations as of
from manifoldnet.compiler.backends.jax.compilation import compiled
from manifoldnet.compiler.backends.jax.draws import Draws, Recorder, Request, Tape, drawn_for, filled_up
from manifoldnet.compiler.backends.jax.mesh import Devices, held, results
from manifoldnet.compiler.backends.jax.precision import in_precision
from manifoldnet.compiler.backends.jax.solving import direction, unsupported
from manifoldnet.compiler.backends.jax.structure import Network, Structure, columns
from manifoldnet.compiler.backends.jax.trace import Trace, traced
from manifoldnet.compiler.recipes import DampingRecipe, MetricRecipe

Array = Any
ByUnit = tuple[Array, ...]


@final
@attrs.frozen(cache_hash=True)
class Plan:
    """What a compiled run of steps depends on beside arrays."""

    structure: Structure
    recipe: MetricRecipe
    damping: DampingRecipe
    length: int
    mesh: Mesh | None


@final
@attrs.frozen(eq=False)
class State:
    """Where a descent is: parameters by unit, their loss, the rate, and the direction at hand; `good` unless it failed.

    At the start the loss is infinite: the first step stays where it is, and finds the loss and the direction there.
    """

    theta: ByUnit
    loss: Array
    rate: Array
    slope: ByUnit
    good: Array


jax.tree_util.register_dataclass(State, data_fields=["theta", "loss", "rate", "slope", "good"], meta_fields=[])


@final
@attrs.frozen(eq=False)
class Log:
    """What happened at each step of a run, (length, ...): parameters after it, and whether the next direction was found.

    Parameters stand by unit side by side, those of padded rows too; `left` is the rate after the step; `loss` is that of
    the parameters kept, `reached` that of those tried.
    """

    theta: Array
    loss: Array
    reached: Array
    left: Array
    accepted: Array
    good: Array


jax.tree_util.register_dataclass(
    Log, data_fields=["theta", "loss", "reached", "left", "accepted", "good"], meta_fields=[]
)


def moved(structure: Structure, theta: ByUnit, slope: ByUnit, rate: Array) -> ByUnit:
    """The parameters reached by a step against a direction: by addition, or by a retraction on curved spaces."""
    steps = [getattr(stage, "parameter", None) for stage in structure.stages if stage.has_parameters]
    steps += [None] * (len(theta) - len(steps))
    return tuple(
        part - rate * along if step is None else step.step(part, -rate * along)
        for part, along, step in zip(theta, slope, steps, strict=True)
    )


def mean_loss(trace: Trace, data: dict[str, Any]) -> Array:
    """The average loss; infinite where a unit has left its manifold, so that such a step is cancelled like any bad one."""
    losses = of.sample_losses(trace, data["targets"])
    loss = (losses * data["weights"]).sum() / data["total"]
    for shape, stage in zip(trace.structure.stages, trace.stages, strict=True):
        if shape.may_leave:
            inside = shape.space.manifold.contains(shape.space.shaped(stage.points))
            held = inside | (data["weights"] == 0.0)[:, None]
            loss = jnp.where(held.all(), loss, jnp.inf)
    return loss


def _direction(plan: Plan, trace: Trace, data: dict[str, Any], drawn: tuple) -> tuple[ByUnit, Array]:
    targets = {}
    if plan.recipe.needs_rng:
        assert plan.recipe.modulus is not None and plan.recipe.modulus.rows is not None
        ((name, reading),) = trace.readings.items()
        draws = plan.recipe.modulus.rows.draws
        targets[name] = reading.sample(Tape(drawn), draws)  # type: ignore[arg-type]
    found, good = direction(
        trace,
        plan.recipe,
        plan.damping,
        data["masks"],
        data["targets"],
        targets,
        data["weights"],
        data["total"],
        plan.mesh,
    )
    finite = jnp.array([jnp.isfinite(part).all() for part in found]).all()
    return found, good & finite


def _traced(plan: Plan, arrays: dict, theta: ByUnit, data: dict[str, Any]) -> Trace:
    return traced(plan.structure, arrays, theta, data["points"])


def _step(plan: Plan, arrays: dict, data: dict[str, Any], state: State, drawn: tuple) -> tuple[State, Log]:
    slope, good = state.slope, state.good
    if plan.recipe.needs_rng:
        # targets are drawn afresh for every step, after cancelled ones too
        slope, good = _direction(plan, _traced(plan, arrays, state.theta, data), data, drawn)
    begun = jnp.isfinite(state.loss)
    there = moved(plan.structure, state.theta, slope, state.rate)
    ahead = jax.tree.map(lambda new, old: jnp.where(begun, new, old), there, state.theta)
    trace = _traced(plan, arrays, ahead, data)
    reached = mean_loss(trace, data)
    better, accepted = reached < state.loss, (reached <= state.loss) & (good | ~begun)
    theta = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), ahead, state.theta)
    grown = jnp.where(better & begun, state.rate * data["growth"], state.rate)
    rate, loss = jnp.where(accepted, grown, state.rate * data["cut"]), jnp.where(accepted, reached, state.loss)
    if plan.recipe.needs_rng:
        after = State(theta, loss, rate, state.slope, good)
    else:
        for name in trace.readings:
            # before the branch, where it shares an exponential with the loss
            trace.score(name, data["targets"][name])
        slope, good = lax.cond(
            accepted, lambda: _direction(plan, trace, data, ()), lambda: (state.slope, jnp.asarray(good))
        )
        after = State(theta, loss, rate, slope, good)
    side_by_side = jnp.concatenate([part.reshape(-1) for part in theta])
    return after, Log(side_by_side, loss, reached, rate, accepted, good)


@compiled(0, donated=(2,))
def _run(plan: Plan, arrays: dict, state: State, data: dict[str, Any], drawn: tuple, limit: Array) -> Any:
    """At most `limit` steps; none after one whose direction was not found."""

    if plan.length == 1:
        # a loop costs as much as a small step
        state, log = _step(plan, arrays, data, state, tuple(part[0] for part in drawn))
        return state, jax.tree.map(lambda part: part[None], log)

    def body(at: tuple) -> tuple:
        number, state, log = at
        state, told = _step(plan, arrays, data, state, tuple(part[number] for part in drawn))
        return number + 1, state, jax.tree.map(lambda whole, part: _with_row(whole, part, number), log, told)

    def goes_on(at: tuple) -> Array:
        return (at[0] < limit) & at[1].good

    return lax.while_loop(goes_on, body, (jnp.array(0), state, _unwritten(plan, state)))[1:]


def _with_row(whole: Array, row: Array, number: Array) -> Array:
    # an update that clamps what is out of range, where one by `at` would look whether it is
    return lax.dynamic_update_slice_in_dim(whole, row[None], number, 0)


def _unwritten(plan: Plan, state: State) -> Log:
    """Room for what is told of each step; what no step writes is not read either."""
    theta = lax.empty((plan.length, sum(part.size for part in state.theta)), state.theta[0].dtype)
    nothing, good = jnp.zeros(plan.length), jnp.ones(plan.length, dtype=bool)
    return Log(theta, nothing, nothing, nothing, good, good)


@final
@attrs.frozen(eq=False, slots=False)
class Descent:
    """A network on its data, ready for compiled runs of steps."""

    network: Network
    plan: Plan
    data: dict[str, Any]
    # where each number of flat parameters stands in what the log has of them
    places: NDArray[numpy.int_]
    requests: tuple[Request, ...]

    def start(self, flat: NDArray, rate: float) -> State:
        """The descent at flat parameters, with their loss and, where it is not drawn, the direction there."""
        packing = self.network.packing
        with in_precision(self.network.precision):
            # NumPy arrays, of which every process has the same
            theta, nothing = packing.parameters(flat), tuple(0.0 * mask for mask in packing.masks())
            state = State(theta, numpy.float64(numpy.inf), numpy.float64(rate), nothing, numpy.bool_(True))
        drawn = filled_up([self.drawn(numpy.random.default_rng(0))], self.plan.length)
        state, _ = self._ran(state, drawn, 1)
        # what a drawn direction would be is not asked yet
        return attrs.evolve(state, good=numpy.bool_(True)) if self.requests else state

    def drawn(self, rng: numpy.random.Generator) -> Draws:
        """What one step draws; nothing where its metric does not."""
        return drawn_for(self.requests, rng)

    def run(self, state: State, draws: Sequence[Draws]) -> tuple[State, Log]:
        """At most as many steps as draws are given for, no more than the plan's length; the log in NumPy arrays.

        Parameters in it are flat. `state` is used up.
        """
        state, log = self._ran(state, filled_up(draws, self.plan.length), len(draws))
        found = results(log)
        return state, attrs.evolve(found, theta=found.theta.take(self.places, axis=1))

    def _ran(self, state: State, drawn: Draws, steps: int) -> tuple[State, Log]:
        with in_precision(self.network.precision):
            return _run(self.plan, self.network.arrays, state, self.data, drawn, numpy.int64(steps))


def descent_of(
    network: Network,
    recipe: MetricRecipe | None,
    damping: DampingRecipe,
    growth: float,
    cut: float,
    length: int,
    points: dict[str, NDArray],
    targets: dict[str, NDArray],
    devices: Devices | None,
) -> Descent | str:
    """The descent of a metric, or why its steps cannot be compiled."""
    reason = unsupported(network.structure, recipe, damping)
    if reason is not None:
        return reason
    assert recipe is not None
    if recipe.needs_rng and len(network.structure.outputs) > 1:
        return "targets of several interpretations are drawn by NumPy from streams of their own"
    samples = len(next(iter(points.values())))
    data = {
        "points": points if devices is None else {name: devices.shared(part) for name, part in points.items()},
        "targets": targets if devices is None else {name: devices.shared(part) for name, part in targets.items()},
        "weights": numpy.ones(samples) if devices is None else devices.weights(samples),
        "total": numpy.float64(samples),
        "masks": network.packing.masks(),
        "growth": float(growth),
        "cut": float(cut),
    }
    plan = Plan(network.structure, recipe, damping, length, None if devices is None else devices.mesh)
    places = columns(network.packing.stored, network.packing.stored_size)
    found = Descent(network, plan, data if devices is not None else held(data, network.precision), places, ())
    if not recipe.needs_rng:
        return found
    requests = _requests(found)
    return requests if isinstance(requests, str) else attrs.evolve(found, requests=requests)


def _requests(descent: Descent) -> tuple[Request, ...] | str:
    """What a step asks of the generator, found out without computing anything."""
    recorder, plan = Recorder(), descent.plan
    assert plan.recipe.modulus is not None and plan.recipe.modulus.rows is not None
    draws = plan.recipe.modulus.rows.draws
    theta = descent.network.packing.parameters(numpy.zeros(descent.network.packing.stored_size))

    def look(theta: ByUnit) -> Array:
        trace = _traced(plan, descent.network.arrays, theta, descent.data)
        ((_, reading),) = trace.readings.items()
        return reading.sample(recorder, draws)  # type: ignore[arg-type]

    try:
        with in_precision(descent.network.precision):
            jax.eval_shape(look, theta)
    except jax.errors.TracerArrayConversionError:
        return "its interpretation draws targets with a method of the generator that depends on the outputs"
    return tuple(recorder.requests)
