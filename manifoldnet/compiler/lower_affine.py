"""Lowering of affine layers: columns, blocks and where each weight stands."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.columns import ColumnSource, ParentBlocks
from manifoldnet.compiler.layout import Layout, Place
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.compiler.stage import Slot
from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Affine
from manifoldnet.errors import CompilationError
from manifoldnet.geometry.chart import Chart
from manifoldnet.linalg.units import Units, Whole

Spaces = dict[str, ActivitySpace]


@final
@attrs.frozen(eq=False)
class Links:
    """All candidate parents of a layer's units side by side: who is linked, how wide, and from where."""

    mask: NDArray[numpy.bool_]
    widths: NDArray[numpy.int_]
    columns: NDArray[numpy.int_]
    first_weight: NDArray[numpy.int_]


def lower_affine(
    members: Sequence[Layer], spaces: Spaces, sizes: dict[str, int], layout: Layout, tangents: Layout
) -> AffineStage:
    """One stage for layers that share a link, a manifold and charts."""
    first = members[0]
    assert isinstance(first.map, Affine)
    q = first.manifold.dim
    sources = column_sources(members, spaces, sizes)
    links = [_links(layer, spaces, sources, layout) for layer in members]
    widths = sorted({int(e) for link in links for e in link.widths[link.mask.any(axis=0)]})
    units = sum(layer.size for layer in members)
    bias = numpy.concatenate([_starts(layer, layout)[:, None] + numpy.arange(q) for layer in members])
    found = [_blocks_of_width(e, q, links, units, layout.size, sources[-1].stop) for e in widths]
    scale, shift = affine_parts(first.preactivation_chart, q)
    labels = tuple(f"{layer.name}[{unit}]" for layer in members for unit in range(layer.size))
    stored = Units(bias, tuple(weights for _, weights in found), layout.size, name=joined(members), labels=labels)
    return AffineStage(
        slots=_slots(members),
        stored=stored,
        group=among_tangents(stored, [layer.name for layer in members for _ in range(layer.size)], layout, tangents),
        link=first.map.link,
        space=spaces[first.name],
        sources=sources,
        blocks=tuple(blocks for blocks, _ in found),
        preactivation_scale=scale,
        preactivation_shift=shift,
        dense=all((blocks.columns == blocks.columns[:1]).all() for blocks, _ in found)
        and all(link.mask.all() for link in links),
    )


def joined(members: Sequence[Layer]) -> str:
    """The names of the layers of a stage, for messages."""
    return ", ".join(layer.name for layer in members)


def among_tangents(stored: Units, owners: Sequence[str], layout: Layout, tangents: Layout) -> Units:
    """Where the same entries stand in a tangent: curved parameters of other layers take fewer numbers there."""
    shift = numpy.array([tangents[name].offset - layout[name].offset for name in owners])

    def moved(positions: NDArray[numpy.int_]) -> NDArray[numpy.int_]:
        shifted = positions + shift.reshape(-1, *(1,) * (positions.ndim - 1))
        return numpy.where(positions == layout.size, tangents.size, shifted)

    return attrs.evolve(
        stored, bias=moved(stored.bias), parents=[moved(part) for part in stored.parents], padding=tangents.size
    )


def lower_recharted(
    layer: Layer, spaces: Spaces, sizes: dict[str, int], layout: Layout, tangents: Layout
) -> RechartedStage:
    """A stage of affine units whose parameters are stored in a chart of the user's."""
    assert layer.parameter_chart is not None
    place = layout[layer.name]
    own = Layout((Place(layer.name, 0, place.counts),))
    return RechartedStage(
        lower_affine([layer], spaces, sizes, own, own),
        layer.parameter_chart,
        place.positions(layout.size),
        Whole(tangents[layer.name].positions(tangents.size), name=layer.name),
    )


def affine_parts(chart: Chart | None, q: int) -> tuple[NDArray, NDArray]:
    """The scale (q, q) and shift (q,) of a pre-activation chart, identity for None."""
    if chart is None or chart.scale is None or chart.shift is None:
        return numpy.eye(q), numpy.zeros(q)
    return chart.scale, chart.shift


def _slots(members: Sequence[Layer]) -> tuple[Slot, ...]:
    starts = numpy.cumsum([0] + [layer.size for layer in members])
    return tuple(
        Slot(layer.name, numpy.arange(layer.size), int(start))
        for layer, start in zip(members, starts[:-1], strict=True)
    )


