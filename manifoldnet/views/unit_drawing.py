"""Pictures of networks unit by unit: colour by modulus, links as wide as their weights."""

import html
import math
from collections.abc import Iterator, Mapping
from typing import final

import attrs
import graphviz
import numpy

from manifoldnet.compiler.program import Program
from manifoldnet.declare.layer import Declaration, Layer, Output
from manifoldnet.declare.network import Network
from manifoldnet.errors import ManifoldNetError
from manifoldnet.views.looks import FAINT, FONT, INK, INTERPRETATION, LINE, identifier, quoted, shape_of
from manifoldnet.views.text import manifold_text, plural
from manifoldnet.views.unit_places import Block, curve, placed
from manifoldnet.views.unit_values import UnitValues

# From pale to dark; moduli are shown on a logarithmic scale over at most so many decades.
SHADES = ("#f2f0f7", "#dadaeb", "#bcbddc", "#9e9ac8", "#807dba", "#6a51a3", "#4a1486")
DECADES = 4.0
POSITIVE, NEGATIVE, NEITHER = "#c2502e", "#2e6fb5", LINE
# More links than these cannot be told apart: the strongest are drawn.
MOST_LINKS, MOST_UNITS = 700, 5000
# Up to so many links none has to be faint.
FEW_LINKS = 150


class TooManyUnitsError(ManifoldNetError, ValueError):
    """A picture of so many units would show nothing."""


@final
@attrs.frozen
class Link:
    """A link from a parent's unit; `strength` in 0..1 is its weight beside the largest one of its layer."""

    parent: str
    parent_unit: int
    layer: str
    unit: int
    weight: float | None
    strength: float
    signed: bool

    @property
    def colour(self) -> str:
        if self.weight is None or not self.signed:
            return NEITHER
        return POSITIVE if self.weight > 0.0 else NEGATIVE


def unit_drawing(net: Network, program: Program, values: UnitValues, note: str = "") -> graphviz.Digraph:
    """A network unit by unit, from left to right, as a graph of the graphviz package.

    Units are the darker the larger their modulus, on a logarithmic scale; inputs are white. Links are as wide as their
    weights beside the largest one of their layer, red where positive and blue where negative; grey where a weight has
    several dimensions, and all alike where units are not affine. Of more than 700 links each unit's strongest and then the
    strongest of all are drawn, and the picture says so. `note` is written below, beside what the colours mean.

    Raises TooManyUnitsError beyond 5,000 units.
    """
    declaration = program.declaration
    total = sum(layer.size for layer in declaration.layers)
    if total > MOST_UNITS:
        raise TooManyUnitsError(
            f"network {declaration.name!r} has {total:,} units, and at most {MOST_UNITS:,} can be told apart in a picture: "
            "draw its layers, without --units"
        )
    links, count = drawn_links(declaration, values)
    blocks = placed(declaration, net.graph)
    sheet = Sheet(_empty(declaration), values, Scale.of(values), blocks)
    for layer in declaration.layers:
        sheet.layer(layer)
    for link in links:
        sheet.link(link, few=len(links) <= FEW_LINKS)
    for output in declaration.outputs:
        sheet.output(output)
    sheet.legend(_sentences(values, len(links), count, note))
    return sheet.graph


