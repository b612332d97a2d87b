"""Output activities on the scale an interpretation reads, from points alone."""

import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.compiler.rates import Rate
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.errors import NumericalError
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.dispatch import is_traced


def value_scales(points: NDArray, manifold: Manifold, scale: Scale) -> tuple[NDArray, Rate] | None:
    """z (samples, units * size) and dz/d point for points (samples, units, size).

    None if the scale is not offered. Raises NumericalError where log-odds are infinite, which exact
    ones of an affine unit never are.
    """
    flat = points.reshape(len(points), -1)
    if scale == "value":
        return flat, Rate(numpy.ones((1, 1, points.shape[-1])), True)
    if scale == "log-odds" and isinstance(manifold, Interval):
        width = manifold.high - manifold.low
        p, rest = points, 1.0 - points
        if manifold.low != 0.0 or width != 1.0:
            p, rest = (points - manifold.low) / width, (manifold.high - points) / width
        spread = p * rest
        if not is_traced(points):
            _check_open(points, p, rest, spread, manifold)
        return np.log(p / rest).reshape(flat.shape), Rate(1.0 / (width * spread), True)
    return None


def _check_open(points: NDArray, p: NDArray, rest: NDArray, spread: NDArray, manifold: Interval) -> None:
    # p and 1 - p are never both small, so that their product vanishes, or is negative, only where one of them is
    if numpy.fmin.reduce(spread, axis=None, initial=1.0) <= 0.0:
        closed = (p <= 0.0) | (rest <= 0.0)
        sample, unit, component = (int(i) for i in numpy.argwhere(closed)[0])
        if min(p[sample, unit, component], rest[sample, unit, component]) < 0.0:
            raise NumericalError(
                f"output unit {unit} leaves {manifold} on sample {sample}: its activity is "
                f"{points[sample, unit, component]:.6g}. Its map must keep it inside wherever its parents may be"
            )
        raise NumericalError(
            f"output unit {unit} is saturated on sample {sample}: its probability is {p[sample, unit, component]:.0f} to "
            "rounding, where log-odds are infinite. An affine unit with link mn.logistic or mn.tanh keeps exact ones"
        )
