"""Lowering of maps, and of affine layers as if they were maps."""

from collections.abc import Callable, Sequence

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.compiler.general import GeneralStage, WiredParent
from manifoldnet.compiler.layout import Layout
from manifoldnet.compiler.lower_affine import Spaces, affine_parts, joined
from manifoldnet.compiler.spaces import ActivitySpace, ParameterSpace
from manifoldnet.compiler.stage import Slot
from manifoldnet.declare.layer import Edge, Layer
from manifoldnet.declare.links import keeps_to
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.geometry.real import Real
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.numpy.products import affine_row

Sizes = dict[str, int]


def lower_map(
    members: Sequence[Layer],
    spaces: Spaces,
    parameters: ParameterSpace | None,
    sizes: Sizes,
    stored: Layout,
    tangents: Layout,
) -> list[GeneralStage]:
    """Stages of layers that share a map: one for each combination of numbers of wired parents."""
    first = members[0]
    assert isinstance(first.map, Map)
    manifold = first.map.parameters
    fan_ins = numpy.concatenate([numpy.stack([e.mask.sum(axis=1) for e in layer.edges], axis=1) for layer in members])
    owners = [(layer, unit) for layer in members for unit in range(layer.size)]
    stages = []
    for fan_in in numpy.unique(fan_ins, axis=0):
        chosen = [owners[i] for i in numpy.nonzero((fan_ins == fan_in).all(axis=1))[0]]
        slots = _slots(chosen)
        stage = GeneralStage(
            slots=slots,
            group=None if parameters is None else Whole(_positions(slots, tangents), name=joined(members)),
            function=first.map.function,
            space=spaces[first.name],
            parents=_wired(slots, members, spaces, sizes),
            parameters=parameters,
            parameter_shape=(0,) if manifold is None else manifold.shape,
            passes_parameter=first.map.takes_parameter(len(first.edges)),
            stored=numpy.zeros((len(chosen), 0), dtype=int) if parameters is None else _positions(slots, stored),
            label=first.map.name,
            may_leave=not isinstance(first.manifold, Real),
        )
        stages.append(stage)
    return stages


def _slots(owners: Sequence[tuple[Layer, int]]) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for start, (layer, unit) in enumerate(owners):
        if slots and slots[-1].layer == layer.name:
            slots[-1] = attrs.evolve(slots[-1], units=numpy.append(slots[-1].units, unit))
        else:
            slots.append(Slot(layer.name, numpy.array([unit]), start))
    return tuple(slots)


def _positions(slots: Sequence[Slot], layout: Layout) -> NDArray[numpy.int_]:
    return numpy.concatenate([layout[slot.layer].positions(layout.size)[slot.units] for slot in slots])


def _wired(slots: Sequence[Slot], members: Sequence[Layer], spaces: Spaces, sizes: Sizes) -> tuple[WiredParent, ...]:
    by_name = {layer.name: layer for layer in members}
    found = []
    for position, edge in enumerate(members[0].edges):
        rows = [_linked(by_name[slot.layer].edges[position], slot.units) for slot in slots]
        space = spaces[edge.parent]
        found.append(WiredParent(edge.parent, numpy.concatenate(rows), space, sizes[edge.parent]))
    return tuple(found)


def _linked(edge: Edge, units: NDArray[numpy.int_]) -> NDArray[numpy.int_]:
    """The parent units that each of these units reads, (units, m); all of them read equally many."""
    mask = edge.mask[units]
    return numpy.asarray(edge.units)[numpy.nonzero(mask)[1]].reshape(len(units), -1)


def lower_affine_generally(
    members: Sequence[Layer], spaces: Spaces, sizes: Sizes, stored: Layout, tangents: Layout
) -> list[GeneralStage]:
    """Affine layers as general stages: what defines correctness for the closed form."""
    return [_affine_part(layer, spaces, sizes, stored, tangents) for layer in members]


def _affine_part(layer: Layer, spaces: Spaces, sizes: Sizes, stored: Layout, tangents: Layout) -> GeneralStage:
    """All units of a layer: those with fewer parents read one of them again, with a weight that is always zero."""
    parents = tuple(_padded_parent(edge, spaces[edge.parent], sizes) for edge in layer.edges if edge.mask.any())
    edges = [edge for edge in layer.edges if edge.mask.any()]
    return GeneralStage(
        slots=(Slot(layer.name, numpy.arange(layer.size), 0),),
        group=_unit_group(layer, _padded_positions(layer, edges, spaces, tangents), parents, tangents.size),
        function=_affine_function(layer, parents),
        space=spaces[layer.name],
        parents=parents,
        parameters=None,
        parameter_shape=(_width(layer, parents),),
        passes_parameter=True,
        stored=_padded_positions(layer, edges, spaces, stored),
        label=layer.map.name if layer.map else "",
        may_leave=isinstance(layer.map, Affine) and not keeps_to(layer.map.link, layer.manifold),
    )