@final
@attrs.frozen
class Scale:
    """Moduli as shades, between two powers of ten or the values themselves."""

    low: float
    high: float

    @classmethod
    def of(cls, values: UnitValues) -> "Scale":
        known = [part for part in values.moduli.values() if part.size]
        numbers = numpy.concatenate(known) if known else numpy.zeros(1)
        high = float(numbers.max())
        positive = numbers[numbers > 0.0]
        low = float(positive.min()) if positive.size else 0.0
        return cls(max(low, high * 10.0**-DECADES), high)

    def shade(self, value: float) -> str:
        """The colour of a modulus."""
        if value <= 0.0 or self.high <= self.low:
            return SHADES[0] if value <= 0.0 else SHADES[len(SHADES) // 2]
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return SHADES[min(len(SHADES) - 1, int(share * len(SHADES)))]


def drawn_links(declaration: Declaration, values: UnitValues, most: int = MOST_LINKS) -> tuple[list[Link], int]:
    """The links to draw, faint ones first, and how many there are in all."""
    links = [link for layer in declaration.layers for link in _links(layer, values)]
    if len(links) <= most:
        return sorted(links, key=lambda link: link.strength), len(links)
    strongest: dict[tuple[str, int], Link] = {}
    for link in links:
        key = (link.layer, link.unit)
        if key not in strongest or link.strength > strongest[key].strength:
            strongest[key] = link
    kept = list(strongest.values())
    rest = sorted(set(links) - set(kept), key=lambda link: -link.strength)
    return sorted([*kept, *rest[: max(0, most - len(kept))]], key=lambda link: link.strength), len(links)


def _links(layer: Layer, values: UnitValues) -> Iterator[Link]:
    weights = values.weights.get(layer.name)
    largest = (
        1.0 if weights is None else max((float(numpy.nanmax(numpy.abs(part.values))) for part in weights), default=1.0)
    )
    for number, edge in enumerate(layer.edges):
        signed = weights is not None and weights[number].signed
        for unit, place in zip(*(found.tolist() for found in numpy.nonzero(edge.mask)), strict=True):
            weight = None if weights is None else float(weights[number].values[unit, place])
            strength = 0.4 if weight is None else abs(weight) / largest if largest else 0.0
            yield Link(edge.parent, edge.units[place], layer.name, unit, weight, strength, signed)


def _empty(declaration: Declaration) -> graphviz.Digraph:
    graph = graphviz.Digraph(declaration.name)
    # every place and line is given: nop2 takes them as they are
    graph.attr("graph", layout="nop2", outputorder="edgesfirst")
    graph.attr("graph", pad="0.25", bgcolor="white", fontname=FONT, fontcolor=INK)
    graph.attr("node", fontname=FONT, fontcolor=INK, fixedsize="true", label="", style="filled", penwidth="0.8")
    graph.attr("edge", dir="none", fontname=FONT)
    return graph


@final
@attrs.frozen(eq=False)
class Sheet:
    """A picture under way, in which every unit has its place."""

    graph: graphviz.Digraph
    values: UnitValues
    scale: Scale
    blocks: Mapping[str, Block]

    def layer(self, layer: Layer) -> None:
        """Draw the units of a layer under its name."""
        lines = (plural(layer.size, "unit"), manifold_text(layer.manifold))
        block = self.blocks[layer.name]
        self._heading(block, layer.name, lines)
        self._units(layer, block)

    def _units(self, layer: Layer, block: Block) -> None:
        moduli = self.values.moduli.get(layer.name)
        # among many small nodes a circle is read best: only curved manifolds keep their shapes
        shape = {"box": "circle", "rounded": "circle"}.get(shape_of(layer.manifold), shape_of(layer.manifold))
        for unit in range(layer.size):
            told = "input" if moduli is None else f"{self.values.kind} {moduli[unit]:.3g}"
            fill = "#ffffff" if moduli is None else self.scale.shade(float(moduli[unit]))
            self.graph.node(
                _unit(layer.name, unit),
                shape=shape,
                fillcolor=fill,
                color="#9a9284" if moduli is None else "#6a5f8f",
                tooltip=quoted(f"{layer.name}[{unit}]: {told}"),
                label=str(unit) if layer.size > 1 and block.columns == 1 else "",
                fontsize="9",
                fontcolor="#ffffff" if fill in SHADES[4:] else INK,
                **_size(block.diameter, block.diameter),
                **_at(block.place(unit)),
            )

    def _heading(self, block: Block, name: str, lines: tuple[str, ...]) -> None:
        height = 15.0 * (1 + len(lines))
        self.graph.node(
            identifier(f"heading of {name}"),
            label=f"<{_heading(name, lines)}>",
            shape="box",
            # links that pass behind a name stay faint
            fillcolor="#ffffffcc",
            color="#ffffff00",
            tooltip=quoted(", ".join([name, *lines])),
            **_at((block.middle, block.top + block.pitch / 2.0 + height / 2.0 + 4.0)),
            **_size(max(30.0, 5.0 * max(map(len, lines))), height),
        )

    def link(self, link: Link, few: bool) -> None:
        """Draw a link; where there are many, the weaker ones are faint."""
        opacity = 0.5 + 0.45 * link.strength if few else 0.08 + 0.6 * link.strength**2
        told = "" if link.weight is None else f": weight {link.weight:.3g}"
        self.graph.edge(
            _unit(link.parent, link.parent_unit),
            _unit(link.layer, link.unit),
            color=f"{link.colour}{round(255 * min(1.0, opacity)):02x}",
            penwidth=f"{0.3 + (2.7 if few else 1.7) * link.strength:.2f}",
            pos=self._line(link.parent, link.parent_unit, link.layer, link.unit),
            tooltip=quoted(f"{link.parent}[{link.parent_unit}] to {link.layer}[{link.unit}]{told}"),
        )

    def output(self, output: Output) -> None:
        """Draw an interpretation, and a faint line from every unit that it reads."""
        kind = type(output.interpretation).__name__
        self.graph.node(
            identifier(output.name),
            label=kind,
            fontsize="11",
            tooltip=quoted(f"{output.name}, {kind}"),
            **INTERPRETATION.attributes("rounded"),
            **_size(14.0 + 6.6 * len(kind), 28.0),
            **_at(self.blocks[output.name].place(0)),
        )
        for source in output.sources:
            for unit in source.units:
                told = f"{source.layer}[{unit}] is read by {output.name}"
                ends = _unit(source.layer, unit), identifier(output.name)
                self.graph.edge(
                    *ends,
                    color=f"{LINE}88",
                    penwidth="0.6",
                    tooltip=quoted(told),
                    pos=self._line(source.layer, unit, output.name, 0),
                )

    def _line(self, parent: str, parent_unit: int, layer: str, unit: int) -> str:
        """From centre to centre, around the layers in between."""
        start, end = self.blocks[parent], self.blocks[layer]
        between = [block for block in self.blocks.values() if start.level < block.level < end.level]
        return curve(start.place(parent_unit), end.place(unit), between)

    def legend(self, lines: list[str]) -> None:
        """Say below what colours and widths mean."""
        label = f"<{_legend(self.values, self.scale, lines)}>"
        left = min(block.left for block in self.blocks.values())
        bottom = min(block.top - block.height for block in self.blocks.values())
        # letters of ten points are at most six wide, and the shades take 7 x 20
        first = 6.0 * len(_told(self.values)) + 7 * 20.0 + 80.0
        width, height = max(first, *(6.0 * len(line) for line in lines)), 16.0 * (1 + len(lines)) + 6.0
        place = (left + width / 2.0 - 16.0, bottom - height / 2.0 - 40.0)
        looks = {"shape": "box", "style": "", "color": "#ffffff00", "tooltip": "legend"}
        self.graph.node("legend", label=label, **looks, **_at(place), **_size(width, height))


def _sentences(values: UnitValues, drawn: int, count: int, note: str) -> list[str]:
    links = f"{count:,} links" if drawn == count else f"the {drawn:,} strongest of {count:,} links"
    found = [f"{links}, as wide as their weights: red positive, blue negative"] if values.weights else [links]
    return [*found, *([note] if note else [])]


def _heading(name: str, lines: tuple[str, ...]) -> str:
    small = [f'<FONT POINT-SIZE="9" COLOR="{FAINT}">{html.escape(line)}</FONT>' for line in lines]
    return "<BR/>".join([f'<B><FONT POINT-SIZE="13">{html.escape(name)}</FONT></B>', *small])


def _legend(values: UnitValues, scale: Scale, lines: list[str]) -> str:
    small = f'POINT-SIZE="10" COLOR="{FAINT}"'
    told = _told(values)
    low = f"{scale.low:.2g}" if scale.low < scale.high else ""
    cells = [f"<TD><FONT {small}>{html.escape(text)}</FONT></TD>" for text in (told, low) if text]
    cells += [f'<TD BGCOLOR="{shade}" WIDTH="20" HEIGHT="10" FIXEDSIZE="TRUE"></TD>' for shade in SHADES]
    cells += [f"<TD><FONT {small}>{scale.high:.2g}</FONT></TD>"]
    rows = ["".join(cells)]
    rows += [f'<TD COLSPAN="{len(cells)}" ALIGN="LEFT"><FONT {small}>{html.escape(line)}</FONT></TD>' for line in lines]
    table = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{table}</TABLE>'


def _told(values: UnitValues) -> str:
    return f"{values.kind} of a unit, averaged over {plural(values.samples, 'sample')}: "


def _unit(layer: str, unit: int) -> str:
    return identifier(f"{layer}[{unit}]")


def _at(place: tuple[float, float]) -> dict[str, str]:
    return {"pos": f"{place[0]:.1f},{place[1]:.1f}"}


def _size(width: float, height: float) -> dict[str, str]:
    return {"width": f"{width / 72.0:.3f}", "height": f"{height / 72.0:.3f}"}


__all__ = ["Scale", "TooManyUnitsError", "drawn_links", "unit_drawing"]
