"""Changes of charts that `verify` draws, by name; each is None where a network has nothing that it could change."""

from collections.abc import Callable, Mapping
from itertools import islice

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.quantities import activities
from manifoldnet.declare.apart import unit_name, units_apart
from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.network import Network
from manifoldnet.declare.recharting import parameter_manifold
from manifoldnet.declare.rewritings import in_sigmoid_form, in_tanh_form, inverted, reparametrised
from manifoldnet.errors import ChartError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.mixing import mixing_chart
from manifoldnet.laws.changes import Change, Pair
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.entries import Entries
from manifoldnet.metrics.reductions import QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import Backpropagated

# Of layers whose units have different numbers of parameters, so many units of so many layers get charts of their own.
UNITS_OF_RAGGED_LAYERS = 2
RAGGED_LAYERS = 2


def other_form(situation: Situation) -> Pair | None:
    """Sigmoid units as tanh units and the other way round, inputs included (eqs. 46-47)."""
    intervals = [layer for layer in _layers(situation) if isinstance(layer.manifold, Interval)]
    if not intervals:
        return None
    has_sigmoids = any(layer.manifold.low == 0.0 for layer in intervals if isinstance(layer.manifold, Interval))
    rewrite, name = (in_tanh_form, "tanh form") if has_sigmoids else (in_sigmoid_form, "sigmoid form")
    return Pair(situation, Change(name, rewrite(situation.net)))


def affine(situation: Situation) -> Pair | None:
    """A random (alpha, beta, gamma)-reparametrisation of every layer that has affine charts (definition 29)."""
    rng = situation.rng(2)
    changes = {
        layer.name: (
            _matrix(rng, layer.manifold.dim),
            rng.uniform(0.3, 1.2, layer.manifold.dim) * rng.choice([-1.0, 1.0], layer.manifold.dim),
            _matrix(rng, layer.manifold.dim) if isinstance(layer.map, Affine) else 1.0,
        )
        for layer in _layers(situation)
        if layer.chart is not None and layer.chart.is_affine
    }
    if not changes:
        return None
    return Pair(situation, Change("affine", reparametrised(situation.net, changes)))


def inputs(situation: Situation) -> Pair | None:
    """Inputs on intervals inverted, others scaled and shifted (section 3.2)."""
    layers = [layer for layer in _layers(situation) if layer.is_input and layer.chart is not None]
    turned = [layer.name for layer in layers if isinstance(layer.manifold, Interval)]
    scaled = {
        layer.name: (3.0, 0.7, 1.0)
        for layer in layers
        if layer.chart is not None and layer.chart.is_affine and layer.name not in turned
    }
    if not turned and not scaled:
        return None
    net = inverted(situation.net, *turned) if turned else situation.net
    return Pair(situation, Change("inverted inputs" if turned else "scaled inputs", reparametrised(net, scaled)))


def activity_charts(situation: Situation) -> Pair | None:
    """A chart that is not affine, out of the atlas, for every layer whose activities it can hold, inputs included."""
    rng, points = situation.rng(3), activities(situation.here)
    charts: dict[str, Chart | str] = {}
    for layer in _layers(situation):
        fitting = curved_charts(layer.manifold, points[layer.name])
        if fitting:
            charts[layer.name] = fitting[int(rng.integers(len(fitting)))]
    if not charts:
        return None
    return Pair(situation, Change("curved activities", situation.net.with_charts(charts)))


def output_chart(situation: Situation) -> Pair | None:
    """Another chart of every output manifold, in which its metric is computed then."""
    charts: dict[str, Chart | str] = {}
    trace = situation.here.whole
    for name, reading in trace.readings.items():
        manifold = reading.interpretation.output_manifold(reading.z.shape[1])
        fitting = curved_charts(manifold, numpy.asarray(reading.point()))
        if fitting:
            charts[name] = fitting[0]
    if not charts:
        return None
    return Pair(situation, Change("output chart", situation.net.with_charts(charts)))


