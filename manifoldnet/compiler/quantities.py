"""The quantities of the paper at every unit, in the coordinates of its activity's chart."""

from collections.abc import Mapping

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.data import Targets
from manifoldnet.compiler.passes import direct_numbers, outer_covectors, outer_moduli
from manifoldnet.compiler.recipes import RowsRecipe
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.trace import Rows, Trace

ByLayer = dict[str, NDArray]


def activities(run: Run) -> ByLayer:
    """The activity of every unit as a point, (samples, units, *shape)."""
    if run.program.engine is not None:
        spaces = run.program.lowered.spaces
        return {name: spaces[name].shaped(points) for name, points in run.program.engine.activities(run).items()}
    trace = _whole(run)
    return {name: trace.lowered.spaces[name].shaped(points) for name, points in trace.points.items()}


def backpropagated_values(run: Run) -> ByLayer:
    """b_k = -dl/da_k, (samples, units, dim) (eqs. 4-5)."""
    targets = _targets(run)
    if run.program.engine is not None:
        scores = run.program.engine.seeds(run, RowsRecipe("targets"))
        found = run.program.engine.outer_covectors(run, {name: -rows for name, rows in scores.items()})
        return {name: values[0] for name, values in found.items()}
    trace = _whole(run)
    seeds = {name: -reading.score(targets[name]).outputs[None] for name, reading in trace.readings.items()}
    return {name: values[0] for name, values in _outer_covectors(trace, seeds).items()}


def transfer_rates(run: Run, output: str | None = None) -> ByLayer:
    """J_k = d z/da_k for every output number z of an interpretation, (numbers, samples, units, dim) (eqs. 13, 65).

    The numbers are activities ("value"), log-odds or logarithms, as `trace.readings[output].scale` says.
    """
    trace = _whole(run)
    name = output or run.program.declaration.outputs[0].name
    z = trace.readings[name].z
    rows = numpy.zeros((z.shape[1], *z.shape))
    rows[numpy.arange(z.shape[1]), :, numpy.arange(z.shape[1])] = 1.0
    if run.program.engine is not None:
        return run.program.engine.outer_covectors(run, {name: rows})
    return _outer_covectors(trace, {name: rows})


def output_derivatives(run: Run) -> ByLayer:
    """Omega^(1/2) domega/da_k, (rows, samples, units, dim): products of two layers' give Phi_kk' (eq. 102)."""
    if run.program.engine is not None:
        return run.program.engine.outer_covectors(run, run.program.engine.seeds(run, RowsRecipe("fisher")))
    trace = _whole(run)
    found: dict[str, NDArray] = {}
    for name, reading in trace.readings.items():
        for layer, rows in _outer_covectors(trace, {name: reading.factor().outputs}).items():
            found[layer] = numpy.concatenate([found[layer], rows]) if layer in found else rows
    return found


def fisher_moduli(run: Run) -> ByLayer:
    """Phi_k = (domega/da_k)^T Omega (domega/da_k), (samples, units, dim, dim) (eqs. 14-17, 66)."""
    return {
        name: numpy.einsum("ksui,ksuj->suij", rows, rows, optimize=True)
        for name, rows in output_derivatives(run).items()
    }


def backpropagated_moduli(run: Run) -> ByLayer:
    """m_k, (samples, units, dim, dim) (eqs. 26-27, 76)."""
    if run.program.engine is not None:
        return run.program.engine.outer_moduli(run)
    trace = _whole(run)
    outer = dict(outer_moduli(trace))
    for (layer, scale), blocks in direct_numbers(trace).items():
        rate = trace.outer_rate(layer, scale)
        direct = rate.pull_modulus(blocks)
        outer[layer] = outer[layer] + direct if layer in outer else direct
    return _filled(trace, outer, ())


def _outer_covectors(trace: Trace, seeds: Rows) -> ByLayer:
    outer = dict(outer_covectors(trace, seeds))
    for (layer, scale), values in trace.on_layers(seeds).items():
        direct = trace.outer_rate(layer, scale).pull(values)
        outer[layer] = outer[layer] + direct if layer in outer else direct
    return _filled(trace, outer, (len(next(iter(seeds.values()))),))


def _filled(trace: Trace, outer: Mapping[str, NDArray], lead: tuple[int, ...]) -> ByLayer:
    """Zero where nothing comes back to a layer; inputs are left out, since no parameter precedes them."""
    found = {}
    for layer in trace.declaration.layers:
        if not layer.is_input:
            dim = trace.lowered.spaces[layer.name].dim
            shape = (*lead, trace.samples, layer.size, dim) if lead else (trace.samples, layer.size, dim, dim)
            found[layer.name] = outer.get(layer.name, numpy.zeros(shape))
    return found


def _whole(run: Run) -> Trace:
    return run.whole


def _targets(run: Run) -> Targets:
    if run.targets is None:
        raise TypeError("backpropagated values are derivatives of losses: evaluate them where targets are given")
    return run.targets
