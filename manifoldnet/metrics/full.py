"""Metrics on the whole parameter space, cross terms between units included."""

from collections.abc import Iterable
from typing import Literal

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler import recipes
from manifoldnet.compiler.data import Targets
from manifoldnet.compiler.passes import pull_back_covectors
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.trace import Trace
from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.bordered_rows import bordered_of_rows
from manifoldnet.linalg.covector_rows import joined_rows
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.row_parts import ExplicitRows, RowPart
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.reference import with_reference
from manifoldnet.metrics.rows import FisherRows, Rows, Seeds

# Rows of up to so many bytes are kept as an array; wider ones layer by layer.
ROWS = 64 * 2**20
# What conjugate gradients on rows take beside them, in vectors as long as the parameters.
VECTORS = 12


def full_tensor(rows: Rows, run: Run, name: str) -> MetricTensor:
    """E_x of the rows' outer products (eqs. 61, 64, 100, 102), kept as `structure_of` says."""
    count = rows.count(run.program)
    run.check_memory(full_memory(rows, run.program, run.samples), f"the {name} metric")
    kept = structure_of(rows, run.program, run.samples)
    partition, name = run.program.partition, f"the {name} metric"
    engine = run.program.engine
    scale = 1.0 / float(numpy.sqrt(run.samples))
    if kept == "bordered":
        return with_reference(_bordered(rows, run, count, scale, name), run)
    if kept == "matrix":
        matrix = (
            _matrix(rows, run, count)
            if engine is None
            else engine.gram(run, recipes.required(rows.recipe, name)) / run.samples
        )
        return with_reference(Dense(matrix, partition=partition, name=name), run)
    if engine is not None:
        return with_reference(
            Factor(engine.rows(run, recipes.required(rows.recipe, name)) * scale, partition=partition, name=name), run
        )
    chunks = _row_chunks(run, count, kept == "rows")
    parts = [row_layers(trace, rows.seeds(trace, targets, run.streams), scale) for trace, targets in chunks]
    joined = parts[0] if len(parts) == 1 else [joined_rows(group) for group in zip(*parts, strict=True)]
    layered = LayeredFactor(partition, joined, name=name)
    return with_reference(layered if kept == "layers" else layered.factor(), run)


Structure = Literal["rows", "layers", "bordered", "matrix"]


def structure_of(rows: Rows, program: Program, samples: int) -> Structure:
    """How the tensor is kept: a matrix, without what output units independent of each other leave zero, unless there are
    fewer rows than parameters; these as an array, or if that were large, layer by layer."""
    size, count = program.tangent_layout.size, rows.count(program) * samples
    if count >= size:
        return "bordered" if isinstance(rows, FisherRows) and _has_border(program) else "matrix"
    # backends that compile whole evaluations give rows as an array
    return "rows" if 8 * count * size <= ROWS or program.engine is not None else "layers"


def _has_border(program: Program) -> bool:
    # blocks with a border come of the reference's rows, on every backend: a compiled matrix takes ten times as long to
    # solve. A batch that is cut over devices is summed where its samples are
    return (program.engine is None or not program.engine.shares_batches) and program.border is not None


def _matrix(rows: Rows, run: Run, count: int) -> NDArray:
    matrix: NDArray | None = None
    for trace, targets in _row_chunks(run, count, False):
        part = _part(trace, rows.seeds(trace, targets, run.streams))
        matrix = part if matrix is None else numpy.add(matrix, part, out=matrix)
    assert matrix is not None
    matrix /= run.samples
    return matrix


def _bordered(rows: Rows, run: Run, count: int, scale: float, name: str) -> Bordered:
    border, total = run.program.border, None
    assert border is not None
    for trace, targets in _row_chunks(run, count, False):
        part = bordered_of_rows(border, row_layers(trace, rows.seeds(trace, targets, run.streams), scale), name)
        total = part if total is None else total.joined(part)
    assert total is not None
    return total


def _part(trace: Trace, seeds: Seeds) -> NDArray:
    return LayeredFactor(trace.lowered.partition, row_layers(trace, seeds, 1.0)).as_matrix()


def _row_chunks(run: Run, count: int, explicit: bool) -> Iterable[tuple[Trace, Targets]]:
    return run.chunks(count, _extra(run.program, count, explicit))


def _extra(program: Program, count: int, explicit: bool) -> int:
    """What each sample takes for its rows over all parameters, by group and put together."""
    lowered = program.lowered
    own = sum(part.row_bytes(lowered.stages, count, 1) for part in lowered.contractions)
    return own + (8 * count * lowered.tangents.size if explicit else 0)


def full_memory(rows: Rows, program: Program, samples: int) -> int:
    """The size in bytes of the tensor, whatever it is kept as, with what solving it takes."""
    lowered, count = program.lowered, rows.count(program)
    size, total = lowered.tangents.size, count * samples
    kept = structure_of(rows, program, samples)
    if kept == "layers":
        own = sum(part.row_bytes(lowered.stages, count, samples) for part in lowered.contractions)
        if samples > program.chunk_size(count):
            # chunks, then all of them put together
            own *= 2
        # in the dual the Gram matrix of all rows, that of one layer, and of the samples that it is a product with; or
        # the entries that precondition, standardised, and the vectors of conjugate gradients
        return own + 8 * max(2 * total**2 + samples**2, VECTORS * size)
    if kept == "bordered":
        assert program.border is not None
        return _bordered_memory(program.border)
    if kept == "matrix":
        # its damped copy, the standardised one, its factor, and products of groups
        return 5 * 8 * size**2
    # rows, as they are standardised and once more; their Gram matrix and its factor
    return 8 * total * (3 * size + 2 * total)


def _bordered_memory(border: Border) -> int:
    """The border, its damped copy, what elimination leaves of it, and its factor; products with units apart, twice."""
    shared = len(border.positions)
    return 8 * shared * (4 * shared + 2 * sum(places.size for places in border.places))


def full_bytes(rows: Rows, program: Program, samples: int) -> int:
    """What evaluating rows takes beside the tensor."""
    count, kept = rows.count(program), structure_of(rows, program, samples)
    return program.pass_bytes(samples, count, 0 if kept == "layers" else _extra(program, count, kept == "rows"))


def row_layers(trace: Trace, seeds: Seeds, scale: float) -> list[RowPart]:
    """The rows of each group of the partition, times a number."""
    pulled = pull_back_covectors(trace, seeds.outputs)
    for covectors in pulled:
        # what a backward pass gives is nobody else's
        covectors *= scale
    parts = [part for each in trace.lowered.contractions for part in each.row_parts(trace.linearisations, pulled)]
    parameters = [o.name for o in trace.declaration.outputs if o.name in trace.lowered.tangents]
    return parts + [ExplicitRows(scale * seeds.parameters[name][:, :, None]) for name in parameters]
