"""Networks as people declare them: append-only, checked as they grow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import networkx
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.declare.graph import layer_graph, network_parts, text_graph, unit_graph
from manifoldnet.declare.handles import Handle
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.layer import Declaration, Edge, Layer, Output, Source
from manifoldnet.declare.maps import Affine, Map, as_map
from manifoldnet.declare.recharting import rechart
from manifoldnet.declare.validation import check_declaration, check_fit
from manifoldnet.declare.wiring import Wiring, as_wiring, edge_stream
from manifoldnet.errors import DeclarationError, GraphError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.real import Real
from manifoldnet.shown import html_of, svg_of

Parents = Handle | Sequence[Handle | tuple[Handle, Any]]


@final
class Network:
    """A DAG of units on manifolds, the maps between them, and what the outputs mean.

    It only ever grows; `compile` and `with_charts` take a snapshot. Every random wiring draws from a
    stream keyed by `seed` and the names of the edge, so that adding a layer changes no other.

    >>> net = Network("exclusive-or", seed=1)
    >>> x = net.input("x", size=2)
    >>> h = net.layer("h", size=3, map=Affine("tanh"), parents=[x])
    >>> h[:2]
    <h[0:2] of network exclusive-or>
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        if not isinstance(name, str) or not name:
            raise DeclarationError(f"a network has a name, a non-empty string, received {name!r}")
        if isinstance(seed, bool) or not isinstance(seed, int | numpy.integer) or seed < 0:
            raise DeclarationError(f"seed is an integer of at least 0, received {seed!r}")
        self.name = name
        self.seed = int(seed)
        self._layers: dict[str, Layer] = {}
        self._outputs: dict[str, Output] = {}

    def input(
        self,
        name: str,
        size: int = 1,
        manifold: Manifold | None = None,
        chart: Chart | str | None = None,
        encode: Callable[[Any], NDArray] | None = None,
    ) -> Handle:
        """Declare input units on a manifold (default Real(1)); `encode` maps raw data to their points (iota)."""
        if encode is not None and not callable(encode):
            raise DeclarationError(f"input {name!r}: encode= takes a function of raw data, received {encode!r}")
        manifold = _manifold(Real(1) if manifold is None else manifold, name)
        return self._add(Layer(name, _size(size, name), manifold, _chart(manifold, chart, name), encode=encode))

    def layer(
        self,
        name: str,
        size: int,
        map: Affine | Map,
        parents: Parents,
        manifold: Manifold | None = None,
        chart: Chart | str | None = None,
        wiring: Wiring | ArrayLike | None = None,
    ) -> Handle:
        """Declare `size` units that share a map.

        `parents` are handles, or pairs (handle, wiring); `wiring` is for those that name none. The
        activity manifold is the link's image or the map's own unless `manifold` says otherwise.
        """
        map = as_map(map)
        size = _size(size, name)
        self._check_new(name)
        edges: tuple[Edge, ...] = ()
        for parent in _as_parents(parents, name):
            edges += (self._edge(name, size, parent, wiring, edges),)
        if not edges:
            raise DeclarationError(f"layer {name!r} has no parents: a layer without parents is declared by net.input")
        manifold = _manifold(_natural_manifold(map) if manifold is None else manifold, name)
        layer = Layer(name, size, manifold, _chart(manifold, chart, name), map, edges)
        check_fit(layer)
        return self._add(layer)

    def unit(
        self,
        name: str,
        map: Affine | Map,
        parents: Parents,
        manifold: Manifold | None = None,
        chart: Chart | str | None = None,
        wiring: Wiring | ArrayLike | None = None,
    ) -> Handle:
        """Declare a single unit: a layer of size 1."""
        return self.layer(name, 1, map, parents, manifold, chart, wiring)

    def interpret(self, interpretation: Interpretation, parents: Parents, name: str = "out") -> None:
        """Declare what output units mean. A network may have several interpretations, by name."""
        self._check_new(name)
        if isinstance(interpretation, type) or not isinstance(interpretation, Interpretation):
            raise DeclarationError(
                f"interpret takes an interpretation such as mn.Softmax(), received {interpretation!r}"
            )
        handles = [self._own(item, name) for item in _as_parents(parents, name)]
        if not handles:
            raise DeclarationError(f"interpretation {name!r} reads no units: give parents=[y]")
        _check_read_once(handles, name)
        manifolds = [self._layers[h.layer].manifold for h in handles for _ in h.units]
        try:
            interpretation.check(manifolds)
        except DeclarationError as error:
            raise DeclarationError(f"interpretation {name!r}: {error}") from error
        sources = tuple(Source(h.layer, h.units) for h in handles)
        self._outputs[name] = Output(name, interpretation, sources)

    def with_charts(self, charts: Mapping[str, Chart | str]) -> "Network":
        """The same network in other coordinates; see `manifoldnet.declare.recharting` for the keys."""
        return self._of(rechart(self.snapshot(), charts))

    def snapshot(self) -> Declaration:
        """What has been declared so far, frozen."""
        return Declaration(self.name, self.seed, tuple(self._layers.values()), tuple(self._outputs.values()))

    def validated(self) -> Declaration:
        """The snapshot, once everything about the whole graph holds; raises GraphError or DeclarationError."""
        declaration = self.snapshot()
        check_declaration(declaration)
        return declaration

    @property
    def graph(self) -> networkx.DiGraph:
        """A frozen networkx copy: layers and interpretations as nodes, edges with their position and wiring."""
        return networkx.freeze(layer_graph(self.snapshot()))

    @property
    def unit_graph(self) -> networkx.DiGraph:
        """A frozen networkx copy with one node (layer, index) for each unit."""
        return networkx.freeze(unit_graph(self.snapshot()))

    def text_graph(self) -> tuple[networkx.DiGraph, dict[str, Any]]:
        """The same graph with attributes that JSON can hold, and by name the functions that it only names.

        Attributes are texts, numbers, lists and mappings: `manifold="Interval(0, 1)"`, `map="affine, tanh"`,
        `chart="identity"`. `from_graph(graph, functions)` reads it. Raises GraphError where two different
        functions share a name.
        """
        return text_graph(self.snapshot())

    @classmethod
    def from_graph(cls, graph: networkx.DiGraph, functions: Mapping[str, Any] | None = None) -> "Network":
        """A network from a graph with the attributes that `net.graph` or `net.text_graph()` documents.

        `functions` supplies, by name, what text formats cannot hold: functions, and charts, manifolds and
        interpretations of one's own. Raises GraphError with the cycle if there is one, and for unknown nodes
        and attributes.
        """
        network = cls(graph.graph.get("name") or "network", graph.graph.get("seed", 0))
        charts = network_parts(network, graph, functions or {})
        return network.with_charts(charts) if charts else network

    def __getitem__(self, name: str) -> Handle:
        if name not in self._layers:
            raise GraphError(f"network {self.name!r} has no layer {name!r}: it has {', '.join(self._layers) or 'none'}")
        return Handle(self, name, tuple(range(self._layers[name].size)))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Network":
        """A network that grows on its own; what is declared is frozen, and both have it."""
        return self._of(self.snapshot())

    def __reduce__(self) -> tuple[Callable, tuple]:
        """Pickled as its graph in texts, with the functions that it names."""
        return Network.from_graph, self.text_graph()

    def _repr_html_(self) -> str | None:
        """Its picture, or why there is none."""
        return html_of(self)

    def _repr_svg_(self) -> str | None:
        return svg_of(self)

    def __repr__(self) -> str:
        return f"<Network {self.name}: {len(self._layers)} layers, {len(self._outputs)} interpretations>"

    @classmethod
    def _of(cls, declaration: Declaration) -> "Network":
        network = cls(declaration.name, declaration.seed)
        network._layers = {layer.name: layer for layer in declaration.layers}
        network._outputs = {output.name: output for output in declaration.outputs}
        return network

    def _add(self, layer: Layer) -> Handle:
        self._check_new(layer.name)
        self._layers[layer.name] = layer
        return self[layer.name]

    def _check_new(self, name: object) -> None:
        if not isinstance(name, str) or not name or "/" in name:
            raise DeclarationError(f"a name is a non-empty string without '/', received {name!r}")
        if name in self._layers or name in self._outputs:
            raise GraphError(f"network {self.name!r} already has a node named {name!r}: choose another name")

    def _own(self, item: Any, reader: str) -> Handle:
        if isinstance(item, tuple) and len(item) == 2:
            raise DeclarationError(f"{reader!r} is an interpretation, which takes no wiring: select units by slices")
        if isinstance(item, str):
            if item not in self._layers:
                known = ", ".join(self._layers) or "none"
                raise GraphError(f"{reader!r} reads {item!r}, which is no layer declared before it: there are {known}")
            return self[item]
        if not isinstance(item, Handle):
            raise DeclarationError(
                f"{reader!r}: parents are handles that net.input and net.layer return, received {item!r}"
            )
        if item.network is not self:
            raise GraphError(
                f"{reader!r} reads {item!r}, a unit of another network: use a handle of network {self.name!r}"
            )
        return item

    def _edge(
        self, child: str, size: int, item: Any, wiring: Wiring | ArrayLike | None, earlier: tuple[Edge, ...]
    ) -> Edge:
        if isinstance(item, tuple) and len(item) == 2:
            item, wiring = item
        handle = self._own(item, child)
        rule = as_wiring(wiring)
        # a second edge between the same layers draws links of its own
        again = sum(edge.parent == handle.layer for edge in earlier)
        stream = edge_stream(self.seed, handle.layer, child, *([str(again)] if again else []))
        try:
            mask = rule.draw(stream, size, len(handle.units))
        except DeclarationError as error:
            raise DeclarationError(f"edge {handle.layer!r} -> {child!r}: {error}") from error
        if not mask.any():
            raise GraphError(
                f"edge {handle.layer!r} -> {child!r} links no units: leave {handle.layer!r} out of parents="
            )
        return Edge(handle.layer, handle.units, rule, mask)


