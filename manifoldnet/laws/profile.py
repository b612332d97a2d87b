"""Remark 18: a unitwise metric is the mean square of how activation profiles change, under one weight a unit and sample."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.quantities import backpropagated_moduli, backpropagated_values, fisher_moduli
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.differences import activity_changes
from manifoldnet.laws.norms import unit_norms
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.metrics.unitwise_rules import Backpropagated, UnitwiseNatural, UnitwiseOuterProduct

TOLERANCE = 1e-6


def profile(situation: Situation, rule: MetricRule) -> Check:
    """Remark 18: |dtheta_k|^2 = E_x c_xk |da_k(x)|^2, with da_k by central differences, unit by unit.

    The weight c is the Fisher modulus, the backpropagated one, or the square of b, as the metric has it.
    """
    statement = Statement("remark 18, change of activation profile", rule.name)
    weights = unit_weights(situation, rule)
    if weights is None:
        return statement.untestable("remark 18 is about the three unitwise metrics", TOLERANCE)
    tangent = situation.rng(6).standard_normal(situation.program.tangent_layout.size)
    found = unit_norms(situation, situation.tensor(rule), tangent)
    starts, worst, where = numpy.unique(situation.owners), 0.0, ""
    for layer in (item.name for item in situation.net.snapshot().layers if item.name in situation.program.layout):
        place = situation.program.tangent_layout[layer]
        own = (numpy.arange(len(tangent)) >= place.offset) & (numpy.arange(len(tangent)) < place.stop)
        changes = activity_changes(situation, numpy.where(own, tangent, 0.0), layer)
        expected = numpy.einsum("sui,suij,suj->u", changes, weights[layer], changes) / situation.samples
        measured = found[(starts >= place.offset) & (starts < place.stop)]
        gaps = numpy.abs(measured - expected) / numpy.maximum(numpy.maximum(measured, expected), 1e-12 * found.max())
        unit = int(numpy.argmax(gaps))
        if not gaps[unit] <= worst:
            worst, where = float(gaps[unit]), f"largest at unit {layer}[{unit}]"
    return statement.measured(worst, TOLERANCE, where)


def unit_weights(situation: Situation, rule: MetricRule) -> dict[str, NDArray] | None:
    """c_xk by layer, (samples, units, dim, dim), in the charts of activities; None for other metrics."""
    if isinstance(rule, UnitwiseNatural):
        return fisher_moduli(situation.here)
    if isinstance(rule, Backpropagated):
        return backpropagated_moduli(situation.here)
    if isinstance(rule, UnitwiseOuterProduct):
        values = backpropagated_values(situation.here)
        return {layer: b[..., :, None] * b[..., None, :] for layer, b in values.items()}
    return None
