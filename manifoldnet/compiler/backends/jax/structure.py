"""A lowered network as a hashable structure, traced arrays, and the way between flat vectors and arrays by unit."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.backends.jax.affine import AffineShape
from manifoldnet.compiler.backends.jax.affine_arrays import affine_arrays, affine_shape
from manifoldnet.compiler.backends.jax.general import general_arrays, general_shape
from manifoldnet.compiler.backends.jax.padding import Room, rounded
from manifoldnet.compiler.backends.jax.recharted import (
    RechartedShape,
    padded_index,
    recharted_arrays,
    recharted_shape,
)
from manifoldnet.compiler.backends.jax.spaces import Space, space_arrays, space_of
from manifoldnet.compiler.backends.jax.stage import StageShape
from manifoldnet.compiler.engine import Precision
from manifoldnet.compiler.general import GeneralStage
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.stage import Stage
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.layer import Declaration
from manifoldnet.errors import CompilationError
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.units import Group, Units, Whole

ByUnit = tuple[Any, ...]


@final
@attrs.frozen
class LayerShape:
    """A layer: its name, size and space."""

    name: str
    size: int
    space: Space
    is_input: bool


@final
@attrs.frozen
class OutputShape:
    """An interpretation, the layers it reads (units None for all in order), and its number of output parameters."""

    name: str
    interpretation: Interpretation
    sources: tuple[tuple[str, tuple[int, ...] | None], ...]
    parameters: int


@final
@attrs.frozen(cache_hash=True)
class Structure:
    """What a compiled function depends on beside arrays; networks of equal structure share it."""

    layers: tuple[LayerShape, ...]
    stages: tuple[StageShape, ...]
    outputs: tuple[OutputShape, ...]

    def layer(self, name: str) -> LayerShape:
        return next(layer for layer in self.layers if layer.name == name)


@final
@attrs.frozen(eq=False)
class Packing:
    """Between a network's flat vectors and arrays by unit: one for each stage with parameters, then output parameters.

    `stored` and `tangents` hold positions (units, width) in the two kinds of flat vectors, their size where padded;
    `kept` says which of the padded places each group of the partition has.
    """

    stored: tuple[NDArray[numpy.int_], ...]
    tangents: tuple[NDArray[numpy.int_], ...]
    kept: tuple[NDArray[numpy.int_], ...]
    groups: tuple[Group, ...]
    stored_size: int
    size: int

    def parameters(self, flat: NDArray) -> tuple[NDArray, ...]:
        """Stored parameters by unit, zero where padded."""
        padded = numpy.append(flat, 0.0)
        return tuple(padded[index] for index in self.stored)

    def vectors(self, flat: NDArray) -> tuple[NDArray, ...]:
        """Tangents or covectors by unit, zero where padded."""
        padded = numpy.append(flat, 0.0)
        return tuple(padded[index] for index in self.tangents)

    def flat_vector(self, by_unit: Sequence[Any]) -> NDArray:
        """The flat tangent or covector, (..., size), of arrays (..., units, width)."""
        return _flat(by_unit, self.tangents, self.size)

    def masks(self) -> tuple[NDArray, ...]:
        """One where a tangent by unit has an entry, zero where it is padded."""
        return tuple((index != self.size).astype(numpy.float64) for index in self.tangents)

    def entries(self, position: int, values: tuple) -> Entries:
        """The entries of a group of affine units from padded ones."""
        bias, cross, own = values
        group = self.groups[position]
        counts = [part.shape[1] for part in group.parents] if isinstance(group, Units) else [len(c[0]) for c in cross]
        return Entries(
            numpy.asarray(bias),
            [numpy.asarray(part)[:, :count] for part, count in zip(cross, counts, strict=True)],
            [numpy.asarray(part)[:, :count] for part, count in zip(own, counts, strict=True)],
        )

    def blocks(self, position: int, values: Any) -> NDArray:
        """The blocks of a group from padded ones."""
        kept = self.kept[position]
        return numpy.asarray(values)[:, kept[:, None], kept]

    def diagonal(self, position: int, values: Any) -> NDArray:
        """The diagonals of a group's blocks from padded ones."""
        return numpy.asarray(values)[:, self.kept[position]]


def columns(positions: Sequence[NDArray[numpy.int_]], size: int) -> NDArray[numpy.int_]:
    """For each entry of a flat vector, where it stands among arrays by unit that are laid side by side."""
    everywhere = numpy.concatenate([index.reshape(-1) for index in positions])
    found = numpy.empty(size + 1, dtype=int)
    found[everywhere] = numpy.arange(len(everywhere))
    return found[:-1]


def _flat(by_unit: Sequence[Any], positions: Sequence[NDArray[numpy.int_]], size: int) -> NDArray:
    lead = numpy.shape(by_unit[0])[:-2] if by_unit else ()
    flat = numpy.zeros((*lead, size + 1))
    for index, values in zip(positions, by_unit, strict=True):
        flat[..., index] = numpy.asarray(values)
    return flat[..., :size]