def _padded_parent(edge: Edge, space: ActivitySpace, sizes: Sizes) -> WiredParent:
    linked = numpy.argsort(~edge.mask, axis=1, kind="stable")[:, : edge.mask.sum(axis=1).max()]
    return WiredParent(edge.parent, numpy.asarray(edge.units)[linked], space, sizes[edge.parent])


def _padded_positions(layer: Layer, edges: Sequence[Edge], spaces: Spaces, layout: Layout) -> NDArray[numpy.int_]:
    """Where the bias and the weights of every unit stand, edge by edge, `layout.size` where a parent is missing."""
    q = layer.manifold.dim
    own = layout[layer.name].positions(layout.size)
    own = numpy.concatenate([own, numpy.full((len(own), 1), layout.size)], axis=1)
    parts, start = [own[:, :q]], numpy.full((layer.size, 1), q)
    for edge in edges:
        counts = edge.mask.sum(axis=1)[:, None] * (spaces[edge.parent].manifold.hull_dim * q)
        steps = numpy.arange(counts.max())
        places = numpy.where(steps < counts, start + steps, own.shape[1] - 1)
        parts.append(numpy.take_along_axis(own, places, axis=1))
        start = start + counts
    return numpy.concatenate(parts, axis=1)


def _width(layer: Layer, parents: Sequence[WiredParent]) -> int:
    return layer.manifold.dim * (1 + sum(p.units.shape[1] * p.space.manifold.hull_dim for p in parents))


def _unit_group(layer: Layer, positions: NDArray[numpy.int_], parents: Sequence[WiredParent], padding: int) -> Units:
    q = start = layer.manifold.dim
    blocks = []
    for parent in parents:
        m, k = parent.units.shape[1], parent.space.manifold.hull_dim * q
        blocks.append(positions[:, start : start + m * k].reshape(len(positions), m, k))
        start += m * k
    return Units(positions[:, :q], tuple(blocks), padding, name=layer.name)


def _affine_function(layer: Layer, parents: Sequence[WiredParent]) -> Callable[..., NDArray]:
    """The affine map as a function of points, in the coordinates that its charts induce."""
    assert isinstance(layer.map, Affine)
    link, q = layer.map.link, layer.manifold.dim
    scale, shift = affine_parts(layer.preactivation_chart, q)
    inverse = numpy.linalg.inv(scale).T
    plain = scale[0, 0] == 1.0 and shift[0] == 0.0

    def scalar(theta: NDArray, *points: NDArray) -> NDArray:
        # one product with all that is read at once: slices of theta would each spread a derivative over all of it
        lead = np.shape(theta)[:-1]
        read = [_row(_read(p.space, point), lead) for p, point in zip(parents, points, strict=True)]
        y = affine_row(theta, read[0] if len(read) == 1 else np.concatenate(read, -1))
        return link.function(y if plain else (y - shift) @ inverse)

    def function(theta: NDArray, *points: NDArray) -> NDArray:
        y, start = theta[..., :q], q
        for parent, point in zip(parents, points, strict=True):
            m, e = parent.units.shape[1], parent.space.manifold.hull_dim
            weights = np.reshape(theta[..., start : start + m * e * q], (*theta.shape[:-1], m * e, q))
            read = np.reshape(_read(parent.space, point), (*theta.shape[:-1], 1, m * e))
            y = y + (read @ weights)[..., 0, :]
            start += m * e * q
        return link.function((y - shift) @ inverse)

    return scalar if q == 1 else function


def _row(read: NDArray, lead: tuple[int, ...]) -> NDArray:
    """What is read of a parent's units as one row of numbers for each entry of the leading axes."""
    return read if np.ndim(read) == len(lead) + 1 else np.reshape(read, (*lead, -1))


def _read(space: ActivitySpace, points: NDArray) -> NDArray:
    if space.is_trivial and space.manifold.hull_dim == space.size:
        return points
    hull = space.manifold.hull(points)
    if space.chart is None or not space.reads_chart:
        return hull
    return hull @ space.chart.scale.T + space.chart.shift
