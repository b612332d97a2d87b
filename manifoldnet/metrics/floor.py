"""The floor that a metric on all parameters carries: what dampings compare its weights with."""

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.stage import Stage
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Units
from manifoldnet.metrics.accumulate import floor_blocks


def with_floor(tensor: MetricTensor, run: Run) -> MetricTensor:
    """The tensor, carrying E[c] E[a~ a~^T] of its affine units, evaluated when asked for.

    E[c] is the block A_00 of a unit's bias, whose readings are all 1.
    """

    def floor() -> MetricTensor:
        return Blocks(run.program.partition, floor_blocks(run, average_weights(tensor, run)))

    return attrs.evolve(tensor, floor=floor)


def average_weights(tensor: MetricTensor, run: Run) -> list[NDArray]:
    """E[c] of the units of every stage, (units, inner, inner): zero for those that are not affine."""
    program, partition = run.program, run.program.partition
    # the block A_00 of the unit whose bias begins at a position, or for units in charts of their own the whole block
    found: dict[int, NDArray] = {}
    for group, kept in zip(partition.groups, tensor.unit_entries(partition), strict=True):
        parts = kept.bias if isinstance(kept, Entries) else kept
        found.update(zip(group.index.min(axis=1).tolist(), parts, strict=True))
    return [_of_stage(stage, found, run.theta.flat) for stage in program.lowered.stages]


def _of_stage(stage: Stage, found: dict[int, NDArray], theta: NDArray) -> NDArray:
    q = stage.inner_dim
    if isinstance(stage, RechartedStage):
        blocks = numpy.stack([found[int(start)] for start in stage.group.index.min(axis=1)])
        return stage.in_affine_coordinates(theta, blocks)[:, :q, :q]
    if not isinstance(stage.group, Units):
        return numpy.zeros((stage.units, q, q))
    return numpy.stack([found[int(start)] for start in stage.group.index.min(axis=1)])
