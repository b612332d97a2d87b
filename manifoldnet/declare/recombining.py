"""Affine recombination of the signals that units receive (proposition 31), redeclared in front of these units."""

from collections.abc import Callable, Iterable, Sequence

import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet import numpy as np
from manifoldnet.declare.handles import Handle
from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError, GraphError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.real import Real


def recombined(net: Network, layer: str, matrix: ArrayLike, shift: ArrayLike = 0.0, together: bool = True) -> Network:
    """The network in which the units of an affine layer read matrix s + shift, s being the n numbers they read now.

    s are the affine coordinates of all wired parents, in order; every unit must read equally many, n, the size of the
    invertible `matrix` (n, n). The recombined signals reach a unit as one n-dimensional unit without parameters,
    or with `together=False` as n scalar ones, whose moduli differ: then only the steps of this layer and of those
    after it are the same. Weights are the dual inverse transforms of the old ones (`manifoldnet.laws.recombination`
    moves them).

    Raises GraphError for an unknown layer, DeclarationError for one that is not affine, or whose units read unequally.

    >>> net = Network("one unit")
    >>> y = net.layer("y", size=1, map=Affine("tanh"), parents=[net.input("x", size=2)])
    >>> [layer.name for layer in recombined(net, "y", [[1, 1], [0, 1]]).snapshot().layers]
    ['x', 'y signals', 'y']
    """
    before = {item.name: item for item in net.snapshot().layers}
    if layer not in before:
        raise GraphError(f"network {net.name!r} has no layer {layer!r}: it has {', '.join(before) or 'none'}")
    n = _signals(before[layer], before)
    parts = _checked(matrix, shift, n, layer)
    found = Network(net.name, net.seed)
    for item in before.values():
        if item.is_input:
            found.input(item.name, item.size, item.manifold, item.chart, item.encode)
            continue
        assert item.map is not None
        parents: list = [(found[e.parent][list(e.units)], e.mask) for e in item.edges]
        if item.name == layer:
            parents = _recombining(found, item, before, parts, together)
        found.layer(item.name, item.size, item.map, parents, item.manifold, item.chart)
    for output in net.snapshot().outputs:
        handles = [found[source.layer][list(source.units)] for source in output.sources]
        found.interpret(output.interpretation, handles, name=output.name)
    return found.with_charts(_kept_charts(before.values()))


def _kept_charts(layers: Iterable[Layer]) -> dict[str, Chart | str]:
    kept = {f"{item.name}/pre-activation": item.preactivation_chart for item in layers}
    kept |= {f"{item.name}/parameters": item.parameter_chart for item in layers}
    return {key: chart for key, chart in kept.items() if chart is not None}


def _signals(layer: Layer, layers: dict[str, Layer]) -> int:
    """How many numbers each unit reads."""
    if not isinstance(layer.map, Affine) or layer.parameter_chart is not None:
        raise DeclarationError(
            f"layer {layer.name!r} is no layer of affine units in affine coordinates, so that it reads no signals that could "
            "be recombined: its map takes the points of its parents whole"
        )
    counts = {tuple(int(edge.mask[unit].sum()) for edge in layer.edges) for unit in range(layer.size)}
    if len(counts) > 1:
        raise DeclarationError(
            f"units of layer {layer.name!r} read different numbers of signals, which one matrix cannot recombine: take "
            "`units_apart` first, and recombine the signals into one unit"
        )
    return sum(c * layers[e.parent].manifold.hull_dim for c, e in zip(counts.pop(), layer.edges, strict=True))


def _checked(matrix: ArrayLike, shift: ArrayLike, n: int, layer: str) -> tuple[NDArray, NDArray]:
    square = numpy.asarray(matrix, dtype=numpy.float64)
    if square.shape != (n, n) or numpy.linalg.matrix_rank(square) < n:
        raise DeclarationError(
            f"the units of layer {layer!r} read {n} numbers: their recombination is an invertible matrix ({n}, {n}), "
            f"received {square.tolist() if square.size < 10 else square.shape}"
        )
    return square, numpy.broadcast_to(numpy.asarray(shift, dtype=numpy.float64), (n,))


def _recombining(
    net: Network, layer: Layer, layers: dict[str, Layer], parts: tuple[NDArray, NDArray], together: bool
) -> list[tuple[Handle, NDArray]]:
    """Declare the units that recombine, and say how the layer reads them."""
    shared = all(edge.is_dense for edge in layer.edges)
    wired = [edge for edge in layer.edges if edge.mask.any()]
    size = 1 if shared else layer.size
    parents = [(net[e.parent][list(e.units)], e.mask[:size]) for e in wired]
    readings = [_reading(layers[edge.parent]) for edge in wired]
    matrix, shift = parts
    link = numpy.ones((layer.size, 1), dtype=bool) if shared else numpy.eye(layer.size, dtype=bool)
    if together:
        map = _affine_map(readings, matrix, shift)
        return [(net.layer(f"{layer.name} signals", size, map, parents), link)]
    rows = [_affine_map(readings, matrix[i : i + 1], shift[i : i + 1]) for i in range(len(shift))]
    return [(net.layer(f"{layer.name} signal {i}", size, row, parents), link) for i, row in enumerate(rows)]


Reading = Callable[[NDArray], NDArray]


def _reading(layer: Layer) -> Reading:
    """What an affine unit reads of points (..., m, *shape) of a layer, (..., m, e)."""
    manifold, chart = layer.manifold, layer.chart
    if chart is None or not chart.is_affine:
        return manifold.hull
    return lambda points: manifold.hull(points) @ chart.scale.T + chart.shift


def _affine_map(readings: Sequence[Reading], matrix: NDArray, shift: NDArray) -> Map:
    def recombine(*parents: NDArray) -> NDArray:
        read = [_flat(reading(points)) for reading, points in zip(readings, parents, strict=True)]
        return np.concatenate(read, -1) @ matrix.T + shift

    return Map(recombine, parameters=None, activity=Real(len(matrix)))


def _flat(read: NDArray) -> NDArray:
    shape = np.shape(read)
    return np.reshape(read, (*shape[:-2], shape[-2] * shape[-1]))
