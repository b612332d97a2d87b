"""Whether parameters and activities are points of their manifolds."""

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


def check_parameters(lowered: Lowered, vector: NDArray) -> None:
    """Raise NumericalError naming the first unit whose parameter is no point of its manifold."""
    for name, space in lowered.parameter_spaces.items():
        place = lowered.stored[name]
        stored = vector[place.offset : place.stop].reshape(place.units, -1)
        with numpy.errstate(all="ignore"):
            points = space.points(stored).reshape(place.units, *space.manifold.shape)
        inside = space.manifold.contains(points)
        if not inside.all():
            unit = int(numpy.argmin(inside))
            raise NumericalError(
                f"the parameter of unit {name}[{unit}] is no point of {space.manifold}: it is {points[unit].tolist()}. "
                "Take steps by program.step, which keeps to the manifold, and smaller ones where a chart ends"
            )