@final
@attrs.frozen(eq=False)
class Network:
    """A network for compiled functions: its structure, its traced arrays, and its packing."""

    structure: Structure
    arrays: dict[str, Any]
    packing: Packing
    room: Room
    precision: Precision = "float64"


def network_of(
    declaration: Declaration, lowered: Lowered, room: Room | None = None, precision: Precision = "float64"
) -> Network:
    """Take a lowered network apart, its rows as long as `room` says."""
    room = tuple(map(_room, lowered.stages)) if room is None else room
    sizes = {layer.name: layer.size for layer in declaration.layers}
    shapes = tuple(_shape(stage, sizes, own) for stage, own in zip(lowered.stages, room, strict=True))
    spaces = lowered.spaces
    structure = Structure(
        tuple(
            LayerShape(layer.name, layer.size, space_of(spaces[layer.name]), layer.is_input)
            for layer in declaration.layers
        ),
        shapes,
        tuple(_output(output, sizes, lowered) for output in declaration.outputs),
    )
    arrays = {
        "stages": [_arrays(stage, shape) for stage, shape in zip(lowered.stages, shapes, strict=True)],
        "spaces": {name: space_arrays(space) for name, space in spaces.items()},
    }
    return Network(structure, arrays, _packing(structure, lowered), room, precision)


def _room(stage: Stage) -> tuple[int, ...]:
    affine = stage.affine if isinstance(stage, RechartedStage) else stage
    if not isinstance(affine, AffineStage):
        return ()
    # where all units read the same, or have a chart of their parameters, no row is shorter than another
    ragged = not affine.dense and affine is stage
    return tuple(rounded(p.shape[1]) if ragged else p.shape[1] for p in affine.stored.parents)


def _shape(stage: Stage, sizes: dict[str, int], room: tuple[int, ...]) -> StageShape:
    if isinstance(stage, AffineStage):
        return affine_shape(stage, room)
    if isinstance(stage, RechartedStage):
        return recharted_shape(stage, room)
    if isinstance(stage, GeneralStage):
        return general_shape(stage, sizes)
    raise CompilationError(f"the JAX backend knows no stages of kind {type(stage).__name__}: use backend='autograd'")


def _arrays(stage: Stage, shape: StageShape) -> dict[str, Any]:
    if isinstance(stage, AffineStage):
        assert isinstance(shape, AffineShape)
        return affine_arrays(stage, shape)
    if isinstance(stage, RechartedStage):
        assert isinstance(shape, RechartedShape)
        return recharted_arrays(stage, shape)
    assert isinstance(stage, GeneralStage)
    return general_arrays(stage)


def _output(output: Any, sizes: dict[str, int], lowered: Lowered) -> OutputShape:
    sources = tuple(
        (s.layer, None if tuple(s.units) == tuple(range(sizes[s.layer])) else tuple(int(u) for u in s.units))
        for s in output.sources
    )
    count = lowered.tangents[output.name].counts[0] if output.name in lowered.tangents else 0
    return OutputShape(output.name, output.interpretation, sources, count)


def _packing(structure: Structure, lowered: Lowered) -> Packing:
    stored, tangents, kept = [], [], []
    groups: list[Group] = []
    with_parameters = [
        (stage, shape) for stage, shape in zip(lowered.stages, structure.stages, strict=True) if stage.group is not None
    ]
    for stage, shape in with_parameters:
        here, there, places = _positions(stage, shape, lowered)
        stored.append(here)
        tangents.append(there)
        kept.append(places)
        assert stage.group is not None
        groups.append(stage.group)
    for output in structure.outputs:
        if output.parameters:
            stored.append(lowered.stored[output.name].positions(lowered.stored.size))
            tangents.append(lowered.tangents[output.name].positions(lowered.tangents.size))
            kept.append(numpy.arange(output.parameters))
            groups.append(Whole(tangents[-1], lowered.tangents.size, name=output.name))
    return Packing(
        tuple(stored),
        tuple(tangents),
        tuple(kept),
        tuple(groups),
        lowered.stored.size,
        lowered.tangents.size,
    )


def _positions(stage: Stage, shape: StageShape, lowered: Lowered) -> tuple[NDArray, NDArray, NDArray]:
    """Positions of a stage's stored numbers and tangents, and which of the padded places its group has."""
    group = stage.group
    assert group is not None
    if isinstance(stage, AffineStage):
        assert isinstance(shape, AffineShape)
        here = padded_index(stage.stored, shape.blocks, lowered.stored.size)
        there = padded_index(stage.group, shape.blocks, lowered.tangents.size)
        return here, there, _kept(stage.group, shape.blocks)
    assert isinstance(stage, RechartedStage | GeneralStage)
    return stage.stored, group.index, numpy.arange(group.index.shape[1])


def _kept(group: Units, blocks: tuple[tuple[int, int], ...]) -> NDArray[numpy.int_]:
    places, start = [numpy.arange(group.q)], group.q
    for part, (parents, _) in zip(group.parents, blocks, strict=True):
        k = part.shape[2]
        places.append(start + numpy.arange(part.shape[1] * k))
        start += parents * k
    return numpy.concatenate(places)
