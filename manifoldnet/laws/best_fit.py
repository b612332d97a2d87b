"""Proposition 32: a unitwise step is the weighted least-squares fit of b by what the unit can do."""

import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.compiler.quantities import backpropagated_values
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.differences import activity_changes
from manifoldnet.laws.profile import unit_weights
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import LeastNorm

TOLERANCE = 1e-5


def best_fit(situation: Situation, rule: MetricRule) -> Check:
    """Proposition 32: -A^{-1} dL minimises, at each unit, the mean of |(da_k/dtheta_k) v - m^+ b_k|^2 in its modulus m.

    For one-dimensional affine units, with da_k/dtheta_k = r_k (1, a_i), that is the fit of b/(r m) with weights r^2 m
    (eq. 111). da_k/dtheta_k comes from central differences, the solution from SciPy, unit by unit; fitted values are
    compared, which are unique where weights are not. Samples without weight do not count.
    """
    statement = Statement("proposition 32, best fit", rule.name)
    weights = unit_weights(situation, rule)
    if weights is None:
        return statement.untestable("proposition 32 is about the three unitwise metrics", TOLERANCE)
    step = -situation.direction(rule, LeastNorm())
    values = backpropagated_values(situation.here)
    worst, where = 0.0, ""
    for layer in (item.name for item in situation.net.snapshot().layers if item.name in situation.program.layout):
        place, rates = situation.program.tangent_layout[layer], unit_rates(situation, layer)
        steps = situation.program.tangent_layout.padded(step, layer)
        for unit in range(place.units):
            fit = _Fit(rates[:, unit, :, : place.counts[unit]], weights[layer][:, unit], values[layer][:, unit])
            deviation = fit.deviation(steps[unit, : place.counts[unit]])
            if not deviation <= worst:
                worst, where = deviation, f"largest at unit {layer}[{unit}]"
    return statement.measured(worst, TOLERANCE, where)


def unit_rates(situation: Situation, layer: str) -> NDArray:
    """da_k/dtheta_k of the units of a layer by central differences, (samples, units, dim, width)."""
    layout = situation.program.tangent_layout
    place = layout[layer]
    positions, columns = place.positions(layout.size), []
    for component in range(place.width):
        tangent = numpy.zeros(layout.size + 1)
        tangent[positions[:, component]] = 1.0
        columns.append(activity_changes(situation, tangent[:-1], layer))
    return numpy.stack(columns, axis=3) * place.mask[:, None, :]


class _Fit:
    """The least-squares problem of one unit: rates (samples, dim, p), moduli (samples, dim, dim), b (samples, dim)."""

    def __init__(self, rates: NDArray, moduli: NDArray, values: NDArray) -> None:
        eigenvalues, vectors = numpy.linalg.eigh(moduli)
        kept = eigenvalues > 1e-12 * eigenvalues.max(initial=1e-300)
        roots = numpy.sqrt(numpy.where(kept, eigenvalues, 0.0))
        inverse = numpy.where(kept, 1.0 / numpy.where(kept, roots, 1.0), 0.0)
        turned = vectors.swapaxes(1, 2)
        self._design = ((roots[..., None] * turned) @ rates).reshape(-1, rates.shape[2])
        # m^{1/2} m^+ b
        self._target = (inverse * (turned @ values[..., None])[..., 0]).reshape(-1)

    def deviation(self, step: NDArray) -> float:
        """How far the fitted values of a step are from the best ones, over the size of these."""
        solution = scipy.linalg.lstsq(self._design, self._target, cond=1e-9)[0]
        fitted = self._design @ solution
        size = numpy.linalg.norm(fitted)
        return float(numpy.linalg.norm(self._design @ step - fitted) / size) if size > 1e-12 else 0.0
