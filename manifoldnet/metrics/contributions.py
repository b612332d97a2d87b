"""What one sample adds to a metric: rows whose squares are its contribution, unit by unit or for all together."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.row_parts import RowPart
from manifoldnet.metrics.full import row_layers
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.rows import FisherRows, MonteCarloRows, OuterProductRows, Rows
from manifoldnet.metrics.unitwise import ModulusRule


@final
@attrs.frozen(eq=False)
class Contribution:
    """Rows U of each group of units, (U, p, r), with A(x) = U U^T; and the moduli of every stage."""

    rows: tuple[NDArray, ...]
    weights: tuple[NDArray, ...]


def unit_contribution(rule: ModulusRule, run: Run) -> Contribution:
    """A(x)_k = (da_k/dtheta_k)^T m_k (da_k/dtheta_k) of one sample, for all units of a group at once (eq. 37)."""
    trace = run.whole
    moduli = rule.moduli(trace, run.targets or {}, run.streams)
    roots = [_root(modulus) for modulus in moduli.stages]
    parts = [part for each in trace.lowered.contractions for part in each.row_parts(trace.linearisations, roots)]
    rows = [_by_unit(part) for part in parts]
    for output in run.program.declaration.outputs:
        if output.name in moduli.parameters:
            own = moduli.parameters[output.name]
            rows.append(own.reshape(-1, own.shape[-1]).T[None])
    return Contribution(tuple(rows), tuple(modulus.mean(axis=0) for modulus in moduli.stages))


def whole_contribution(rule: MetricRule, run: Run) -> Contribution:
    """A(x) of one sample over all parameters at once, as one unit."""
    trace, rows = run.whole, whole_rows(rule)
    layers = row_layers(trace, rows.seeds(trace, run.targets or {}, run.streams), 1.0)
    pulled = LayeredFactor(trace.lowered.partition, layers).factor().rows
    return Contribution((pulled.T[None],), ())


def whole_rows(rule: MetricRule) -> Rows:
    """The rows that a metric on all parameters is made of; raises TypeError for another."""
    if isinstance(rule, Natural):
        return FisherRows()
    if isinstance(rule, OuterProduct):
        return OuterProductRows()
    if isinstance(rule, MonteCarloNatural):
        return MonteCarloRows(rule.samples)
    raise TypeError(f"{rule.name} is no metric on all parameters at once")


def _root(modulus: NDArray) -> NDArray:
    """C with C C^T = m, as `d` covectors (d, samples, units, d)."""
    if modulus.shape[-1] == 1:
        return numpy.sqrt(numpy.maximum(modulus, 0.0))[None, ..., 0]
    values, vectors = numpy.linalg.eigh(modulus)
    return numpy.moveaxis(vectors * numpy.sqrt(numpy.maximum(values, 0.0))[..., None, :], -1, 0)


def _by_unit(part: RowPart) -> NDArray:
    """Rows by unit, (units, p, k samples)."""
    return part.explicit().reshape(-1, *part.shape).transpose(1, 2, 0)
