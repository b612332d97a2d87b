"""Whether activities are points of their manifolds."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.stage import Stage
from manifoldnet.errors import NumericalError


def check_inside(stage: Stage, points: NDArray, lowered: Lowered) -> None:
    """Raise NumericalError naming the first unit whose activity is no point of its manifold."""
    space = lowered.spaces[stage.slots[0].layer]
    inside = space.manifold.contains(space.shaped(points))
    if inside.all():
        return
    sample, unit = (int(i) for i in numpy.argwhere(~inside)[0])
    slot = next(slot for slot in stage.slots if slot.start <= unit < slot.stop)
    raise NumericalError(
        f"unit {slot.layer}[{slot.units[unit - slot.start]}] leaves {space.manifold} on sample {sample}: its activity is "
        f"{points[sample, unit].tolist()}. Its map or link must keep to the manifold wherever parents and parameters may be"
    )
