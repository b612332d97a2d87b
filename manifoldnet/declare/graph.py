"""Networks as networkx graphs, and back."""

import json
from collections.abc import Mapping
from typing import Any

import networkx
import numpy

from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.recharting import parameter_manifold
from manifoldnet.declare.textual import Reader, Written, links_of
from manifoldnet.declare.validation import shown_cycle
from manifoldnet.declare.wiring import Dense, Wiring, as_wiring
from manifoldnet.errors import GraphError, ManifoldNetError
from manifoldnet.geometry.real import Real


def layer_graph(declaration: Declaration) -> networkx.DiGraph:
    """Layers and interpretations as nodes.

    Node attributes: `kind` ("input", "layer", "interpretation"), `size`, `manifold`, `chart` (a Chart,
    or None for centred coordinates), `preactivation_chart` and `parameter_chart` where there are some, `map`,
    `encode`, `interpretation`. Edge attributes: `reads`, a list of records {position, units, wiring, adjacency}
    in the order of the child's parents.
    Graph attributes: `name`, `seed`.
    """
    graph = networkx.DiGraph(name=declaration.name, seed=declaration.seed)
    for layer in declaration.layers:
        graph.add_node(layer.name, **_layer_attributes(layer))
        for position, edge in enumerate(layer.edges):
            record = {"units": list(edge.units), "wiring": edge.wiring, "adjacency": edge.mask}
            _read(graph, edge.parent, layer.name, position, record)
    for output in declaration.outputs:
        graph.add_node(output.name, kind="interpretation", interpretation=output.interpretation)
        for position, source in enumerate(output.sources):
            _read(graph, source.layer, output.name, position, {"units": list(source.units)})
    return graph


def _layer_attributes(layer: Layer) -> dict[str, Any]:
    attributes = {"size": layer.size, "manifold": layer.manifold, "chart": layer.chart}
    if layer.is_input:
        return {"kind": "input", **attributes, "encode": layer.encode}
    return {"kind": "layer", **attributes, "map": layer.map, **_further_charts(layer)}


def _further_charts(layer: Layer) -> dict[str, Any]:
    charts = {"preactivation_chart": layer.preactivation_chart, "parameter_chart": layer.parameter_chart}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _read(graph: networkx.DiGraph, parent: str, child: str, position: int, record: dict[str, Any]) -> None:
    if not graph.has_edge(parent, child):
        graph.add_edge(parent, child, reads=[])
    graph.edges[parent, child]["reads"].append({"position": position, **record})


def unit_graph(declaration: Declaration) -> networkx.DiGraph:
    """One node (layer, index) for each unit, with an edge for each link."""
    graph = networkx.DiGraph(name=declaration.name, seed=declaration.seed)
    for layer in declaration.layers:
        graph.add_nodes_from(((layer.name, i) for i in range(layer.size)), manifold=layer.manifold)
        for position, edge in enumerate(layer.edges):
            children, parents = numpy.nonzero(edge.mask)
            links = (
                ((edge.parent, edge.units[p]), (layer.name, int(c))) for c, p in zip(children, parents, strict=True)
            )
            graph.add_edges_from(links, position=position)
    for output in declaration.outputs:
        graph.add_node((output.name, 0), interpretation=output.interpretation)
        for source in output.sources:
            graph.add_edges_from(((source.layer, unit), (output.name, 0)) for unit in source.units)
    return graph


def text_graph(declaration: Declaration) -> tuple[networkx.DiGraph, dict[str, Any]]:
    """The graph of layers with attributes that JSON can hold, and by name the things that it only names.

    `Network.from_graph(graph, functions=things)` reads it. Edges list their links child by child, so that a random
    wiring is not drawn anew. Raises GraphError where two different things share a name.
    """
    graph, written = networkx.DiGraph(name=declaration.name, seed=declaration.seed), Written()
    layers = {layer.name: layer for layer in declaration.layers}
    for layer in declaration.layers:
        graph.add_node(layer.name, **_layer_text(layer, layers, written))
        for position, edge in enumerate(layer.edges):
            record: dict[str, Any] = {"units": list(edge.units), "wiring": edge.wiring.name}
            if not (isinstance(edge.wiring, Dense) and edge.is_dense):
                record["links"] = links_of(edge.mask)
            _read(graph, edge.parent, layer.name, position, record)
    for output in declaration.outputs:
        meaning = written.interpretation(output.interpretation, output.name)
        graph.add_node(output.name, kind="interpretation", interpretation=meaning)
        for position, source in enumerate(output.sources):
            _read(graph, source.layer, output.name, position, {"units": list(source.units)})
    return graph, written.named


