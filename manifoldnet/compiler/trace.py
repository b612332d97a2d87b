"""A network linearised at one point on a chunk of samples."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.lines import Lines
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.once import once
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.stage import DiagonalRows, OuterRows, Reading, Slot, dense_rows, owners_of
from manifoldnet.declare.interpretations.interpretation import Factor, Interpretation, Scale, Score
from manifoldnet.declare.layer import Declaration, Output, Source, names_of_numbers
from manifoldnet.errors import OutputError

Rows = Mapping[str, NDArray | DiagonalRows]

Answer = TypeVar("Answer")

_NONE = numpy.zeros(0)


@final
@attrs.frozen(eq=False, slots=False)
class OutputReading:
    """What an interpretation reads on a chunk: z (samples, n) on a scale, and its output parameters.

    `sources` say which units the n numbers belong to; `first` is the number of the chunk's first sample.
    """

    interpretation: Interpretation
    z: NDArray
    vartheta: NDArray
    scale: Scale
    sources: tuple[Source, ...] = ()
    first: int = 0

    def units(self) -> list[str]:
        """The names of the units, one for each of the n numbers."""
        return names_of_numbers([(source.layer, source.units) for source in self.sources], self.z.shape[1])

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

    def __init__(self, known: dict[str, NDArray], lines: Lines, later: dict[str, int]) -> None:
        # what stages read: arrays alone, since lines that held what holds them would wait for the garbage collector
        self.known = known
        # layers whose units, all and in order, are those of a linearised stage, by its number
        self.lines, self.later = lines, later

    def place(self, slot: Slot, values: NDArray, size: int) -> None:
        """Put the units that a stage computed where their layer's activities stand."""
        part = values[:, slot.start : slot.stop]
        if slot.layer not in self.known:
            self.known[slot.layer] = numpy.empty((len(values), size, values.shape[2]))
        self.known[slot.layer][:, slot.units] = part

    def __getitem__(self, layer: str) -> NDArray:
        found = self.known.get(layer)
        return self.lines[self.later[layer]].points if found is None else found

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
    linearisations: Lines
    first: int = 0
    _stage_readings: dict[tuple[int, Scale], Reading | None] = attrs.field(factory=dict, init=False)
    _by_scores: dict[str, Callable[[], NDArray]] = attrs.field(factory=dict, init=False)

    @property
    def samples(self) -> int:
        return len(next(iter(self.points.known.values())))

    @once
    def readings(self) -> dict[str, OutputReading]:
        return {output.name: self._reading(output) for output in self.declaration.outputs}

    def score(self, name: str, targets: NDArray) -> Score:
        """The differential of an interpretation's loss."""
        found = self.readings[name].score(targets)
        if found.modulus is not None:
            self._by_scores[name] = found.modulus
        return found

    def modulus(self, name: str) -> NDArray:
        """The diagonal (samples, n) of an interpretation's pulled-back metric, from its score where that has been asked for."""
        found = self._by_scores.get(name)
        return self.readings[name].modulus() if found is None else found()

    def _reading(self, output: Output) -> OutputReading:
        asked = output.interpretation
        for scale in asked.scales:
            z = self._numbers(output, scale)
            if z is not None:
                place = self.lowered.stored.get(output.name)
                vartheta = _NONE if place is None else self.theta[place.offset : place.stop]
                return OutputReading(asked, z, vartheta, scale, output.sources, self.first)
        raise AssertionError(f"{output.name}: no scale of {asked} is offered")

    def _numbers(self, output: Output, scale: Scale) -> NDArray | None:
        """What an interpretation reads on a scale, (samples, n); None if it is not offered."""
        whole = self.lowered.whole_outputs.get(output.name)
        if whole is not None:
            reading = self.stage_reading(whole, scale)
            return None if reading is None else reading.z
        read = []
        for source in output.sources:
            part = self._layer_numbers(source.layer, scale)
            if part is None:
                return None
            read.append(part[:, list(source.units)].reshape(self.samples, -1))
        return numpy.concatenate(read, axis=1)

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
            self._stage_readings[key] = self.linearisations.read(stage, scale)
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
        found: dict[int, NDArray | DiagonalRows] = {}
        rest: dict[str, NDArray | DiagonalRows] = {}
        for name, rows in seeds.items():
            # those of interpretations that read all units of one stage in order are spread over no layer
            index = self.lowered.whole_outputs.get(name)
            if index is None:
                rest[name] = rows
                continue
            pulled = self._pulled_seeds(index, name, rows)
            found[index] = inner_rows(found[index]) + inner_rows(pulled) if index in found else pulled
        for (layer, scale), values in self.on_layers(rest).items() if rest else ():
            for index, slot in self.owners(layer):
                stage, reading = self.lowered.stages[index], self.stage_reading(index, scale)
                assert reading is not None
                spread = numpy.zeros((*values.shape[:2], stage.units, values.shape[3]))
                spread[:, :, slot.start : slot.stop] = values[:, :, slot.units]
                added = reading.rate.pull(spread)
                found[index] = inner_rows(found[index]) + added if index in found else added
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


def inner_rows(rows: NDArray | DiagonalRows | OuterRows) -> NDArray:
    """Covectors of units with one inner coordinate each, (k, samples, units, 1), whatever their structure."""
    if isinstance(rows, OuterRows):
        return rows.dense()
    return rows.dense()[..., None] if isinstance(rows, DiagonalRows) else rows
