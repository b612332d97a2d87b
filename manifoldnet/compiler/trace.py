"""A network linearised at one point on a chunk of samples."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.once import once
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.stage import DiagonalRows, Linearisation, OuterRows, Reading, Slot, dense_rows, owners_of
from manifoldnet.declare.interpretations.interpretation import Factor, Interpretation, Scale, Score
from manifoldnet.declare.layer import Declaration, Output, names_of_numbers
from manifoldnet.errors import OutputError

Rows = Mapping[str, NDArray | DiagonalRows]

Answer = TypeVar("Answer")

_NONE = numpy.zeros(0)


@final
@attrs.frozen(eq=False)
class OutputReading:
    """What an interpretation reads on a chunk: z (samples, n) on a scale, and its output parameters.

    `units()` names the unit of each of the n numbers; `first` is the number of the chunk's first sample.
    """

    interpretation: Interpretation
    z: NDArray
    vartheta: NDArray
    scale: Scale
    units: Callable[[], list[str]]
    first: int = 0

    def point(self) -> NDArray:
        return self._asked(self.interpretation.point, self.z, self.vartheta, self.scale)

    def loss(self, targets: NDArray) -> NDArray:
        return self._asked(self.interpretation.loss, self.z, self.vartheta, targets, self.scale)

    def score(self, targets: NDArray) -> Score:
        return self._asked(self.interpretation.score, self.z, self.vartheta, targets, self.scale)

    def factor(self) -> Factor:
        return self._asked(self.interpretation.factor, self.z, self.vartheta, self.scale)

    def modulus(self) -> NDArray:
        return self._asked(self.interpretation.modulus, self.z, self.vartheta, self.scale)

    def sample(self, rng: numpy.random.Generator, draws: int) -> NDArray:
        return self._asked(self.interpretation.sample, rng, self.z, self.vartheta, self.scale, draws)

    def _asked(self, ask: Callable[..., Answer], *arguments: Any) -> Answer:
        """An answer, with the names of units in what is raised."""
        try:
            return ask(*arguments)
        except OutputError as error:
            raise error.of(self.units(), self.first) from error


@final
class Activities(Mapping[str, NDArray]):
    """Points of layers by name; those of stages that no other reads are computed when first asked for.

    Nobody may ask for those of an output layer, whose interpretation reads pre-activations.
    """

    def __init__(self, inputs: Mapping[str, NDArray]) -> None:
        # what stages read: arrays alone, since lines that held what holds them would wait for the garbage collector
        self.known = dict(inputs)
        # layers whose units, all and in order, are those of a linearised stage
        self.later: dict[str, Linearisation] = {}

    def place(self, slot: Slot, values: NDArray, size: int) -> None:
        """Put the units that a stage computed where their layer's activities stand."""
        part = values[:, slot.start : slot.stop]
        if slot.layer not in self.known:
            self.known[slot.layer] = numpy.empty((len(values), size, values.shape[2]))
        self.known[slot.layer][:, slot.units] = part

    def __getitem__(self, layer: str) -> NDArray:
        found = self.known.get(layer)
        return self.later[layer].points if found is None else found

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.known, *self.later))

    def __len__(self) -> int:
        return len({*self.known, *self.later})


