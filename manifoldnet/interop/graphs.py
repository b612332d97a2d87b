"""Networks as graph files of networkx: node-link JSON and GraphML."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx

from manifoldnet.declare.network import Network
from manifoldnet.errors import DataError, GraphError
from manifoldnet.learning.files import written_whole

SUFFIXES = (".json", ".graphml")


def to_node_link(net: Network) -> dict[str, Any]:
    """A network as node-link data, which `json.dumps` takes and `networkx.node_link_graph(data, edges="edges")` reads.

    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> y = net.layer("y", size=1, map=mn.Affine(mn.tanh), parents=[net.input("x", size=2)])
    >>> to_node_link(net)["nodes"][1]
    {'kind': 'layer', 'size': 1, 'manifold': 'Interval(-1, 1)', 'chart': 'identity', 'map': 'affine, tanh', 'id': 'y'}
    """
    graph, _ = net.text_graph()
    return networkx.node_link_data(graph, edges="edges")


def from_node_link(data: Mapping[str, Any], functions: Mapping[str, Any] | None = None) -> Network:
    """The network of node-link data; `functions` holds by name what the data only name.

    Raises GraphError for data of another form.
    """
    try:
        graph = networkx.node_link_graph(data, edges="edges")
    except (KeyError, TypeError, AttributeError, networkx.NetworkXError) as error:
        raise GraphError(f"these are no node-link data of a graph: {type(error).__name__}: {error}") from error
    return Network.from_graph(graph, functions)


def write_graph(net: Network, path: str | Path) -> Path:
    """Write a network as .json (node-link) or .graphml, by the suffix of `path`; the whole file or none.

    Functions, and charts and manifolds of one's own, are written as their names: `read_graph` has to be given
    them. Raises DataError for another suffix, GraphError where two different functions share a name.
    """
    place = Path(path)
    suffix = _suffix(place)
    graph = _scalars(net) if suffix == ".graphml" else to_node_link(net)
    with written_whole(place) as temporary:
        if suffix == ".graphml":
            networkx.write_graphml_xml(graph, temporary)
        else:
            temporary.write_text(json.dumps(graph, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return place


def read_graph(path: str | Path, functions: Mapping[str, Any] | None = None) -> Network:
    """The network of a .json or .graphml file; nothing that is read is run.

    `functions` holds by name what the file only names. Raises GraphError for what is no network, DataError for
    another suffix and for a file that is neither.
    """
    place = Path(path)
    if _suffix(place) == ".graphml":
        return Network.from_graph(_graphml(place), functions)
    try:
        data = json.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON: {error}") from error
    return from_node_link(data, functions)


def _graphml(place: Path) -> networkx.DiGraph:
    try:
        with warnings.catch_warnings():
            # it reads what it has no key for as text, with a warning
            warnings.simplefilter("error")
            return networkx.read_graphml(place)
    except (SyntaxError, ValueError, LookupError, UserWarning, networkx.NetworkXError) as error:
        raise DataError(f"{place} is not GraphML: {error}") from error


def _scalars(net: Network) -> networkx.DiGraph:
    """The graph with lists and mappings as JSON, since GraphML holds texts and numbers only."""
    graph, _ = net.text_graph()
    for attributes in (*(a for _, a in graph.nodes(data=True)), *(a for _, _, a in graph.edges(data=True))):
        for key, value in attributes.items():
            if isinstance(value, list | dict):
                attributes[key] = json.dumps(value, allow_nan=False)
    return graph


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} does not say how a graph is written: its name must end in {' or '.join(SUFFIXES)}")
    return suffix
