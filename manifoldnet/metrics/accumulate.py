"""Unitwise moduli averaged over samples into blocks, quasi-diagonal entries or diagonals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler import recipes
from manifoldnet.compiler.contraction import Contraction, Lines, OfStage, Values
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.links import LinkEntries
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.sums import summed
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Kept, Units
from manifoldnet.metrics.memory import block_bytes, sample_bytes
from manifoldnet.metrics.reference import with_reference
from manifoldnet.metrics.unitwise import Moduli, ModulusRule

Contract = Callable[[Contraction, Lines, Values, float], list[Any]]
Weights = Callable[[], Values]


def block_tensor(rule: ModulusRule, run: Run, name: str) -> MetricTensor:
    """E_x (da_k/dtheta_k)^T m_k (da_k/dtheta_k) for every unit (eqs. 18, 28, 70, 78)."""
    run.check_memory(2 * block_bytes(run.program, run.samples), f"the blocks of the {name} metric")
    partition = run.program.partition
    blocks, weights = averaged_blocks(rule, run)
    tensor = Blocks(
        partition,
        blocks,
        floor=lambda: Blocks(partition, floor_blocks(run, weights())),
        name=f"the {name} metric",
    )
    return with_reference(tensor, run)


def quasi_diagonal_tensor(rule: ModulusRule, run: Run, name: str) -> MetricTensor:
    """The entries A_00, A_0i, A_ii of every affine unit, and the full blocks of the others (definition 23)."""
    partition = run.program.partition
    entries, weights = averaged_entries(rule, run)
    tensor = QuasiDiagonal(
        partition,
        entries,
        floor=lambda: QuasiDiagonal(partition, floor_entries(run, weights())),
        name=f"the {name} metric",
    )
    return with_reference(tensor, run)


def _reduced(run: Run, parts: Sequence[Any]) -> Kept:
    """Averaged parts, those of affine units in charts of the user's as the full blocks that such units keep."""
    lowered, found, start = run.program.lowered, list(parts), 0
    if not lowered.has_recharted:
        return Kept(found)
    for contraction in lowered.contractions:
        if isinstance(contraction, OfStage):
            stage = lowered.stages[contraction.index]
            if isinstance(stage, RechartedStage):
                found[start] = stage.reduced_blocks(run.theta.flat, found[start])
        start += 1 if isinstance(found[start], LinkEntries) else len(contraction.groups)
    return Kept(found)


def diagonal_tensor(rule: ModulusRule, run: Run) -> MetricTensor:
    """The diagonals of the blocks alone."""
    found, _ = _averages(rule, run, _diagonals)
    diagonals = [part if part.ndim == 2 else numpy.diagonal(part, axis1=1, axis2=2) for part in found]
    return Diagonal(run.program.partition.scatter(diagonals))


def averaged_blocks(rule: ModulusRule, run: Run) -> tuple[Kept, Weights]:
    """The blocks of every group of units averaged over the samples, and the averaged moduli of every stage."""
    blocks, weights = _averages(rule, run, _blocks)
    return Kept(blocks), weights


def averaged_entries(rule: ModulusRule, run: Run) -> tuple[Kept, Weights]:
    """What the quasi-diagonal reduction keeps of every group of units, and the averaged moduli of every stage."""
    entries, weights = _averages(rule, run, _entries)
    return _reduced(run, entries), weights


def floor_blocks(run: Run, weights: Values) -> Kept:
    """E[a~ a~^T] of every group of affine units times given weights of every stage, zero for other units."""
    return Kept(_floor(run, weights, _blocks))


def floor_entries(run: Run, weights: Values) -> Kept:
    """What the quasi-diagonal reduction keeps of `floor_blocks`."""
    return _reduced(run, _floor(run, weights, _entries))


def _blocks(contraction: Contraction, lines: Lines, moduli: Values, share: float) -> list[Any]:
    return contraction.blocks(lines, moduli, share)


