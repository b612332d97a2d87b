"""Metrics on the whole parameter space, cross terms between units included."""

from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.data import Targets
from manifoldnet.compiler.passes import pull_back_covectors
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.trace import Trace
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.reference import with_reference
from manifoldnet.metrics.rows import Rows, Seeds


def full_tensor(rows: Rows, run: Run, name: str) -> MetricTensor:
    """E_x of the rows' outer products (eqs. 61, 64, 100, 102): a factor with few rows, else a matrix."""
    count = rows.count(run.program)
    run.check_memory(full_memory(rows, run.program, run.samples), f"the {name} metric")
    engine = run.program.engine
    if engine is not None and count * run.samples < run.size:
        factor = Factor(
            engine.rows(run, rows.recipe) / numpy.sqrt(run.samples),
            partition=run.program.partition,
            name=f"the {name} metric",
        )
        return with_reference(factor, run)
    if engine is not None:
        gram = engine.gram(run, rows.recipe) / run.samples
        return with_reference(Dense(gram, partition=run.program.partition, name=f"the {name} metric"), run)
    if count * run.samples < run.size:
        parts = [pulled_rows(trace, rows.seeds(trace, t, run.streams)) for trace, t in _row_chunks(run, count)]
        stacked = numpy.concatenate(parts) / numpy.sqrt(run.samples)
        factor = Factor(stacked, partition=run.program.partition, name=f"the {name} metric")
        return with_reference(factor, run)
    matrix = numpy.zeros((run.size, run.size))
    for trace, targets in _row_chunks(run, count):
        part = pulled_rows(trace, rows.seeds(trace, targets, run.streams))
        matrix += part.T @ part
    return with_reference(Dense(matrix / run.samples, partition=run.program.partition, name=f"the {name} metric"), run)


def _row_chunks(run: Run, count: int) -> Iterator[tuple[Trace, Targets]]:
    # each sample also holds its rows over all parameters
    return run.chunks(count, extra_bytes=8 * count * run.size)


def full_memory(rows: Rows, program: Program, samples: int) -> int:
    """The size in bytes of the tensor: its rows or its matrix, whichever is kept, with one working copy."""
    size, count = program.tangent_layout.size, rows.count(program) * samples
    return 2 * 8 * size * min(size, count)


def pulled_rows(trace: Trace, seeds: Seeds) -> NDArray:
    """The rows over all parameters, (k * samples, size), consecutive samples first."""
    pulled = pull_back_covectors(trace, seeds.outputs)
    count = len(next(iter(seeds.outputs.values())))
    flat = numpy.zeros((count, trace.samples, trace.lowered.tangents.size + 1))
    for inner, linearisation, stage in zip(pulled.inner, trace.linearisations, trace.lowered.stages, strict=True):
        if stage.group is not None:
            flat[:, :, stage.group.index] = linearisation.rows(inner)
    for name, values in seeds.parameters.items():
        place = trace.lowered.tangents[name]
        flat[:, :, place.offset : place.stop] = values
    return flat[..., :-1].reshape(count * trace.samples, -1)