def parameter_charts(situation: Situation) -> Pair | None:
    """A smooth chart that mixes and bends the parameters of each unit, of every layer (proposition 17, eq. 96).

    Where the units of a layer have different numbers of parameters, two of them are taken apart and re-charted, in
    the smallest layers of this kind.
    Layers that read signals which are constant over the samples stay as they are, if others do not: what such signals
    weigh is left alone by dampings in affine coordinates, and has no meaning in others.
    """
    owners = [layer for layer in _layers(situation) if _has_parameters(layer)]
    if not owners:
        return None
    dull = _uninformed(situation)
    owners = [layer for layer in owners if layer.name not in dull] or owners
    names = [layer.name for layer in owners if _is_uniform(situation, layer)]
    ragged = sorted((layer for layer in owners if layer.name not in names), key=lambda layer: layer.size)
    if ragged:
        apart = [layer.name for layer in ragged[:RAGGED_LAYERS]]
        situation = situation.redeclared(units_apart(situation.net, *apart), situation.theta.flat)
        names += [unit_name(name, unit) for name in apart for unit in range(UNITS_OF_RAGGED_LAYERS)]
    charts: dict[str, Chart | str] = {f"{name}/parameters": _mixing(situation, name) for name in names}
    return Pair(situation, Change("mixed parameters", situation.net.with_charts(charts), bends=True))


CHANGES: Mapping[str, Callable[[Situation], Pair | None]] = {
    "form": other_form,
    "affine": affine,
    "inputs": inputs,
    "activities": activity_charts,
    "output": output_chart,
    "parameters": parameter_charts,
}


def curved_charts(manifold: Manifold, points: NDArray, most: int = 12) -> list[Chart]:
    """The charts of the atlas (`most` of them at most) that are not affine and hold all the points."""
    found = []
    for name in islice(manifold.atlas, most):
        chart = manifold.chart(name)
        if not chart.is_affine and holds(chart, points):
            found.append(chart)
    return found


def holds(chart: Chart, points: NDArray) -> bool:
    """Whether a chart has finite coordinates and derivatives at all points."""
    try:
        chart.coordinates_of(points)
    except ChartError:
        return False
    frames = chart.frame(points)
    # a frame that shrinks to nothing is that of a point which the chart holds only to rounding
    return bool(numpy.isfinite(frames).all() and numpy.linalg.cond(frames).max(initial=1.0) < 1e8)


def _layers(situation: Situation) -> tuple[Layer, ...]:
    return situation.net.snapshot().layers


def _matrix(rng: numpy.random.Generator, dim: int) -> NDArray:
    """A random matrix far from singular, of either sign."""
    turn, _ = numpy.linalg.qr(rng.standard_normal((dim, dim)))
    return turn * rng.uniform(0.5, 2.0, dim)


def _has_parameters(layer: Layer) -> bool:
    return isinstance(layer.map, Affine) or (isinstance(layer.map, Map) and layer.map.parameters is not None)


def _is_uniform(situation: Situation, layer: Layer) -> bool:
    return len(set(situation.program.layout[layer.name].counts)) == 1


def _uninformed(situation: Situation) -> set[str]:
    """Layers with an affine unit that reads a constant signal, or that weighs nothing."""
    partition, found = situation.program.partition, set()
    tensor = situation.tensor(QuasiDiagonal(Backpropagated()))
    for group, entries in zip(partition.groups, tensor.unit_entries(partition), strict=True):
        if not isinstance(entries, Entries):
            continue
        standard = numpy.linalg.eigvalsh(_scaled_to_one(entries.block(), group.mask))[:, 0]
        found |= {situation.unit(int(start)).partition("[")[0] for start in group.index[standard < 1e-9, 0]}
    return found


def _scaled_to_one(blocks: NDArray, mask: NDArray[numpy.bool_] | None) -> NDArray:
    """Blocks with a diagonal of ones; padded rows are those of the identity."""
    diagonal = numpy.diagonal(blocks, axis1=1, axis2=2)
    scale = numpy.sqrt(numpy.where(diagonal > 0.0, diagonal, 1.0))
    scaled = blocks / scale[:, :, None] / scale[:, None, :]
    if mask is not None:
        scaled = scaled + numpy.eye(blocks.shape[1]) * ~mask[:, None, :]
    return scaled


def _mixing(situation: Situation, name: str) -> Chart:
    """A mixing chart of the parameters of a layer, on top of one that holds where they are."""
    net: Network = situation.net
    layers = {layer.name: layer for layer in net.snapshot().layers}
    manifold = parameter_manifold(layers[name], layers)
    if manifold.default_chart is not None:
        return mixing_chart(manifold, seed=situation.seed)
    space = situation.program.lowered.parameter_spaces[name]
    points = space.points(situation.theta[name]).reshape(-1, *manifold.shape)
    return mixing_chart(manifold, curved_charts(manifold, points)[0], seed=situation.seed)
