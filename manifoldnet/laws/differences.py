"""Central differences: how outputs, losses and activities really change, with no derivative of the compiler's in use."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.quantities import activities
from manifoldnet.laws.situation import Situation

# In units of the size of a tangent: small for the cubic term, large for rounding.
STEP = 3e-5


def sample_losses(situation: Situation, theta: Parameters) -> NDArray:
    """The loss of each sample, (samples,), summed over interpretations."""
    return situation.at(theta).losses


def loss_changes(situation: Situation, tangent: NDArray) -> NDArray:
    """The derivative of each sample's loss along a flat tangent, (samples,)."""
    ahead, behind, step = _ends(situation, tangent)
    return (sample_losses(situation, ahead) - sample_losses(situation, behind)) / (2.0 * step)


def differential_changes(situation: Situation, tangent: NDArray) -> NDArray:
    """The derivative of dL along a flat tangent, (size,): the Hessian's product in affine coordinates."""
    ahead, behind, step = _ends(situation, tangent)
    slopes = [situation.at(theta).differential().flat for theta in (ahead, behind)]
    return (slopes[0] - slopes[1]) / (2.0 * step)


def output_changes(situation: Situation, tangent: NDArray) -> dict[str, NDArray]:
    """The derivative of omega along a flat tangent in reference coordinates, (samples, size), by interpretation."""
    ahead, behind, step = _ends(situation, tangent)
    points = [_points(situation, theta) for theta in (ahead, behind)]
    return {name: (points[0][name] - points[1][name]) / (2.0 * step) for name in points[0]}


def activity_changes(situation: Situation, tangent: NDArray, layer: str) -> NDArray:
    """The derivative of a layer's activities along a flat tangent, in their chart, (samples, units, dim)."""
    ahead, behind, step = _ends(situation, tangent)
    points = [activities(situation.at(theta))[layer] for theta in (ahead, behind)]
    space = situation.program.lowered.spaces[layer]
    flat = ((points[0] - points[1]) / (2.0 * step)).reshape(*points[0].shape[:2], space.size)
    here = situation.here.whole.points[layer]
    return (space.coframe(here) @ flat[..., None])[..., 0]


def _ends(situation: Situation, tangent: NDArray) -> tuple[Parameters, Parameters, float]:
    step = STEP / max(1.0, float(numpy.abs(tangent).max()))
    program, theta = situation.program, situation.theta
    return program.step(theta, step * tangent), program.step(theta, -step * tangent), step


def _points(situation: Situation, theta: Parameters) -> dict[str, NDArray]:
    found = situation.at(theta).outputs()
    return {name: points.reshape(situation.samples, -1) for name, points in found.items()}
