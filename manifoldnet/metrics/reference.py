"""What dampings measure by where units keep full blocks: a metric that moves with every chart."""

import attrs
import numpy

from manifoldnet.compiler.contraction import OfStage
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DeclarationError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Whole


def with_reference(tensor: MetricTensor, run: Run) -> MetricTensor:
    """The tensor, carrying the reference metric of its units that keep full blocks, if any, evaluated when asked for.

    Affine units in a chart of their parameters that is not affine: the reduction of their own block, pulled back. Maps:
    the metric that their parameter manifold declares. Output parameters, which have no charts: the identity.
    """
    if not run.program.partition.has_whole:
        return tensor
    return attrs.evolve(tensor, reference=lambda: _reference(tensor, run))


def _reference(tensor: MetricTensor, run: Run) -> MetricTensor:
    partition = run.program.partition
    lowered, found = run.program.lowered, []
    # joint groups are affine units in affine coordinates, which need no reference
    stages = [
        lowered.stages[each.index] if isinstance(each, OfStage) else None
        for each in lowered.contractions
        for _ in each.groups
    ]
    for position, (group, blocks) in enumerate(zip(partition.groups, tensor.unit_blocks(partition), strict=True)):
        shape = (group.units, group.width, group.width)
        if position >= len(stages):
            found.append(numpy.broadcast_to(numpy.eye(group.width), shape))
            continue
        stage = stages[position]
        own = None if stage is None else stage.reference(run.theta.flat, blocks)
        if stage is not None and own is None and isinstance(group, Whole):
            name = stage.slots[0].layer
            raise DeclarationError(
                f"the parameters of layer {name!r} live on a manifold that declares no metric, which Intrinsic and "
                "LeastNorm measure by: let it declare one, or use Tikhonov(eps)"
            )
        found.append(numpy.zeros(shape) if own is None else own)
    return Blocks(partition, tuple(found), name=f"the reference metric of {tensor.name}")
