"""The vector space R^n."""

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import final

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.geometry.arrays import check_count
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.flat import Flat
from manifoldnet.numpy.dispatch import Array


def _dimension(n: object) -> int:
    return check_count("Real", n)


@final
@attrs.frozen
class Real(Flat):
    """R^n with its Euclidean metric; points are float64 arrays (..., n).

    Charts, entry by entry: identity, doubled (2x), arcsinh, sinh (overflows beyond 700), cubic (x + x^3).

    >>> Real(2).retract(numpy.array([1.0, 2.0]), numpy.array([0.5, 0.0])).tolist()
    [1.5, 2.0]
    """

    n: int = attrs.field(default=1, converter=_dimension)

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "finite entries"

    def _holds(self, point: Array) -> Array:
        return numpy.ones(point.shape[:-1], dtype=bool)

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        charts = [
            Chart.affine("identity", self, 1.0),
            Chart.affine("doubled", self, 2.0),
            Chart("arcsinh", np.arcsinh, np.sinh),
            Chart("sinh", np.sinh, np.arcsinh),
            Chart("cubic", _cubic, _cubic_root),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    @property
    def is_whole_hull(self) -> bool:
        """True: every vector is a point."""
        return True

    def retract(self, point: Array, tangent: Array) -> Array:
        """point + tangent."""
        return point + tangent

    def tangent_to(self, point: Array, other: Array) -> Array:
        """other - point."""
        return other - point

    def _weights(self, point: Array) -> Array:
        return np.ones_like(point)

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Standard normal vectors, (count, n)."""
        return rng.standard_normal((count, self.n))

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


def _cubic(x: Array) -> Array:
    return x + x * x * x


def _cubic_root(u: Array) -> Array:
    # The real root of x + x^3 = u in the form that loses no digits: 4 sinh^3 + 3 sinh = sinh of three times
    # the argument.
    return 2.0 / math.sqrt(3.0) * np.sinh(np.arcsinh(1.5 * math.sqrt(3.0) * u) / 3.0)