def _entries(contraction: Contraction, lines: Lines, moduli: Values, share: float) -> list[Any]:
    return contraction.entries(lines, moduli, share)


def _diagonals(contraction: Contraction, lines: Lines, moduli: Values, share: float) -> list[Any]:
    return contraction.diagonals(lines, moduli, share)


# The same as plain data, for programs with an engine.
NAMES: Mapping[Contract, recipes.Kept] = {_blocks: "block", _entries: "quasi", _diagonals: "diagonal"}


def _averages(rule: ModulusRule, run: Run, contract: Contract) -> tuple[list[Any], Weights]:
    """Averages over all samples of what `contract` makes of each group's moduli, and of the moduli themselves.

    The parts stand in the order of the partition's groups; the averaged moduli, by stage, are made when asked for.
    """
    if run.program.engine is not None:
        found, averaged = run.program.engine.averages(
            run, recipes.required(rule.recipe, f"the modulus {type(rule).__name__}"), NAMES[contract]
        )
        return found, lambda: averaged
    parts: list[Any] = []
    share = 1.0 / run.samples
    weights: list[NDArray] = []
    pending: list[Values] = []
    for trace, targets in run.chunks(0, sample_bytes(rule, run.program, NAMES[contract])):
        moduli = rule.moduli(trace, targets, run.streams if rule.needs_rng else {})
        found = _contracted(run, trace.linearisations, moduli.stages, share, contract)
        parts = summed(parts, found + _output_blocks(run, moduli))
        # one chunk is kept as it is until someone asks; of more the sums are smaller
        weights = summed(weights, _shares(share, pending.pop())) if pending else weights
        pending.append(moduli.stages)
    return parts, lambda: summed(weights, _shares(share, pending[0]))


def _shares(share: float, moduli: Values) -> list[NDArray]:
    """Sums over samples, times `share`."""
    return [share * modulus.sum(axis=0) for modulus in moduli]


def _contracted(run: Run, lines: Lines, moduli: Values, share: float, contract: Contract) -> list[Any]:
    return [part for each in run.program.lowered.contractions for part in contract(each, lines, moduli, share)]


def _output_blocks(run: Run, moduli: Moduli) -> list[NDArray]:
    """E_x (domega/dvartheta)^T Omega (domega/dvartheta) of each interpretation with output parameters."""
    if not moduli.parameters:
        return []
    rows = [moduli.parameters[o.name] for o in run.program.declaration.outputs if o.name in moduli.parameters]
    return [numpy.einsum("ksp,ksq->pq", part, part, optimize=True)[None] / run.samples for part in rows]


def _floor(run: Run, weights: Values, contract: Contract) -> list[Any]:
    """E[c] E[a~ a~^T] of the affine units, zero for the others: what Floor damping adds, eps = 1.

    Only affine units have a pre-activation whose weight c can be floored.
    """
    if run.program.engine is not None:
        return _with_outputs(run, run.program.engine.floor(run, weights, NAMES[contract]))
    stages = run.program.lowered.stages
    floored = [isinstance(stage, RechartedStage) or isinstance(stage.group, Units) for stage in stages]
    kept = [weight * float(is_floored) for weight, is_floored in zip(weights, floored, strict=True)]
    total: list[Any] = []
    for trace, _ in run.chunks(1, run.program.lowered.block_bytes_per_sample):
        constant = [numpy.broadcast_to(weight, (trace.samples, *weight.shape)) for weight in kept]
        total = summed(total, _contracted(run, trace.linearisations, constant, 1.0 / run.samples, contract))
    return _with_outputs(run, total)


def _with_outputs(run: Run, parts: list[Any]) -> list[Any]:
    """What Floor adds to output parameters, which have no pre-activation: nothing."""
    outputs = run.program.lowered.output_groups
    return parts + [numpy.zeros((1, group.width, group.width)) for group in outputs]