def column_sources(members: Sequence[Layer], spaces: Spaces, sizes: dict[str, int]) -> tuple[ColumnSource, ...]:
    """The parent units that any member reads, layer by layer, and the columns they fill."""
    read: dict[str, set[int]] = {}
    for layer in members:
        for edge in layer.edges:
            linked = numpy.asarray(edge.units)[edge.mask.any(axis=0)]
            read.setdefault(edge.parent, set()).update(int(u) for u in linked)
    found, start = [], 0
    for parent, units in read.items():
        chosen = numpy.array(sorted(units), dtype=int)
        source = ColumnSource(parent, chosen, len(chosen) == sizes[parent], spaces[parent], start)
        found.append(source)
        start = source.stop
    return tuple(found)


def _links(layer: Layer, spaces: Spaces, sources: tuple[ColumnSource, ...], layout: Layout) -> Links:
    by_layer = {source.layer: source for source in sources}
    widths, columns = [], []
    for edge in layer.edges:
        source, e = by_layer[edge.parent], spaces[edge.parent].manifold.hull_dim
        # units that nothing reads have no column; their mask is false, so any number serves
        columns.append(source.start + e * numpy.searchsorted(source.units, edge.units))
        widths.append(numpy.full(len(edge.units), e))
    mask = numpy.concatenate([edge.mask for edge in layer.edges], axis=1)
    column, first = numpy.concatenate(columns), numpy.concatenate(first_weights(layer, spaces, layout), axis=1)
    _check_distinct(layer, mask, column)
    return Links(mask, numpy.concatenate(widths), column, first)


def first_weights(layer: Layer, spaces: Spaces, layout: Layout) -> list[NDArray[numpy.int_]]:
    """For each edge, where the weights of each link begin in the flat vector, (units, parent units)."""
    q = layer.manifold.dim
    found, start = [], _starts(layer, layout)[:, None] + q
    for edge in layer.edges:
        step = q * spaces[edge.parent].manifold.hull_dim
        ends = numpy.cumsum(edge.mask * step, axis=1)
        found.append(start + ends - edge.mask * step)
        start = start + ends[:, -1:]
    return found


def _check_distinct(layer: Layer, mask: NDArray[numpy.bool_], columns: NDArray[numpy.int_]) -> None:
    values, counts = numpy.unique(columns, return_counts=True)
    for column in values[counts > 1]:
        twice = mask[:, columns == column].sum(axis=1) > 1
        if twice.any():
            raise CompilationError(
                f"unit {layer.name}[{int(numpy.argmax(twice))}] is affine and reads one parent unit twice, which would "
                "give it two weights with the same effect: make the slices in parents= disjoint"
            )


def _starts(layer: Layer, layout: Layout) -> NDArray[numpy.int_]:
    return layout[layer.name].positions(layout.size)[:, 0]


def _blocks_of_width(
    e: int, q: int, links: Sequence[Links], units: int, padding: int, columns: int
) -> tuple[ParentBlocks, NDArray[numpy.int_]]:
    """Columns and weights of the parents of width e, short rows padded."""
    count = max(int((link.mask & (link.widths == e)).sum(axis=1).max()) for link in links)
    first_column, first_weight = [], []
    for link in links:
        chosen = link.mask & (link.widths == e)
        order = numpy.argsort(~chosen, axis=1, kind="stable")[:, :count]
        real = numpy.take_along_axis(chosen, order, axis=1)
        missing = count - order.shape[1]
        column = numpy.where(real, link.columns[order], columns)
        weight = numpy.where(real, numpy.take_along_axis(link.first_weight, order, axis=1), padding)
        first_column.append(numpy.pad(column, ((0, 0), (0, missing)), constant_values=columns))
        first_weight.append(numpy.pad(weight, ((0, 0), (0, missing)), constant_values=padding))
    column, weight = numpy.concatenate(first_column), numpy.concatenate(first_weight)
    spread = numpy.minimum(column[..., None] + numpy.arange(e), columns)
    positions = numpy.minimum(weight[..., None] + numpy.arange(e * q), padding)
    rows = spread[..., None] * (units * q)
    cells = rows + (numpy.arange(units) * q)[:, None, None, None] + numpy.arange(q)
    return ParentBlocks(spread, cells.reshape(units, count, e * q)), positions
