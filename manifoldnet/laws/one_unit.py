"""A network seen as one unit: its whole parameter is a point of one manifold, which any chart may mix."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.compiler.general import GeneralStage
from manifoldnet.compiler.layout import Layout
from manifoldnet.compiler.lowering import lower
from manifoldnet.declare.layer import Declaration, Layer, Output
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError, GraphError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.mixing import mixing_chart
from manifoldnet.geometry.product import Product
from manifoldnet.geometry.real import Real

NAME = "network"


def one_unit(net: Network) -> Network:
    """The network as a single unit: its map is the whole forward pass, its parameter all parameters of all units.

    Outputs are the same at the same flat parameters. Everything is differentiated automatically, so that its metrics
    share no closed form with those of `net`. Raises DeclarationError for a network with several interpretations,
    with parameters in charts of the user's, or with outputs that no single manifold describes.

    >>> from manifoldnet.declare.interpretations.square_loss import SquareLoss
    >>> net = Network("line")
    >>> y = net.layer("y", size=1, map=Affine(), parents=[net.input("x", size=2)])
    >>> net.interpret(SquareLoss(), parents=[y])
    >>> [layer.map.parameters for layer in one_unit(net).snapshot().layers if layer.map]
    [Real(n=3)]
    """
    declaration = net.validated()
    output = _only_output(declaration)
    inputs = [layer for layer in declaration.layers if layer.is_input]
    found = Network(net.name, net.seed)
    handles = [found.input(layer.name, layer.size, layer.manifold, encode=layer.encode) for layer in inputs]
    activity = _activity(declaration, output)
    function = _Forward(declaration, output, tuple(layer.name for layer in inputs), activity)
    whole = Map(function.__call__, parameters=_parameters(declaration), activity=activity)
    found.interpret(output.interpretation, [found.unit(NAME, whole, handles)], name=output.name)
    return found


def units_mixed(whole: Network, chart: Chart | str | None = None, bend: float = 0.3, seed: int = 0) -> Network:
    """A network that `one_unit` made, its parameters in a smooth chart that mixes those of all former units.

    Natural and outer product metrics are the same there; unitwise ones are not (after proposition 17). `chart` is what
    is mixed, the default one if not given. Raises GraphError for another network, ChartError where the parameters have no
    default chart and none is given.

    >>> from manifoldnet.declare.interpretations.square_loss import SquareLoss
    >>> net = Network("two units")
    >>> y = net.layer("y", size=2, map=Affine(), parents=[net.input("x", size=2)])
    >>> net.interpret(SquareLoss(), parents=[y])
    >>> units_mixed(one_unit(net)).snapshot().layer("network").parameter_chart.name
    'mixed identity'
    """
    layers = {layer.name: layer for layer in whole.snapshot().layers}
    map = layers[NAME].map if NAME in layers else None
    if not isinstance(map, Map) or map.parameters is None:
        raise GraphError(f"network {whole.name!r} is not one unit with parameters: take mn.one_unit(net) first")
    return whole.with_charts({f"{NAME}/parameters": mixing_chart(map.parameters, chart, bend=bend, seed=seed)})


def _only_output(declaration: Declaration) -> Output:
    if len(declaration.outputs) > 1:
        raise DeclarationError("a network with several interpretations is no single unit, which one of them could read")
    if any(layer.parameter_chart is not None for layer in declaration.layers):
        raise DeclarationError("a network is seen as one unit in its own coordinates: leave parameter charts away")
    return declaration.outputs[0]


def _activity(declaration: Declaration, output: Output) -> Manifold:
    read = [declaration.layer(source.layer).manifold for source in output.sources for _ in source.units]
    n = sum(manifold.size for manifold in read)
    if all(isinstance(manifold, Real) for manifold in read):
        return Real(n)
    bounds = {(manifold.low, manifold.high) for manifold in read if isinstance(manifold, Interval)}
    if len(bounds) == 1 and all(isinstance(manifold, Interval) for manifold in read):
        return Interval(*bounds.pop(), n)
    if any(isinstance(manifold, Interval) for manifold in read):
        raise DeclarationError("outputs on different intervals are no point of one, which an interpretation could read")
    return Product(*read)


def _parameters(declaration: Declaration) -> Manifold:
    factors = [manifold for layer in declaration.layers for manifold in _unit_parameters(declaration, layer)]
    if all(isinstance(factor, Real) for factor in factors):
        return Real(sum(factor.size for factor in factors))
    return Product(*factors)


def _unit_parameters(declaration: Declaration, layer: Layer) -> Sequence[Manifold]:
    if isinstance(layer.map, Affine):
        return [Real(count) for count in _layout(declaration)[layer.name].counts]
    if isinstance(layer.map, Map) and layer.map.parameters is not None:
        return [layer.map.parameters] * layer.size
    return []


def _layout(declaration: Declaration) -> Layout:
    return lower(declaration, "general").stored


@final
@attrs.frozen(eq=False)
class _Forward:
    """omega's arguments as a differentiable function of all parameters and inputs."""

    declaration: Declaration
    output: Output
    inputs: tuple[str, ...]
    activity: Manifold
    stages: tuple[GeneralStage, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        stages = lower(self.declaration, "general").stages
        object.__setattr__(self, "stages", tuple(stage for stage in stages if isinstance(stage, GeneralStage)))

    def __call__(self, theta: NDArray, *inputs: NDArray) -> NDArray:
        """Parameters (..., size) and points (..., units, *shape) of each input layer, to (..., *activity.shape)."""
        lead = np.shape(theta)[:-1]
        points = {name: _flat(x, lead) for name, x in zip(self.inputs, inputs, strict=True)}
        parts: dict[str, list[tuple[NDArray[numpy.int_], NDArray]]] = {}
        for stage in self.stages:
            values = _flat(stage.apply(self._joint(stage, theta, points, lead)), lead)
            for slot in stage.slots:
                found = parts.setdefault(slot.layer, [])
                found.append((slot.units, values[..., slot.start : slot.stop, :]))
                if sum(len(units) for units, _ in found) == self.declaration.layer(slot.layer).size:
                    points[slot.layer] = _assembled(found)
        read = [points[source.layer][..., list(source.units), :] for source in self.output.sources]
        return np.concatenate([np.reshape(part, (*lead, -1)) for part in read], -1)

    def _joint(self, stage: GeneralStage, theta: NDArray, points: dict[str, NDArray], lead: tuple[int, ...]) -> NDArray:
        units = stage.units
        read = [np.reshape(points[p.layer][..., p.units, :], (*lead, units, -1)) for p in stage.parents]
        return np.concatenate([theta[..., stage.stored], *read], -1)


def _flat(points: NDArray, lead: tuple[int, ...]) -> NDArray:
    units = np.shape(points)[len(lead)]
    return np.reshape(points, (*lead, units, -1))


def _assembled(parts: list[tuple[NDArray[numpy.int_], NDArray]]) -> NDArray:
    order = numpy.argsort(numpy.concatenate([units for units, _ in parts]))
    return np.concatenate([values for _, values in parts], -2)[..., order, :]
