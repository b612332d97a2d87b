"""The paper's rewritings of a network by name: the same units in other coordinates (sections 2.5 and 3.2).

All of them give the same network with other charts, so that `mn.transport` moves parameters between the two.
"""

from collections.abc import Mapping

import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.errors import ChartError, GraphError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.real import Real

Reparametrisation = tuple[ArrayLike, ArrayLike, ArrayLike]


def in_tanh_form(net: Network) -> Network:
    """The network with every activity on an interval, inputs included, written on (-1, 1), as tanh units write it.

    Logistic units become tanh units with the weights of eqs. 46-47: pre-activations are halved.

    >>> from manifoldnet.declare.interpretations.bernoulli import Bernoulli
    >>> net = Network("one unit")
    >>> y = net.layer("y", size=1, map=Affine("logistic"), parents=[net.input("x", manifold=Interval(0, 1))])
    >>> net.interpret(Bernoulli(), parents=[y])
    >>> in_tanh_form(net).snapshot().layer("y").chart.name
    'signed'
    """
    return _interval_form(net, signed=True)


def in_sigmoid_form(net: Network) -> Network:
    """The network with every activity on an interval, inputs included, written as a probability: w = 4 w' of tanh."""
    return _interval_form(net, signed=False)


def reparametrised(net: Network, changes: Mapping[str, Reparametrisation]) -> Network:
    """The (alpha, beta, gamma)-affine reparametrisation of layers (definition 29), by name.

    The units of a layer send alpha a + beta, with a the coordinates they send now, and their parameters are
    divided by gamma. alpha and gamma are numbers or matrices (dim, dim), beta is a number or (dim,). For changes that
    differ from unit to unit take `units_apart` first. The passage from sigmoid to tanh is (2, -1, 2) everywhere.

    Raises GraphError for an unknown layer; ChartError where a layer has no affine coordinates, or has a gamma other
    than 1 and no pre-activation.
    """
    charts: dict[str, Chart | str] = {}
    for name, (alpha, beta, gamma) in changes.items():
        layer = _layer(net, name)
        charts[name] = _composed(layer, alpha, beta)
        if not isinstance(layer.map, Affine) and numpy.all(numpy.asarray(gamma) == 1.0):
            continue
        charts[f"{name}/pre-activation"] = _divided(layer, gamma)
    return net.with_charts(charts)


def scaled(net: Network, factors: Mapping[str, ArrayLike]) -> Network:
    """Layers, inputs most often, that send their coordinates times a factor: (factor, 0, 1) of definition 29."""
    return reparametrised(net, {name: (factor, 0.0, 1.0) for name, factor in factors.items()})


def inverted(net: Network, *names: str) -> Network:
    """Layers on intervals that send low + high - a, for all input layers on intervals if none is named.

    This is the 0/1 inversion a <- 1 - a of section 3.2. Raises ChartError for a layer that is on no interval.
    """
    layers = [_layer(net, name) for name in names]
    layers = layers or [layer for layer in net.snapshot().layers if layer.is_input and _on_interval(layer)]
    charts: dict[str, Chart | str] = {}
    for layer in layers:
        manifold = layer.manifold
        if not isinstance(manifold, Interval):
            raise ChartError(f"layer {layer.name!r} lives on {manifold}: only a layer on an Interval can be inverted")
        scale, shift = _affine_parts(layer)
        turned = scale @ numpy.full(manifold.dim, manifold.low + manifold.high) + shift
        charts[layer.name] = Chart.affine("inverted", manifold, -scale, turned)
    return net.with_charts(charts)


def _interval_form(net: Network, signed: bool) -> Network:
    charts: dict[str, Chart | str] = {}
    for layer in net.snapshot().layers:
        if not isinstance(layer.manifold, Interval):
            continue
        charts[layer.name] = "signed" if signed else _probability(layer.manifold)
        slope = _exact_slope(layer)
        if slope is not None:
            scale = 0.5 * slope if signed else slope
            charts[f"{layer.name}/pre-activation"] = Chart.affine(f"{scale:g} y", Real(layer.manifold.dim), scale)
    return net.with_charts(charts)


def _probability(manifold: Interval) -> Chart:
    width = manifold.high - manifold.low
    return Chart.affine("probability", manifold, 1.0 / width, -manifold.low / width)


def _exact_slope(layer: Layer) -> float | None:
    """The log-odds of a unit's activity over its pre-activation, where the link fills the interval."""
    if not isinstance(layer.map, Affine) or layer.manifold != layer.map.link.image(layer.manifold.dim):
        return None
    return layer.map.link.log_odds_slope


def _layer(net: Network, name: str) -> Layer:
    layers = {layer.name: layer for layer in net.snapshot().layers}
    if name not in layers:
        raise GraphError(f"network {net.name!r} has no layer {name!r}: it has {', '.join(layers) or 'none'}")
    return layers[name]


def _on_interval(layer: Layer) -> bool:
    return isinstance(layer.manifold, Interval)


def _affine_parts(layer: Layer) -> tuple[NDArray, NDArray]:
    """Scale and shift of the chart of a layer's activity."""
    if layer.chart is None or not layer.chart.is_affine:
        chart = "coordinates centred at each point" if layer.chart is None else f"chart {layer.chart.name!r}"
        raise ChartError(
            f"layer {layer.name!r} is written in {chart}, which no affine change turns into affine coordinates: give "
            "it an affine chart first, if its manifold has one"
        )
    return layer.chart.scale, layer.chart.shift


def _composed(layer: Layer, alpha: ArrayLike, beta: ArrayLike) -> Chart:
    scale, shift = _affine_parts(layer)
    matrix = _matrix(alpha, layer.manifold.dim)
    return Chart.affine("reparametrised", layer.manifold, matrix @ scale, matrix @ shift + beta)


def _divided(layer: Layer, gamma: ArrayLike) -> Chart:
    """y' = y / gamma, on top of the pre-activation chart there is."""
    if not isinstance(layer.map, Affine):
        raise ChartError(f"layer {layer.name!r} is not affine, so it has no pre-activation to scale: take gamma = 1")
    q, chart = layer.manifold.dim, layer.preactivation_chart
    scale, shift = (numpy.eye(q), numpy.zeros(q)) if chart is None else (chart.scale, chart.shift)
    inverse = numpy.linalg.inv(_matrix(gamma, q))
    return Chart.affine("reparametrised", Real(q), inverse @ scale, inverse @ shift)


def _matrix(values: ArrayLike, dim: int) -> NDArray:
    array = numpy.asarray(values, dtype=numpy.float64)
    return array * numpy.eye(dim) if array.ndim == 0 else array
