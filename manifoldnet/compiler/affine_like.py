"""Maps of a user's that are phi(affine), which a closed form would serve better."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.general import GeneralStage
from manifoldnet.declare.links import NAMED_LINKS
from manifoldnet.geometry.real import Real

SAMPLES = 4


def affine_link(stage: GeneralStage) -> str | None:
    """The named link phi for which the stage's function is phi(bias + weights . parents), the bias first or last.

    Found by trying it at random points; None if it is none of them, or if its parameters do not count one bias and
    one weight for each number that is read.
    """
    width = sum(parent.width for parent in stage.parents)
    manifold = None if stage.parameters is None else stage.parameters.manifold
    spaces = (stage.space, *(parent.space for parent in stage.parents))
    if not isinstance(manifold, Real) or manifold.size != 1 + width or stage.space.size != 1:
        return None
    if any(space.manifold.hull_dim != space.size for space in spaces):
        return None
    rng = numpy.random.default_rng(0)
    theta = rng.standard_normal((SAMPLES, stage.units, 1 + width))
    points = [
        parent.space.manifold.sample(rng, SAMPLES * parent.units.size).reshape(SAMPLES, stage.units, -1)
        for parent in stage.parents
    ]
    read = numpy.concatenate(points, axis=2)
    values = numpy.asarray(stage.apply(numpy.concatenate([theta, read], axis=2))).reshape(SAMPLES, stage.units)
    first = theta[..., 0] + (theta[..., 1:] * read).sum(axis=2)
    last = theta[..., -1] + (theta[..., :-1] * read).sum(axis=2)
    return next((name for name in NAMED_LINKS if any(_is(name, y, values) for y in (first, last))), None)


def _is(name: str, preactivation: NDArray, values: NDArray) -> bool:
    return numpy.allclose(NAMED_LINKS[name].function(preactivation), values, rtol=1e-10, atol=1e-12)
