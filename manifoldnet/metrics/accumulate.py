"""Unitwise moduli averaged over samples into blocks, quasi-diagonal entries or diagonals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.stage import Linearisation
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.metrics.reference import with_reference
from manifoldnet.metrics.unitwise import Moduli, ModulusRule

Contract = Callable[[Linearisation, NDArray], Any]


def block_tensor(rule: ModulusRule, run: Run, name: str) -> MetricTensor:
    """E_x (da_k/dtheta_k)^T m_k (da_k/dtheta_k) for every unit (eqs. 18, 28, 70, 78)."""
    run.check_memory(block_memory(run.program), f"the blocks of the {name} metric")
    partition = run.program.partition
    blocks, weights = averaged_blocks(rule, run)
    tensor = Blocks(
        partition,
        tuple(blocks),
        floor=lambda: Blocks(partition, floor_blocks(run, weights)),
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
        floor=lambda: QuasiDiagonal(partition, floor_entries(run, weights)),
        name=f"the {name} metric",
    )
    return with_reference(tensor, run)


def _reduced(run: Run, parts: Sequence[Any]) -> tuple[Any, ...]:
    """Averaged parts, those of affine units in charts of the user's as the full blocks that such units keep."""
    stages = [run.program.lowered.stages[index] for index in _with_parameters(run.program)]
    finished = [
        stage.reduced_blocks(run.theta.flat, part) if isinstance(stage, RechartedStage) else part
        for stage, part in zip(stages, parts, strict=False)
    ]
    return (*finished, *parts[len(stages) :])


def diagonal_tensor(rule: ModulusRule, run: Run) -> MetricTensor:
    """The diagonals of the blocks alone."""
    found, _ = _averages(rule, run, lambda line, modulus: line.diagonal(modulus))
    entries = numpy.zeros(run.size + 1)
    for group, part in zip(run.program.partition.groups, found, strict=True):
        entries[group.index] = part if part.ndim == 2 else numpy.diagonal(part, axis1=1, axis2=2)
    return Diagonal(entries[:-1])


def averaged_blocks(rule: ModulusRule, run: Run) -> tuple[list[NDArray], list[NDArray]]:
    """The blocks of every group of units, and the moduli of stages with parameters, averaged over the samples."""
    return _averages(rule, run, _block)


def averaged_entries(rule: ModulusRule, run: Run) -> tuple[tuple[Any, ...], list[NDArray]]:
    """What the quasi-diagonal reduction keeps of every group of units, and the averaged moduli."""
    entries, weights = _averages(rule, run, _quasi)
    return _reduced(run, entries), weights


def floor_blocks(run: Run, weights: Sequence[NDArray]) -> tuple[NDArray, ...]:
    """E[a~ a~^T] of every group of affine units times given weights, zero for other units."""
    return _floor(run, weights, _block)


def floor_entries(run: Run, weights: Sequence[NDArray]) -> tuple[Any, ...]:
    """What the quasi-diagonal reduction keeps of `floor_blocks`."""
    return _reduced(run, _floor(run, weights, _quasi))


def _block(line: Linearisation, modulus: NDArray) -> NDArray:
    return line.block(modulus)


def _quasi(line: Linearisation, modulus: NDArray) -> Entries | NDArray:
    return line.quasi(modulus)


def block_memory(program: Program) -> int:
    """The size in bytes of all blocks, with one copy for their factorisation."""
    return 2 * 8 * sum(len(group.index) * group.index.shape[1] ** 2 for group in program.partition.groups)


def quasi_diagonal_memory(program: Program) -> int:
    """The size in bytes of the quasi-diagonal entries."""
    return 8 * sum(_kept(group) for group in program.partition.groups)


def _kept(group: Units | Whole) -> int:
    if isinstance(group, Whole):
        return group.index.shape[0] * group.index.shape[1] ** 2
    units, q = group.bias.shape
    return units * (q * q + sum(p.shape[1] * p.shape[2] * (q + p.shape[2]) for p in group.parents))


def _averages(rule: ModulusRule, run: Run, contract: Contract) -> tuple[list[Any], list[NDArray]]:
    """Averages over all samples of what `contract` makes of each group's moduli, and of the moduli themselves.

    Groups stand in the order of the partition: stages with parameters, then output parameters.
    """
    parts: list[Any] = []
    weights: list[NDArray] = []
    for trace, targets in run.chunks(rule.rows(run.program), _extra(run.program)):
        moduli = rule.moduli(trace, targets, run.streams)
        pairs = [(trace.linearisations[i], moduli.stages[i]) for i in _with_parameters(run.program)]
        found = [contract(line, modulus) for line, modulus in pairs] + _output_blocks(run, moduli)
        parts = _sum(parts, found)
        weights = _sum(weights, [modulus.sum(axis=0) for _, modulus in pairs])
    return [_scaled(part, 1.0 / run.samples) for part in parts], [weight / run.samples for weight in weights]


def _with_parameters(program: Program) -> list[int]:
    return [index for index, stage in enumerate(program.lowered.stages) if stage.group is not None]


def _extra(program: Program) -> int:
    return sum(stage.block_bytes_per_sample() for stage in program.lowered.stages)


def _sum(total: list[Any], part: list[Any]) -> list[Any]:
    return [_plus(a, b) for a, b in zip(total, part, strict=True)] if total else part


def _plus(a: Any, b: Any) -> Any:
    return a.plus(b) if isinstance(a, Entries) else a + b


def _scaled(part: Any, factor: float) -> Any:
    return part.scaled(factor) if isinstance(part, Entries) else factor * part


def _output_blocks(run: Run, moduli: Moduli) -> list[NDArray]:
    """sum_x (domega/dvartheta)^T Omega (domega/dvartheta) of each interpretation with output parameters."""
    rows = [moduli.parameters[o.name] for o in run.program.declaration.outputs if o.name in moduli.parameters]
    return [numpy.einsum("ksp,ksq->pq", part, part, optimize=True)[None] for part in rows]


def _floor(run: Run, weights: Sequence[NDArray], contract: Contract) -> tuple[Any, ...]:
    """E[c] E[a~ a~^T] of the affine units, zero for the others: what Floor damping adds, eps = 1.

    Only affine units have a pre-activation whose weight c can be floored.
    """
    program = run.program
    total: list[Any] = []
    for trace, _ in run.chunks(1, _extra(program)):
        found = []
        for position, index in enumerate(_with_parameters(program)):
            stage = program.lowered.stages[index]
            weight = weights[position] * float(isinstance(stage, RechartedStage) or isinstance(stage.group, Units))
            constant = numpy.broadcast_to(weight, (trace.samples, *weight.shape))
            found.append(contract(trace.linearisations[index], constant))
        total = _sum(total, found)
    rest = program.partition.groups[len(total) :]
    outputs = [numpy.zeros((1, g.index.shape[1], g.index.shape[1])) for g in rest]
    return (*(_scaled(part, 1.0 / run.samples) for part in total), *outputs)
