"""A network linearised at one point, inside a compiled function, and what flows backward through it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, final

import attrs
import jax.numpy as jnp

from manifoldnet.compiler.backends.jax.placing import of_units, place, unit_blocks
from manifoldnet.compiler.backends.jax.stage import Contribution, StageAt
from manifoldnet.compiler.backends.jax.structure import OutputShape, Structure
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.stage import Reading, owners_of
from manifoldnet.compiler.trace import OutputReading
from manifoldnet.declare.interpretations.interpretation import Scale, Score

Array = Any
Seeds = Mapping[str, Array]


@final
@attrs.frozen(eq=False)
class Pulled:
    """What a backward pass leaves at each stage, in inner coordinates, and at each layer in outer ones.

    `outer` holds only what came from the layers' readers, not the direct terms of the interpretations.
    """

    inner: tuple[Array, ...]
    outer: dict[str, Array]


@final
@attrs.define(eq=False, slots=False)
class Trace:
    """Activities of every layer, with each stage at this point; `parameters` are by unit, output parameters last."""

    structure: Structure
    arrays: dict[str, Any]
    parameters: tuple[Array, ...]
    points: dict[str, Array]
    stages: tuple[StageAt, ...]

    @property
    def samples(self) -> int:
        return len(next(iter(self.points.values())))

    @cached_property
    def readings(self) -> dict[str, OutputReading]:
        """What each interpretation reads."""
        first = sum(stage.has_parameters for stage in self.structure.stages)
        own = iter(self.parameters[first:])
        found = {}
        for output in self.structure.outputs:
            vartheta = next(own)[0] if output.parameters else jnp.zeros(0)
            found[output.name] = self._reading(output, vartheta)
        return found

    def _reading(self, output: OutputShape, vartheta: Array) -> OutputReading:
        for scale in output.interpretation.scales:
            parts = [self._layer_numbers(layer, scale) for layer, _ in output.sources]
            if all(part is not None for part in parts):
                z = [of_units(part, units, 1) for part, (_, units) in zip(parts, output.sources, strict=True)]
                flat = [part.reshape(self.samples, -1) for part in z]
                joined = flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=1)
                # nothing looks at traced numbers and raises what would name units
                return OutputReading(output.interpretation, joined, vartheta, scale)
        raise AssertionError(f"{output.name}: no scale of {output.interpretation} is offered")

    def _layer_numbers(self, name: str, scale: Scale) -> Array | None:
        layer = self.structure.layer(name)
        size = layer.space.size
        owners = self.owners(name)
        if not owners:
            found = value_scales(self.points[name], layer.space.manifold, scale)
            return None if found is None else found[0].reshape(self.samples, -1, size)
        numbers = None
        for index, slot in owners:
            reading = self.stage_reading(index, scale)
            if reading is None:
                return None
            part = reading.z.reshape(self.samples, -1, size)[:, slot.start : slot.stop]
            if slot.units is None:
                return part
            numbers = jnp.zeros_like(self.points[name]) if numbers is None else numbers
            numbers = numbers.at[:, jnp.array(slot.units)].set(part)
        return numbers

    def stage_reading(self, index: int, scale: Scale) -> Reading | None:
        key = (index, scale)
        if key not in self._stage_readings:
            self._stage_readings[key] = self.stages[index].read(scale)
        return self._stage_readings[key]

    @cached_property
    def _stage_readings(self) -> dict[tuple[int, Scale], Reading | None]:
        return {}

    def owners(self, layer: str) -> list:
        """The (stage, slot) pairs that compute a layer; none for an input."""
        return owners_of(layer, self.structure.stages)

    def score(self, name: str, targets: Array) -> Score:
        """The differential of an interpretation's loss on the true targets; computed once."""
        if name not in self._scores:
            self._scores[name] = self.readings[name].score(targets)
        return self._scores[name]

    def modulus(self, name: str) -> Array:
        """The diagonal (samples, n) of an interpretation's pulled-back metric, from its score where that has been asked for."""
        found = self._scores.get(name)
        return self.readings[name].modulus() if found is None or found.modulus is None else found.modulus()

    @cached_property
    def _scores(self) -> dict[str, Score]:
        return {}

    def on_layers(self, seeds: Seeds) -> dict[tuple[str, Scale], Array]:
        """Seeds summed by layer and scale, (k, samples, units, size)."""
        found: dict[tuple[str, Scale], Array] = {}
        for output in self.structure.outputs:
            if output.name not in seeds:
                continue
            rows, start = seeds[output.name], 0
            for name, units in output.sources:
                layer = self.structure.layer(name)
                count = layer.size if units is None else len(units)
                stop = start + count * layer.space.size
                part = rows[..., start:stop].reshape(*rows.shape[:2], count, -1)
                key = (name, self.readings[output.name].scale)
                if units is not None:
                    spread = jnp.zeros((*part.shape[:2], layer.size, part.shape[3]))
                    part = spread.at[:, :, jnp.array(units)].add(part)
                found[key] = found[key] + part if key in found else part
                start = stop
        return found

    def to_stage(self, index: int, slot: Any, values: Array, axis: int) -> Array:
        """Values of a layer's units among those of the stage that computes them, zero for its other units."""
        own = slot.taken(values, axis)
        count = self.structure.stages[index].units
        if (slot.start, slot.stop) == (0, count):
            return own
        widths = [(0, 0)] * own.ndim
        widths[own.ndim + axis] = (slot.start, count - slot.stop)
        return jnp.pad(own, widths)

    def inner_seeds(self, seeds: Seeds) -> dict[int, Array]:
        """Seeds in the inner coordinates of the stages that own the outputs, (k, samples, units, inner)."""
        return self._on_stages(self.on_layers(seeds), -2, Rate.pull)

    def _on_stages(
        self, numbers: Mapping[tuple[str, Scale], Array], axis: int, pull: Callable[[Rate, Array], Array]
    ) -> dict[int, Array]:
        """What stands on the numbers of layers, whose units lie along `axis`, pulled back to the stages that own them."""
        found: dict[int, Array] = {}
        for (layer, scale), values in numbers.items():
            for index, slot in self.owners(layer):
                reading = self.stage_reading(index, scale)
                assert reading is not None
                inner = pull(reading.rate, self.to_stage(index, slot, values, axis))
                found[index] = found[index] + inner if index in found else inner
        return found

    def pull_back_covectors(self, seeds: Seeds) -> Pulled:
        """b_k = [direct] + sum_j (da_j/da_k)^T b_j for k covectors at once (eqs. 4-5, 13, 65)."""
        count = len(next(iter(seeds.values())))
        return self.backward((count,), self.inner_seeds(seeds), lambda stage, m: stage.pull_covectors(m), False)

    def pull_back_moduli(self, weights: Array | None = None) -> Pulled:
        """m_k = [direct] + sum_j (da_j/da_k)^T m_j (da_j/da_k), unit by unit (eqs. 26-27, 76), times each sample's weight."""
        direct = self._on_stages(self.direct_numbers(), -3, Rate.pull_modulus)
        if weights is not None:
            direct = {index: values * weights[:, None, None, None] for index, values in direct.items()}
        return self.backward((), direct, lambda stage, m: stage.pull_moduli(m), True)

    def direct_numbers(self) -> dict[tuple[str, Scale], Array]:
        """The diagonal blocks of the interpretations' metrics on output numbers, (samples, units, size, size)."""
        found: dict[tuple[str, Scale], Array] = {}
        for output in self.structure.outputs:
            reading, start = self.readings[output.name], 0
            layers = [self.structure.layer(name) for name, _ in output.sources]
            single = all(layer.space.size == 1 for layer in layers)
            values = self.modulus(output.name) if single else reading.factor().outputs
            for layer, (name, units) in zip(layers, output.sources, strict=True):
                count, size = layer.size if units is None else len(units), layer.space.size
                stop = start + count * size
                block = unit_blocks(values, single, slice(start, stop), size)
                if units is not None:
                    spread = jnp.zeros((self.samples, layer.size, size, size))
                    block = spread.at[:, jnp.array(units)].add(block)
                key = (name, reading.scale)
                found[key] = found[key] + block if key in found else block
                start = stop
        return found

    def outer_rate(self, name: str, scale: Scale) -> Rate:
        """d numbers/d outer coordinates of a layer's units on a scale."""
        space, points = self.structure.layer(name).space, self.points[name]
        found = value_scales(points, space.manifold, scale)
        # only affine units offer logarithms: d log|a| = da / a
        on_points = Rate(1.0 / points, True) if found is None else found[1]
        if space.is_trivial:
            return on_points
        frame = space.frame(self.arrays["spaces"][name], points)
        return on_points.after(Rate(frame if frame.ndim > 2 else frame[None, None], False))

    def backward(
        self,
        lead: tuple[int, ...],
        direct: Mapping[int, Array],
        pull: Callable[[StageAt, Array], list[Contribution]],
        moduli: bool,
        pending: dict[str, Array] | None = None,
        done: int | None = None,
    ) -> Pulled:
        """From the last stage to the first; `pending` is what layers have received already, from the stage `done`."""
        pending = {} if pending is None else pending
        inner: list[Array] = [None] * len(self.stages)
        for index in reversed(range(len(self.stages))):
            if index == done:
                inner[index] = jnp.zeros((1, 1, 1, 1))
                continue
            total = self.from_readers(index, pending, moduli)
            if index in direct:
                total = direct[index] if total is None else total + direct[index]
            inner[index] = self._nothing(index, lead, moduli) if total is None else total
            if total is not None and not self.reads_inputs_only(index):
                self.receive(pending, pull(self.stages[index], total), lead, moduli)
        return Pulled(tuple(inner), pending)

    def reads_inputs_only(self, index: int) -> bool:
        """Whether a stage reads nothing that another one computes."""
        return all(self.structure.layer(name).is_input for name in self.structure.stages[index].parent_layers)

    def from_readers(self, index: int, pending: Mapping[str, Array], moduli: bool) -> Array | None:
        """What a stage's layers have received, in its inner coordinates; None where they have received nothing."""
        shape = self.structure.stages[index]
        if not any(slot.layer in pending for slot in shape.slots):
            return None
        first = next(pending[slot.layer] for slot in shape.slots if slot.layer in pending)
        axis, parts = -3 if moduli else -2, []
        for slot in shape.slots:
            if slot.layer in pending:
                parts.append(slot.taken(pending[slot.layer], axis))
            else:
                lengths = list(first.shape)
                lengths[axis] = slot.stop - slot.start
                parts.append(jnp.zeros(lengths))
        outer = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=axis)
        rate = self.stages[index].to_inner()
        return rate.pull_modulus(outer) if moduli else _pulled(rate, outer)

    def _nothing(self, index: int, lead: tuple[int, ...], moduli: bool) -> Array:
        shape = self.structure.stages[index]
        dims = (shape.inner_dim, shape.inner_dim) if moduli else (shape.inner_dim,)
        return jnp.zeros((*lead, self.samples, shape.units, *dims))

    def receive(
        self, pending: dict[str, Array], items: list[Contribution], lead: tuple[int, ...], moduli: bool
    ) -> None:
        """Add to what layers have received, inputs left out: this is where several readers of a unit meet."""
        for item in items:
            layer, received = self.structure.layer(item.layer), pending.get(item.layer)
            if layer.is_input:
                continue
            if item.units is None:
                pending[item.layer] = item.values if received is None else received + item.values
                continue
            if received is None:
                received = jnp.zeros((*lead, self.samples, layer.size, *(layer.space.dim,) * (2 if moduli else 1)))
            where = (slice(None),) * (len(lead) + 1)
            pending[item.layer] = received.at[(*where, item.units)].add(item.values)


def _pulled(rate: Rate, outer: Array) -> Array:
    """The same as `rate.pull`; XLA copies large arrays whose last axis is of length one, so that it is taken off."""
    if rate.elementwise and outer.shape[-1] == 1:
        return (outer[..., 0] * rate.values[..., 0])[..., None]
    return rate.pull(outer)


def traced(structure: Structure, arrays: dict, parameters: tuple[Array, ...], points: Mapping[str, Array]) -> Trace:
    """The network at these parameters on these points of its inputs."""
    found, stages, own = dict(points), [], iter(parameters)
    for shape, numbers in zip(structure.stages, arrays["stages"], strict=True):
        theta = next(own) if shape.has_parameters else jnp.zeros((shape.units, 0))
        stages.append(shape.linearise(numbers, theta, found))
        place(found, shape.slots, stages[-1].points, structure)
    return Trace(structure, arrays, parameters, found, tuple(stages))
