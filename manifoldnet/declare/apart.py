"""Networks declared anew with units as layers of their own."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.handles import Handle
from manifoldnet.declare.layer import Edge, Layer
from manifoldnet.declare.maps import Map
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError, GraphError
from manifoldnet.geometry.chart import Chart


def units_apart(net: Network, *names: str) -> Network:
    """The same network with every unit of these layers, or of all but the inputs, declared as a layer of its own.

    Unit 3 of "h" is called "h[3]". The flat vector of parameters is the same, entry by entry, so that `theta.flat`
    serves both. Every unit can have charts of its own then. Raises GraphError for an unknown layer, DeclarationError
    for an input, and where a map that stays whole reads the units of a layer that does not, but not all of them.

    >>> from manifoldnet.declare.maps import Affine
    >>> net = Network("pair")
    >>> h = net.layer("h", size=2, map=Affine("tanh"), parents=[net.input("x", size=3)])
    >>> [layer.name for layer in units_apart(net).snapshot().layers]
    ['x', 'h[0]', 'h[1]']
    """
    before = {layer.name: layer for layer in net.snapshot().layers}
    split = _Split(Network(net.name, net.seed), before, _checked(names, before, net.name), {})
    for layer in before.values():
        split.declare(layer)
    for output in net.snapshot().outputs:
        handles = [h for source in output.sources for h in split.handles(source.layer, source.units)]
        split.net.interpret(output.interpretation, handles, name=output.name)
    return split.net.with_charts(split.charts())


def _checked(names: tuple[str, ...], layers: dict[str, Layer], network: str) -> frozenset[str]:
    for name in names:
        if name not in layers:
            raise GraphError(f"network {network!r} has no layer {name!r}: it has {', '.join(layers) or 'none'}")
        if layers[name].is_input:
            raise DeclarationError(f"{name!r} is an input, whose units share their data and stay one layer")
    return frozenset(names or (layer.name for layer in layers.values() if not layer.is_input))


def unit_name(layer: str, unit: int) -> str:
    """What `units_apart` calls a unit.

    >>> unit_name("h", 3)
    'h[3]'
    """
    return f"{layer}[{unit}]"


@final
@attrs.frozen(eq=False)
class _Split:
    """A network under way in which the layers `apart` are taken apart; `joined` keeps maps that units can share."""

    net: Network
    before: dict[str, Layer]
    apart: frozenset[str]
    joined: dict[tuple[int, tuple[int, ...]], Map]

    def declare(self, layer: Layer) -> None:
        if layer.is_input:
            self.net.input(layer.name, layer.size, layer.manifold, layer.chart, layer.encode)
        elif layer.name in self.apart:
            for unit in range(layer.size):
                self._declare(unit_name(layer.name, unit), layer, numpy.array([unit]))
        else:
            self._declare(layer.name, layer, numpy.arange(layer.size))

    def handles(self, name: str, units: tuple[int, ...]) -> list[Handle]:
        """Some units of a layer: one handle, or one for each of them if they are apart."""
        if name not in self.apart:
            return [self.net[name][list(units)]]
        return [self.net[unit_name(name, unit)] for unit in units]

    def charts(self) -> dict[str, Chart | str]:
        found: dict[str, Chart | str] = {}
        for layer in self.before.values():
            apart = layer.name in self.apart
            for name in [unit_name(layer.name, unit) for unit in range(layer.size)] if apart else [layer.name]:
                if layer.preactivation_chart is not None:
                    found[f"{name}/pre-activation"] = layer.preactivation_chart
                if layer.parameter_chart is not None:
                    found[f"{name}/parameters"] = layer.parameter_chart
        return found

    def _declare(self, name: str, layer: Layer, units: NDArray[numpy.int_]) -> None:
        parents, counts = [], []
        for edge in layer.edges:
            read = self._read(edge, units)
            parents += read
            counts.append(len(read))
        map = layer.map
        if isinstance(map, Map) and any(count != 1 for count in counts):
            self._check_dense(name, parents)
            map = self.joined.setdefault((id(map), tuple(counts)), self._joining(map, layer, counts))
        assert map is not None
        self.net.layer(name, len(units), map, parents, layer.manifold, layer.chart)

    def _read(self, edge: Edge, units: NDArray[numpy.int_]) -> list[tuple[Handle, NDArray]]:
        """The units that some of these units read, with the links to them."""
        mask = edge.mask[units]
        columns = numpy.flatnonzero(mask.any(axis=0))
        if not columns.size:
            return []
        handles = self.handles(edge.parent, tuple(edge.units[i] for i in columns))
        if len(handles) == 1:
            return [(handles[0], mask[:, columns])]
        return [(handle, mask[:, [column]]) for handle, column in zip(handles, columns, strict=True)]

    def _check_dense(self, name: str, parents: list[tuple[Handle, NDArray]]) -> None:
        for handle, mask in parents:
            if len(handle) == 1 and not mask.all():
                raise DeclarationError(
                    f"layer {name!r} has a map and reads some units of {handle.layer!r} only, which are apart: take "
                    f"{name!r} apart too"
                )

    def _joining(self, map: Map, layer: Layer, counts: list[int]) -> Map:
        """The same map, given one array for each unit that it reads instead of one for each edge."""
        axes = [-1 - len(self.before[edge.parent].manifold.shape) for edge in layer.edges]
        leading = int(map.takes_parameter(len(layer.edges)))

        def function(*arguments: NDArray) -> NDArray:
            edges, start = [], leading
            for axis, count in zip(axes, counts, strict=True):
                edges.append(np.concatenate(arguments[start : start + count], axis))
                start += count
            return map.function(*arguments[:leading], *edges)

        function.__name__ = map.name
        return attrs.evolve(map, function=function)
