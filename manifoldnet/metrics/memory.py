"""What unitwise metrics take: each sample on its way, the tensor, and its solution."""

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import Kept
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.metrics.rows import FisherRows
from manifoldnet.metrics.unitwise import ModulusRule, SquaredRows

# Blocks are solved a few at a time, with so many bytes for copies and factors.
PIECES = 10 * 2**20


def block_memory(rule: ModulusRule, program: Program, samples: int) -> int:
    """The size in bytes of blocks with all that it takes to make them, or to solve them, whichever is more."""
    tensor = block_bytes(program, samples)
    made = pass_bytes(rule, program, samples, "block") + tensor
    solved = program.pass_bytes(samples, 0) + 2 * tensor + min(_piece_bytes(program, samples), PIECES)
    return max(made, solved)


def _piece_bytes(program: Program, samples: int) -> int:
    """What solutions would take if all units were solved at once, on the side that is smaller."""
    groups = program.partition.groups
    return 3 * 8 * sum(group.units * group.width * min(group.width, samples) for group in groups)


def block_bytes(program: Program, samples: int) -> int:
    """The size in bytes of all blocks on so many samples."""
    lowered = program.lowered
    units = sum(contraction.block_bytes(lowered.stages, samples) for contraction in lowered.contractions)
    if program.engine is not None:
        units = 8 * sum(group.units * group.width**2 for each in lowered.contractions for group in each.groups)
    return units + 8 * sum(group.units * group.width**2 for group in lowered.output_groups)


def quasi_diagonal_memory(rule: ModulusRule, program: Program, samples: int) -> int:
    """The same for quasi-diagonal entries: once more where they are damped, and once while they are solved."""
    entries = 8 * sum(_kept(group) for group in program.partition.groups)
    made, solved = pass_bytes(rule, program, samples, "quasi"), program.pass_bytes(samples, 0)
    return max(made + entries, solved + 3 * entries)


def diagonal_memory(rule: ModulusRule, program: Program, samples: int) -> int:
    """The same for a diagonal."""
    return 2 * 8 * program.tangent_layout.size + pass_bytes(rule, program, samples, "diagonal")


def pass_bytes(rule: ModulusRule, program: Program, samples: int, kept: Kept) -> int:
    """What evaluating moduli and contracting them takes beside the tensor."""
    joint = program.lowered.joint
    # entries of joint stages are made of two products, each of which has a buffer
    second = 0 if joint is None or kept == "block" else 8 * joint.size
    return program.pass_bytes(samples, 0, sample_bytes(rule, program, kept)) + second


def sample_bytes(rule: ModulusRule, program: Program, kept: Kept) -> int:
    """The same of one sample, its trace excepted: moduli twice, and what pulls them back or contracts them."""
    lowered = program.lowered
    contracted = lowered.block_bytes_per_sample if kept == "block" else lowered.entry_bytes_per_sample
    # rows of outputs with one entry each are never arrays
    is_fisher = type(rule) is SquaredRows and type(rule.source) is FisherRows
    widest = program.fisher_row_bytes if is_fisher else program.row_bytes
    return 2 * lowered.moduli_bytes_per_sample + max(rule.rows(program) * widest, contracted)


def _kept(group: Units | Whole) -> int:
    if isinstance(group, Whole):
        return group.index.shape[0] * group.index.shape[1] ** 2
    units, q = group.bias.shape
    return units * (q * q + sum(p.shape[1] * p.shape[2] * (q + p.shape[2]) for p in group.parents))