def _as_parents(parents: Parents, name: str) -> list:
    if isinstance(parents, Handle | str):
        return [parents]
    if isinstance(parents, tuple) and len(parents) == 2 and not isinstance(parents[1], Handle | tuple | str):
        return [parents]
    try:
        return list(parents)
    except TypeError as error:
        raise DeclarationError(f"{name!r}: parents= takes a list of handles, received {parents!r}") from error


def _check_read_once(handles: Sequence[Handle], name: str) -> None:
    seen: set[tuple[str, int]] = set()
    for layer, unit in ((handle.layer, unit) for handle in handles for unit in handle.units):
        if (layer, unit) in seen:
            raise DeclarationError(
                f"interpretation {name!r} reads unit {layer}[{unit}] twice: make its slices disjoint"
            )
        seen.add((layer, unit))


def _size(size: object, name: str) -> int:
    if isinstance(size, bool) or not isinstance(size, int | numpy.integer) or size < 1:
        raise DeclarationError(f"layer {name!r} has a size of at least 1, received {size!r}")
    return int(size)


def _manifold(manifold: object, name: str) -> Manifold:
    if not isinstance(manifold, Manifold):
        raise DeclarationError(f"layer {name!r}: manifold= takes one such as mn.Interval(0, 1), received {manifold!r}")
    return manifold


def _chart(manifold: Manifold, chart: Chart | str | None, name: str) -> Chart | None:
    chosen = manifold.default_chart if chart is None else chart
    if chosen is None:
        return None
    try:
        return manifold.chart(chosen)
    except DeclarationError as error:
        raise type(error)(f"layer {name!r}: {error}") from error


def _natural_manifold(map: Affine | Map) -> Manifold:
    if isinstance(map, Affine):
        return map.link.image(1)
    assert map.activity is not None
    return map.activity