def _layer_text(layer: Layer, layers: Mapping[str, Layer], written: Written) -> dict[str, Any]:
    found = {
        "kind": "input" if layer.is_input else "layer",
        "size": layer.size,
        "manifold": written.manifold(layer.manifold),
        "chart": written.chart(layer.chart, layer.manifold),
    }
    if layer.encode is not None:
        found["encode"] = written.function(layer.encode)
    if layer.map is not None:
        found["map"] = written.map(layer.map)
    if layer.preactivation_chart is not None:
        found["preactivation_chart"] = written.chart(layer.preactivation_chart, Real(layer.manifold.dim))
    if layer.parameter_chart is not None:
        found["parameter_chart"] = written.chart(layer.parameter_chart, parameter_manifold(layer, layers))
    return {key: value for key, value in found.items() if value is not None}


def network_parts(network: Any, graph: networkx.DiGraph, functions: Mapping[str, Any]) -> dict[str, Any]:
    """Declare, on an empty network, what the graph holds; raises GraphError for what cannot be read.

    Returns the charts of pre-activations and parameters, as `with_charts` takes them.
    """
    if not graph.is_directed():
        raise GraphError("a network is read from a directed graph, networkx.DiGraph; received an undirected one")
    if not networkx.is_directed_acyclic_graph(graph):
        raise GraphError(f"the graph has a cycle, of which one edge must go: {shown_cycle(graph)}")
    # insertion order is declaration order wherever the edges allow it
    rank, reader = {node: i for i, node in enumerate(graph.nodes)}, Reader(functions)
    charts: dict[str, Any] = {}
    for node in networkx.lexicographical_topological_sort(graph, key=rank.__getitem__):
        attributes = {key: _opened(value) for key, value in graph.nodes[node].items()}
        further = {key: attributes.pop(key) for key in ("preactivation_chart", "parameter_chart") if key in attributes}
        _declare(network, graph, node, attributes, reader)
        charts |= _charts_of(network.snapshot(), node, further, reader)
    return charts


def _charts_of(declaration: Declaration, node: str, values: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        layer = declaration.layer(node)
        if key == "preactivation_chart":
            found[f"{node}/pre-activation"] = reader.chart(value, Real(layer.manifold.dim))
        else:
            layers = {other.name: other for other in declaration.layers}
            found[f"{node}/parameters"] = reader.chart(value, parameter_manifold(layer, layers))
    return found


def _opened(value: Any) -> Any:
    """An attribute as it was before GraphML, which holds texts and numbers only, took it as JSON."""
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise GraphError(f"an attribute of the graph looks like JSON and is not: {value[:60]!r}: {error}") from error


def _declare(network: Any, graph: networkx.DiGraph, node: str, attributes: dict[str, Any], reader: Reader) -> None:
    kind = attributes.pop("kind", None)
    try:
        parents = [parent for _, parent in _parents(network, graph, node, reader)]
        if kind == "input":
            network.input(node, **_resolved(attributes, reader))
        elif kind == "layer":
            network.layer(node, parents=parents, **_resolved(attributes, reader))
        elif kind == "interpretation":
            handles = [handle for handle, _ in parents]
            numbers = sum(network.snapshot().layer(h.layer).manifold.size * len(h.units) for h in handles)
            meaning = reader.interpretation(attributes["interpretation"], numbers)
            network.interpret(meaning, handles, name=node)
        else:
            raise GraphError(f"node {node!r} has kind {kind!r}: expected 'input', 'layer' or 'interpretation'")
    except ManifoldNetError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise GraphError(
            f"node {node!r}, or an edge into it, lacks or has too many attributes, or others than net.graph gives: {error}"
        ) from error


def _parents(network: Any, graph: networkx.DiGraph, node: str, reader: Reader) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for parent, _, attributes in graph.in_edges(node, data=True):
        for record in _opened(attributes.get("reads", [{}])):
            units = record.get("units")
            handle = network[parent] if units is None else network[parent][list(units)]
            wiring: Wiring = as_wiring(reader.wiring(record, len(handle)))
            found.append((record.get("position", len(found)), (handle, wiring)))
    return sorted(found, key=lambda item: item[0])


def _resolved(attributes: dict[str, Any], reader: Reader) -> dict[str, Any]:
    found = dict(attributes)
    readers = {"map": reader.map, "encode": reader.encode, "manifold": reader.manifold}
    found |= {key: read(found[key]) for key, read in readers.items() if key in found}
    if "chart" in found:
        found["chart"] = reader.chart(found["chart"], found.get("manifold", Real(1)))
    return found