@final
@attrs.define(eq=False, slots=False)
class Trace:
    """Activities of every layer on a chunk, with each stage's derivatives.

    Arrays named `seeds` hold covectors on output numbers, by interpretation, (k, samples, n).
    """

    declaration: Declaration
    lowered: Lowered
    theta: NDArray
    points: Activities
    linearisations: tuple[Linearisation, ...]
    first: int = 0
    _stage_readings: dict[tuple[int, Scale], Reading | None] = attrs.field(factory=dict, init=False)

    @property
    def samples(self) -> int:
        return len(next(iter(self.points.known.values())))

    @once
    def readings(self) -> dict[str, OutputReading]:
        return {output.name: self._reading(output) for output in self.declaration.outputs}

    def _read(self, output: Output, z: NDArray, scale: Scale) -> OutputReading:
        units = partial(_units, output, z.shape[1])
        return OutputReading(output.interpretation, z, self._vartheta(output.name), scale, units, self.first)

    def _reading(self, output: Output) -> OutputReading:
        whole = self.lowered.whole_outputs.get(output.name)
        for scale in output.interpretation.scales:
            if whole is not None:
                reading = self.stage_reading(whole, scale)
                if reading is not None:
                    return self._read(output, reading.z, scale)
                continue
            parts = [self._layer_numbers(source.layer, scale) for source in output.sources]
            if all(part is not None for part in parts):
                z = [part[:, list(s.units)] for part, s in zip(parts, output.sources, strict=True) if part is not None]
                flat = numpy.concatenate([part.reshape(self.samples, -1) for part in z], axis=1)
                return self._read(output, flat, scale)
        raise AssertionError(f"{output.name}: no scale of {output.interpretation} is offered")

    def _vartheta(self, name: str) -> NDArray:
        if name not in self.lowered.stored:
            return _NONE
        place = self.lowered.stored[name]
        return self.theta[place.offset : place.stop]

    def _layer_numbers(self, layer: str, scale: Scale) -> NDArray | None:
        """The layer's output numbers (samples, units, size) on a scale, or None if one of its stages offers it not."""
        size = self.lowered.spaces[layer].size
        owners = self.owners(layer)
        if not owners:
            found = value_scales(self.points[layer], self.lowered.spaces[layer].manifold, scale)
            return None if found is None else found[0].reshape(self.samples, -1, size)
        numbers = numpy.empty_like(self.points[layer])
        for stage, slot in owners:
            reading = self.stage_reading(stage, scale)
            if reading is None:
                return None
            z = reading.z.reshape(self.samples, -1, size)
            numbers[:, slot.units] = z[:, slot.start : slot.stop]
        return numbers

    def stage_reading(self, stage: int, scale: Scale) -> Reading | None:
        key = (stage, scale)
        if key not in self._stage_readings:
            self._stage_readings[key] = self.linearisations[stage].read(scale, outer=False)
        return self._stage_readings[key]

    def owners(self, layer: str) -> list:
        """The (stage, slot) pairs that compute a layer; none for an input."""
        return owners_of(layer, self.lowered.stages)

    def on_layers(self, seeds: Rows) -> dict[tuple[str, Scale], NDArray]:
        """Seeds summed by layer and scale, (k, samples, units, size)."""
        found: dict[tuple[str, Scale], NDArray] = {}
        for output in self.declaration.outputs:
            if output.name not in seeds:
                continue
            rows, start = dense_rows(seeds[output.name]), 0
            for source in output.sources:
                layer = self.points[source.layer]
                stop = start + len(source.units) * layer.shape[2]
                key = (source.layer, self.readings[output.name].scale)
                total = found.setdefault(key, numpy.zeros((len(rows), *layer.shape)))
                part = rows[..., start:stop].reshape(*rows.shape[:2], len(source.units), -1)
                total[:, :, list(source.units)] += part
                start = stop
        return found

    def inner_seeds(self, seeds: Rows) -> dict[int, NDArray | DiagonalRows]:
        """Seeds in the inner coordinates of the stages that own the outputs, (k, samples, units, inner)."""
        found = self._whole_seeds(seeds)
        if len(self.lowered.whole_outputs) == len(self.declaration.outputs):
            return found
        rest = {name: rows for name, rows in seeds.items() if name not in self.lowered.whole_outputs}
        for (layer, scale), values in self.on_layers(rest).items():
            for index, slot in self.owners(layer):
                stage, reading = self.lowered.stages[index], self.stage_reading(index, scale)
                assert reading is not None
                spread = numpy.zeros((*values.shape[:2], stage.units, values.shape[3]))
                spread[:, :, slot.start : slot.stop] = values[:, :, slot.units]
                pulled = reading.rate.pull(spread)
                found[index] = inner_rows(found[index]) + pulled if index in found else pulled
        return found

    def _whole_seeds(self, seeds: Rows) -> dict[int, NDArray | DiagonalRows]:
        """The same of those interpretations that read all units of one stage in order."""
        found: dict[int, NDArray | DiagonalRows] = {}
        for name, rows in seeds.items():
            index = self.lowered.whole_outputs.get(name)
            if index is not None:
                pulled = self._pulled_seeds(index, name, rows)
                found[index] = inner_rows(found[index]) + inner_rows(pulled) if index in found else pulled
        return found

    def _pulled_seeds(self, index: int, name: str, rows: NDArray | DiagonalRows) -> NDArray | DiagonalRows:
        reading, units = self.stage_reading(index, self.readings[name].scale), self.lowered.stages[index].units
        assert reading is not None
        if isinstance(rows, DiagonalRows):
            if reading.rate.elementwise and rows.values.shape[1] == units:
                values = reading.rate.pull(rows.values[..., None])[..., 0]
                return DiagonalRows(values, rows.first, rows.count)
            rows = rows.dense()
        return reading.rate.pull(rows.reshape(*rows.shape[:2], units, -1))

    def outer_rate(self, layer: str, scale: Scale) -> Rate:
        """d numbers/d outer coordinates of a layer's units on a scale."""
        space, points = self.lowered.spaces[layer], self.points[layer]
        found = value_scales(points, space.manifold, scale)
        # only affine units offer logarithms: d log|a| = da / a
        on_points = Rate(1.0 / points, True) if found is None else found[1]
        return on_points if space.is_trivial else on_points.after(Rate(space.frame(points), False))


def _units(output: Output, n: int) -> list[str]:
    return names_of_numbers([(source.layer, source.units) for source in output.sources], n)


def inner_rows(rows: NDArray | DiagonalRows | OuterRows) -> NDArray:
    """Covectors of units with one inner coordinate each, (k, samples, units, 1), whatever their structure."""
    if isinstance(rows, OuterRows):
        return rows.dense()
    return rows.dense()[..., None] if isinstance(rows, DiagonalRows) else rows
