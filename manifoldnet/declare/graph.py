"""Networks as networkx graphs, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import networkx
import numpy

from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.validation import shown_cycle
from manifoldnet.declare.wiring import Wiring, as_wiring
from manifoldnet.errors import GraphError, ManifoldNetError


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


def network_parts(network: Any, graph: networkx.DiGraph, functions: Mapping[str, Callable]) -> dict[str, Any]:
    """Declare, on an empty network, what the graph holds; raises GraphError for what cannot be read.

    Returns the charts of pre-activations and parameters, as `with_charts` takes them.
    """
    if not graph.is_directed():
        raise GraphError("a network is read from a directed graph, networkx.DiGraph; received an undirected one")
    if not networkx.is_directed_acyclic_graph(graph):
        raise GraphError(f"the graph has a cycle, of which one edge must go: {shown_cycle(graph)}")
    # insertion order is declaration order wherever the edges allow it
    rank = {node: i for i, node in enumerate(graph.nodes)}
    charts: dict[str, Any] = {}
    for node in networkx.lexicographical_topological_sort(graph, key=rank.__getitem__):
        attributes = dict(graph.nodes[node])
        for part, key in (("pre-activation", "preactivation_chart"), ("parameters", "parameter_chart")):
            if key in attributes:
                charts[f"{node}/{part}"] = attributes.pop(key)
        _declare(network, graph, node, attributes, functions)
    return charts


def _declare(
    network: Any, graph: networkx.DiGraph, node: str, attributes: dict[str, Any], functions: Mapping[str, Callable]
) -> None:
    kind = attributes.pop("kind", None)
    try:
        parents = _parents(network, graph, node)
        if kind == "input":
            network.input(node, **_resolved(attributes, functions))
        elif kind == "layer":
            network.layer(node, parents=[parent for _, parent in parents], **_resolved(attributes, functions))
        elif kind == "interpretation":
            network.interpret(attributes["interpretation"], [parent[0] for _, parent in parents], name=node)
        else:
            raise GraphError(f"node {node!r} has kind {kind!r}: expected 'input', 'layer' or 'interpretation'")
    except ManifoldNetError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise GraphError(
            f"node {node!r}, or an edge into it, lacks or has too many attributes, or others than net.graph gives: {error}"
        ) from error


def _parents(network: Any, graph: networkx.DiGraph, node: str) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for parent, _, attributes in graph.in_edges(node, data=True):
        for record in attributes.get("reads", [{}]):
            units = record.get("units")
            handle = network[parent] if units is None else network[parent][list(units)]
            given = record.get("adjacency", record.get("wiring"))
            wiring: Wiring = as_wiring(given)
            found.append((record.get("position", len(found)), (handle, wiring)))
    return sorted(found, key=lambda item: item[0])


def _resolved(attributes: dict[str, Any], functions: Mapping[str, Callable]) -> dict[str, Any]:
    named = {
        key: _function(attributes[key], functions) for key in ("map", "encode") if isinstance(attributes.get(key), str)
    }
    return {**attributes, **named}


def _function(name: str, functions: Mapping[str, Callable]) -> Callable:
    if name not in functions:
        raise GraphError(f"the graph names a function {name!r}: give from_graph(graph, functions={{{name!r}: ...}})")
    return functions[name]
