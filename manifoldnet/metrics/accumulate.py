"""Unitwise moduli averaged over samples into blocks, quasi-diagonal entries or diagonals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.recipes import Kept
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
    blocks, weights = _averages(rule, run, _block)
    tensor = Blocks(
        partition,
        tuple(blocks),
        floor=lambda: Blocks(partition, _floor(run, weights, _block)),
        name=f"the {name} metric",
    )
    return with_reference(tensor, run)


def quasi_diagonal_tensor(rule: ModulusRule, run: Run, name: str) -> MetricTensor:
    """The entries A_00, A_0i, A_ii of every affine unit, and the full blocks of the others (definition 23)."""
    partition = run.program.partition
    entries, weights = _averages(rule, run, _quasi)
    tensor = QuasiDiagonal(
        partition,
        _reduced(run, entries),
        floor=lambda: QuasiDiagonal(partition, _reduced(run, _floor(run, weights, _quasi))),
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
    found, _ = _averages(rule, run, _diagonal)
    entries = numpy.zeros(run.size + 1)
    for group, part in zip(run.program.partition.groups, found, strict=True):
        entries[group.index] = part if part.ndim == 2 else numpy.diagonal(part, axis1=1, axis2=2)
    return Diagonal(entries[:-1])


def _block(line: Linearisation, modulus: NDArray) -> NDArray:
    return line.block(modulus)


def _quasi(line: Linearisation, modulus: NDArray) -> Entries | NDArray:
    return line.quasi(modulus)


def _diagonal(line: Linearisation, modulus: NDArray) -> NDArray:
    return line.diagonal(modulus)


KEPT: Mapping[Contract, Kept] = {_block: "block", _quasi: "quasi", _diagonal: "diagonal"}


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
    if run.program.engine is not None:
        return run.program.engine.averages(run, rule.recipe, KEPT[contract])
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
    if program.engine is not None:
        return _with_outputs(run, program.engine.floor(run, weights, KEPT[contract]))
    total: list[Any] = []
    for trace, _ in run.chunks(1, _extra(program)):
        found = []
        for position, index in enumerate(_with_parameters(program)):
            stage = program.lowered.stages[index]
            weight = weights[position] * float(isinstance(stage, RechartedStage) or isinstance(stage.group, Units))
            constant = numpy.broadcast_to(weight, (trace.samples, *weight.shape))
            found.append(contract(trace.linearisations[index], constant))
        total = _sum(total, found)
    return _with_outputs(run, [_scaled(part, 1.0 / run.samples) for part in total])


def _with_outputs(run: Run, parts: Sequence[Any]) -> tuple[Any, ...]:
    """What Floor adds to output parameters, which have no pre-activation: nothing."""
    rest = run.program.partition.groups[len(parts) :]
    return (*parts, *(numpy.zeros((1, g.index.shape[1], g.index.shape[1])) for g in rest))
