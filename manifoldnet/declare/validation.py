"""What must hold of a declaration before it is compiled."""

import networkx
import numpy

from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.links import Link
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.errors import DeclarationError, GraphError


def check_fit(layer: Layer) -> None:
    """Raise DeclarationError unless the layer's map gives points of its manifold."""
    if isinstance(layer.map, Map):
        _check_map(layer, layer.map)
    elif isinstance(layer.map, Affine):
        _check_affine(layer, layer.map)


def _check_map(layer: Layer, map: Map) -> None:
    if layer.manifold != map.activity:
        raise DeclarationError(
            f"layer {layer.name!r}: map {map.name} gives points of {map.activity}, but the layer was declared on "
            f"{layer.manifold}: declare one manifold"
        )
    map.takes_parameter(len(layer.edges))


def _check_affine(layer: Layer, map: Affine) -> None:
    manifold, link = layer.manifold, map.link
    if manifold.shape != (manifold.dim,) or not manifold.frame_is_identity:
        raise DeclarationError(
            f"layer {layer.name!r}: an affine unit applies link {link.name!r} to each coordinate, so it needs a "
            f"manifold such as Real(n) or Interval(low, high, n), not {manifold}: use mn.Map for a curved one"
        )
    spread = numpy.linspace(-3.0, 3.0, 13)[:, None] * numpy.ones(manifold.dim)
    _check_slope(layer, link)
    values = numpy.asarray(link.function(spread))
    if not manifold.contains(values).all():
        raise DeclarationError(
            f"layer {layer.name!r}: link {link.name!r} leaves {manifold}: its values on pre-activations in [-3, 3] run "
            f"from {values.min():.4g} to {values.max():.4g}, and {manifold.explain(values)}"
        )


def _check_slope(layer: Layer, link: Link) -> None:
    """Compare the link's derivative with central differences, away from round numbers, where kinks are likely."""
    points, step = numpy.linspace(-2.9137, 2.9571, 14), 1e-6
    ahead, behind = (numpy.asarray(link.function(points + sign * step)) for sign in (1.0, -1.0))
    differences = (ahead - behind) / (2.0 * step)
    slopes = numpy.asarray(link.derivative_at(points))
    bad = ~(numpy.abs(slopes - differences) <= 1e-6 * (1.0 + numpy.abs(differences)))
    if bad.any():
        worst = int(numpy.argmax(bad))
        raise DeclarationError(
            f"layer {layer.name!r}: link {link.name!r} has slope {slopes[worst]:.6g} at {points[worst]:.4f}, where its finite "
            f"differences give {differences[worst]:.6g}: mend slope=, or write it with `from manifoldnet import numpy as np`"
        )


def check_declaration(declaration: Declaration) -> None:
    """Raise GraphError for what is wrong with the graph as a whole, naming the units and the remedy."""
    if not declaration.outputs:
        raise GraphError(
            f"network {declaration.name!r} has no interpretation: say what its outputs mean, "
            "net.interpret(mn.Bernoulli(), parents=[y])"
        )
    _check_acyclic(declaration)
    readers = _reader_counts(declaration)
    for layer in declaration.layers:
        _check_reached(layer)
        _check_used(layer, readers[layer.name])


def _check_acyclic(declaration: Declaration) -> None:
    graph = networkx.DiGraph([(edge.parent, layer.name) for layer in declaration.layers for edge in layer.edges])
    if not networkx.is_directed_acyclic_graph(graph):
        raise GraphError(f"network {declaration.name!r} has a cycle, of which one edge must go: {shown_cycle(graph)}")


def shown_cycle(graph: networkx.DiGraph) -> str:
    """One cycle of the graph as `a -> b -> a`."""
    edges = networkx.find_cycle(graph)
    return " -> ".join([str(edge[0]) for edge in edges] + [str(edges[0][0])])


def _reader_counts(declaration: Declaration) -> dict[str, numpy.ndarray]:
    counts = {layer.name: numpy.zeros(layer.size, dtype=int) for layer in declaration.layers}
    for layer in declaration.layers:
        for edge in layer.edges:
            numpy.add.at(counts[edge.parent], list(edge.units), edge.mask.sum(axis=0))
    for output in declaration.outputs:
        for source in output.sources:
            numpy.add.at(counts[source.layer], list(source.units), 1)
    return counts


def _check_reached(layer: Layer) -> None:
    for edge in layer.edges:
        if layer.map is not None and isinstance(layer.map, Map) and not edge.mask.any(axis=1).all():
            unit = int(numpy.argmin(edge.mask.any(axis=1)))
            raise GraphError(
                f"unit {layer.name}[{unit}] reads no unit of {edge.parent!r}, which its map needs: change the wiring "
                f"{edge.wiring.name}"
            )
    if layer.edges:
        linked = numpy.sum([edge.mask.sum(axis=1) for edge in layer.edges], axis=0)
        if not linked.all():
            raise GraphError(
                f"unit {layer.name}[{int(numpy.argmin(linked))}] is unreachable: the wiring "
                f"({', '.join(e.wiring.name for e in layer.edges)}) gives it no parent. "
                "Use fan_in, more links, or another seed"
            )


def _check_used(layer: Layer, readers: numpy.ndarray) -> None:
    if not readers.any():
        raise GraphError(
            f"layer {layer.name!r} is unused: no layer and no interpretation reads it. Remove it or read it"
        )
    # columns of data may be left out; a hidden unit that nothing reads has parameters that never matter
    if not layer.is_input and not readers.all():
        raise GraphError(
            f"unit {layer.name}[{int(numpy.argmin(readers))}] is unused: no unit and no interpretation reads it. "
            "Use fan_out or more links from its layer, another seed, or a smaller layer"
        )
