"""Remark 11: on the output layer the Fisher and the backpropagated modulus are one, and may be Newton's method."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.quantities import backpropagated_moduli, fisher_moduli
from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.charted import Charted
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.declare.layer import Declaration, Layer, Output
from manifoldnet.declare.maps import Affine
from manifoldnet.laws.differences import differential_changes
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.metrics.unitwise_rules import UnitwiseNatural

EXACT = 1e-10
DIFFERENCES = 1e-5
# Units of which the Newton equality is looked at one by one.
UNITS = 4


def output_moduli(situation: Situation) -> Check:
    """Remark 11: Phi_k = m_k at units that only interpretations read, whatever the interpretation.

    One layer below it holds where no two outputs are coupled by the output metric (F_out is diagonal); then
    units that only such outputs read are looked at too.
    """
    statement = Statement("remark 11, equal moduli at the outputs", "backpropagated")
    last, below = _last_layers(situation)
    names = last + (below if _is_uncoupled(situation) else [])
    if not names:
        return statement.untestable("every output feeds another unit", EXACT)
    fisher, backpropagated = fisher_moduli(situation.here), backpropagated_moduli(situation.here)
    worst, where = 0.0, f"of {', '.join(names)}"
    for name in names:
        scale = max(numpy.abs(fisher[name]).max(), 1e-300)
        deviation = float(numpy.abs(fisher[name] - backpropagated[name]).max() / scale)
        if not deviation <= worst:
            worst, where = deviation, f"largest in layer {name}"
    return statement.measured(worst, EXACT, where)


def newton(situation: Situation) -> Check:
    """Remark 11: with rate 1 the unitwise natural step on the output layer is Newton's, for some interpretations.

    Jointly over its units for identity with square-loss and logistic with Bernoulli, unit by unit for identity with
    softmax: the metric is the Hessian of the loss there, which central differences of dL give.
    """
    statement = Statement("remark 11, Newton at the outputs", "unitwise-natural")
    declaration = situation.program.declaration
    chosen = [(name, joint) for name in _last_layers(situation)[0] for joint in _newton_case(declaration, name)]
    if not chosen:
        return statement.untestable("it holds for identity with square-loss or softmax, logistic with Bernoulli", EXACT)
    tensor, worst, where = situation.tensor(UnitwiseNatural()), 0.0, ""
    for name, joint in chosen:
        for tangent in _directions(situation, name, joint):
            own = tangent != 0.0
            expected, found = tensor.multiply(tangent)[own], differential_changes(situation, tangent)[own]
            deviation = float(numpy.abs(found - expected).max() / max(numpy.abs(expected).max(), 1e-300))
            if not deviation <= worst:
                worst, where = deviation, f"largest in layer {name}"
    return statement.measured(worst, DIFFERENCES, where)


def _last_layers(situation: Situation) -> tuple[list[str], list[str]]:
    """Layers of units that no unit reads; and layers read only by these, and by no interpretation."""
    layers = [layer for layer in situation.program.declaration.layers if not layer.is_input]
    readers: dict[str, set[str]] = {layer.name: set() for layer in situation.program.declaration.layers}
    for layer in layers:
        for edge in layer.edges:
            readers[edge.parent].add(layer.name)
    read = {source.layer for output in situation.program.declaration.outputs for source in output.sources}
    last = [layer.name for layer in layers if not readers[layer.name]]
    below = [layer.name for layer in layers if layer.name not in read and readers[layer.name] <= set(last)]
    return last, [name for name in below if name not in last]


def _is_uncoupled(situation: Situation) -> bool:
    """Whether the output metrics have no terms between units (F_out is block-diagonal), and no unit is read twice."""
    for output in situation.program.declaration.outputs:
        reading = situation.here.whole.readings[output.name]
        rows = reading.factor().outputs
        metric = numpy.abs(numpy.einsum("rsi,rsj->sij", rows, rows, optimize=True))
        owner = _owners(situation, output)
        between = owner[:, None] != owner[None, :]
        if metric[:, between].max(initial=0.0) > 1e-12 * metric.max(initial=0.0):
            return False
    return len(situation.program.declaration.outputs) == 1


def _owners(situation: Situation, output: Output) -> NDArray[numpy.int_]:
    """Which of the units that an interpretation reads each output number belongs to."""
    sizes = [situation.program.lowered.spaces[s.layer].size for s in output.sources for _ in s.units]
    return numpy.repeat(numpy.arange(len(sizes)), sizes)


def _newton_case(declaration: Declaration, name: str) -> list[bool]:
    """[True] if the equality holds jointly for a layer, [False] if unit by unit, [] if not at all."""
    readers = [output for output in declaration.outputs if any(source.layer == name for source in output.sources)]
    layer = declaration.layer(name)
    if len(readers) != 1 or not isinstance(layer.map, Affine) or layer.parameter_chart is not None:
        return []
    return _equality(layer, _plain(readers[0].interpretation))


def _plain(interpretation: Interpretation) -> Interpretation:
    return interpretation.interpretation if isinstance(interpretation, Charted) else interpretation


def _equality(layer: Layer, interpretation: Interpretation) -> list[bool]:
    assert isinstance(layer.map, Affine)
    link = layer.map.link
    if link.name == "identity" and isinstance(interpretation, SquareLoss):
        return [True]
    if link.name == "identity" and isinstance(interpretation, Softmax) and not interpretation.coefficients:
        return [False]
    fills = link.log_odds_slope is not None and layer.manifold == link.image(layer.manifold.dim)
    return [True] if fills and isinstance(interpretation, Bernoulli) else []


def _directions(situation: Situation, name: str, joint: bool) -> list[NDArray]:
    """Random tangents of the whole layer, or of single units of it."""
    layout = situation.program.tangent_layout
    place, drawn = layout[name], situation.rng(9).standard_normal(layout.size)
    positions = place.positions(layout.size)
    chosen = [positions] if joint else [positions[unit : unit + 1] for unit in range(min(UNITS, place.units))]
    found = []
    for part in chosen:
        mask = numpy.zeros(layout.size + 1, dtype=bool)
        mask[part] = True
        found.append(numpy.where(mask[:-1], drawn, 0.0))
    return found
