"""Pictures of networks: layers and interpretations as nodes, edges by their wiring."""

import html
from pathlib import Path
from typing import Any

import graphviz
import networkx

from manifoldnet.compiler.layout import Layout
from manifoldnet.compiler.lowering import lower
from manifoldnet.declare.layer import Declaration, Layer, Output
from manifoldnet.declare.network import Network
from manifoldnet.views.description import layer_facts, output_facts
from manifoldnet.views.dot import write_picture
from manifoldnet.views.looks import (
    FAINT,
    FONT,
    INK,
    INPUT,
    INTERPRETATION,
    LAYER,
    LINE,
    identifier,
    quoted,
    shape_of,
)
from manifoldnet.views.text import plural, units_text

# so many edges in a row can be read on one line of a page
WIDEST = 4


def drawing(net: Network) -> graphviz.Digraph:
    """A network as a graph of the graphviz package, inputs at the left, or below if there are many levels.

    The shape of a node is that of its manifold: a box is R^n, with round corners an interval, an ellipse a sphere, a
    hexagon a simplex, an octagon SPD, a house the positive numbers, stacked boxes a product. Inputs are grey, layers
    blue, interpretations dashed. Each says its manifold, chart, map and parameters. Edges are thick where every unit
    reads every other, thin with the name of their wiring elsewhere.

    Raises GraphError or DeclarationError where the network is not complete.

    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> y = net.layer("y", size=2, map=mn.Affine(), parents=[net.input("x", size=9)])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> "x -> y" in drawing(net).source
    True
    """
    declaration = net.validated()
    layout = lower(declaration).tangents
    graph = _empty(declaration, upwards=networkx.dag_longest_path_length(net.graph) > WIDEST)
    for layer in declaration.layers:
        _draw_layer(graph, declaration, layer, layout)
    for output in declaration.outputs:
        _draw_output(graph, declaration, output, layout)
    return graph


def render(net: Network, path: str | Path) -> Path:
    """Draw a network into a file, .svg, .png, .pdf or .dot by its suffix; the whole file or none.

    Raises DrawingError for another suffix, MissingExtraError where there is no Graphviz.
    """
    return write_picture(drawing(net), path)


def _empty(declaration: Declaration, upwards: bool) -> graphviz.Digraph:
    graph = graphviz.Digraph(declaration.name)
    direction = "BT" if upwards else "LR"
    graph.attr("graph", rankdir=direction, nodesep="0.4", ranksep="0.4", pad="0.25", bgcolor="white")
    graph.attr("node", shape="box", fontname=FONT, fontsize="13", fontcolor=INK, margin="0.12,0.06", penwidth="1.2")
    graph.attr("edge", fontname=FONT, fontsize="10", fontcolor=FAINT, color=LINE, arrowsize="0.7")
    return graph


def _draw_layer(graph: graphviz.Digraph, declaration: Declaration, layer: Layer, layout: Layout) -> None:
    looks = (INPUT if layer.is_input else LAYER).attributes(shape_of(layer.manifold))
    _node(graph, layer.name, plural(layer.size, "unit"), _layer_lines(layer_facts(layer, layout)), looks)
    for edge in layer.edges:
        read = _read_units(declaration, edge.parent, edge.units)
        wiring = [] if edge.is_dense else [edge.wiring.name]
        told = f"{edge.parent} to {layer.name}, {edge.wiring.name}, {plural(int(edge.mask.sum()), 'link')}"
        _edge(graph, edge.parent, layer.name, [*read, *wiring], told, "2.2" if edge.is_dense else "1.0")


def _draw_output(graph: graphviz.Digraph, declaration: Declaration, output: Output, layout: Layout) -> None:
    facts = output_facts(output, layout)
    lines = [plural(facts["parameters"], "output parameter")] if facts["parameters"] else []
    _node(graph, output.name, facts["interpretation"], lines, INTERPRETATION.attributes("rounded"))
    for source in output.sources:
        read = _read_units(declaration, source.layer, source.units)
        _edge(graph, source.layer, output.name, read, f"{output.name} reads {source.layer}", "1.0")


def _layer_lines(facts: dict[str, Any]) -> list[str]:
    chart = "centred charts" if facts["chart"] is None else f"{facts['chart']} chart"
    lines = [f"{facts['manifold']}, {chart}"]
    if facts["map"] is not None:
        lines.append(facts["map"])
        lines.append(plural(facts["parameters"], "parameter") if facts["parameters"] else "no parameters")
    return lines


def _read_units(declaration: Declaration, layer: str, units: tuple[int, ...]) -> list[str]:
    """Which units are read, where it is not all of them in order."""
    if units == tuple(range(declaration.layer(layer).size)):
        return []
    return [f"{layer}[{units_text(units)}]"]


def _node(graph: graphviz.Digraph, name: str, kind: str, lines: list[str], looks: dict[str, str]) -> None:
    head = f'<B>{html.escape(name)}</B>   <FONT COLOR="{FAINT}">{html.escape(kind)}</FONT>'
    rows = [f'<FONT POINT-SIZE="10">{html.escape(line)}</FONT>' for line in lines]
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in [head, *rows])
    label = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{cells}</TABLE>>'
    graph.node(identifier(name), label=label, tooltip=quoted(", ".join([name, kind, *lines])), **looks)


def _edge(graph: graphviz.Digraph, tail: str, head: str, words: list[str], told: str, width: str) -> None:
    # spaces keep the text off the line
    label = {"label": quoted(f"  {', '.join(words)}  ")} if words else {}
    graph.edge(identifier(tail), identifier(head), tooltip=quoted(told), penwidth=width, **label)
