"""A network that moves along tangents: how its units and outputs move, how long that is, and what it comes to."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.affine import AffineAt
from manifoldnet.compiler.backends.jax.placing import of_units, place
from manifoldnet.compiler.backends.jax.structure import OutputShape
from manifoldnet.compiler.backends.jax.trace import Trace

Array = Any
ByUnit = tuple[Any, ...]


@final
@attrs.frozen(eq=False)
class Motion:
    """A tangent by unit and how the units of every stage move along it, in inner coordinates (samples, units, inner)."""

    tangent: ByUnit
    inner: tuple[Array, ...]

    def combined(self, factor: Array, other: "Motion", share: Array) -> "Motion":
        """The motion along `factor` times this tangent and `share` times another one."""
        both = [(self.tangent, other.tangent), (self.inner, other.inner)]
        return Motion(*(tuple(factor * a + share * b for a, b in zip(*pair, strict=True)) for pair in both))


def motion(trace: Trace, tangent: ByUnit) -> Motion:
    """One pass forward along a tangent by unit."""
    moving: dict[str, Array] = {}
    inner, own = [], iter(tangent)
    for shape, stage in zip(trace.structure.stages, trace.stages, strict=True):
        inner.append(stage.push(next(own) if shape.has_parameters else jnp.zeros((shape.units, 0)), moving))
        place(moving, shape.slots, stage.to_inner().push(inner[-1]), trace.structure)
    return Motion(tangent, tuple(inner))


def natural_norm2(trace: Trace, tangent: ByUnit, weights: Array) -> Array:
    """The sum over samples of |Omega^(1/2) domega(tangent)|^2 (eq. 64), by one pass forward."""
    return natural_products(trace, (tangent,), weights)[0, 0]


def natural_products(trace: Trace, tangents: Sequence[ByUnit], weights: Array) -> Array:
    """The sums over samples of <domega(u), Omega domega(v)> (eq. 64), (k, k), by one pass forward each."""
    return products_of(trace, [motion(trace, tangent) for tangent in tangents], weights)


def products_of(trace: Trace, motions: Sequence[Motion], weights: Array) -> Array:
    """The same of tangents whose motions are known."""
    images = [_natural_image(trace, each) for each in motions]
    rows = [[_weighed_product(one, other, weights) for other in images] for one in images]
    return jnp.stack([jnp.stack(row) for row in rows])


def _weighed_product(one: Sequence[Array], other: Sequence[Array], weights: Array) -> Array:
    return sum((u * v * weights).sum() for u, v in zip(one, other, strict=True))


def _natural_image(trace: Trace, along: Motion) -> list[Array]:
    """Omega^(1/2) domega(tangent) of each interpretation, (rows, samples)."""
    found = []
    own = iter(along.tangent[sum(shape.has_parameters for shape in trace.structure.stages) :])
    for output in trace.structure.outputs:
        factor = trace.readings[output.name].factor()
        step = next(own)[0] if output.parameters else None
        found.append(factor.push(_moved(trace, output, along.inner), step))
    return found


def _moved(trace: Trace, output: OutputShape, inner: Sequence[Array]) -> Array:
    """How the numbers that an interpretation reads move, (samples, n)."""
    scale, parts = trace.readings[output.name].scale, []
    for name, units in output.sources:
        moved = jnp.zeros_like(trace.points[name])
        for index, slot in trace.owners(name):
            reading = trace.stage_reading(index, scale)
            assert reading is not None
            part = reading.rate.push(inner[index])[:, slot.start : slot.stop]
            moved = part if slot.units is None else moved.at[:, jnp.array(slot.units)].set(part)
        parts.append(of_units(moved, units, 1).reshape(trace.samples, -1))
    return jnp.concatenate(parts, axis=1)


def ahead(trace: Trace, parameters: ByUnit, along: Motion, rate: Array) -> Trace:
    """The network at `parameters`, which a step of -rate along a motion leads to.

    Affine units that read inputs alone move by as much as their motion says: their products need not be taken again.
    """
    found = {layer.name: trace.points[layer.name] for layer in trace.structure.layers if layer.is_input}
    stages: list[Any] = []
    own = iter(parameters)
    for index, (shape, stage) in enumerate(zip(trace.structure.stages, trace.stages, strict=True)):
        theta = next(own) if shape.has_parameters else jnp.zeros((shape.units, 0))
        if isinstance(stage, AffineAt) and trace.reads_inputs_only(index):
            stages.append(stage.shifted(theta, -rate * along.inner[index]))
        else:
            stages.append(shape.linearise(trace.arrays["stages"][index], theta, found))
        place(found, shape.slots, stages[-1].points, trace.structure)
    return Trace(trace.structure, trace.arrays, parameters, found, tuple(stages))


__all__ = ["Motion", "ahead", "motion", "natural_norm2", "natural_products", "products_of"]
