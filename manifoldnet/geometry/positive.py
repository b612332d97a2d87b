"""Positive numbers."""

import functools
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
    return check_count("Positive", n)


@final
@attrs.frozen
class Positive(Flat):
    """n positive numbers, with the metric that scaling leaves invariant, 1 / x^2.

    Charts, entry by entry: identity, log (in which the metric is the identity), sqrt, reciprocal.

    >>> Positive(1).riemannian(numpy.array([2.0])).tolist()
    [[0.25]]
    """

    n: int = attrs.field(default=1, converter=_dimension)

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "positive entries"

    def _holds(self, point: Array) -> Array:
        return (point > 0.0).all(axis=-1)

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        charts = [
            Chart.affine("identity", self, 1.0),
            Chart("log", np.log, np.exp),
            Chart("sqrt", np.sqrt, np.square, domain=_positive),
            Chart("reciprocal", np.reciprocal, np.reciprocal, domain=_positive),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    @property
    def is_whole_hull(self) -> bool:
        """False: zero and negative numbers are no points."""
        return False

    def retract(self, point: Array, tangent: Array) -> Array:
        """point exp(tangent / point)."""
        return point * np.exp(tangent / point)

    def tangent_to(self, point: Array, other: Array) -> Array:
        """point log(other / point)."""
        return point * np.log(other / point)

    def _weights(self, point: Array) -> Array:
        return 1.0 / point**2

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Log-normal with standard deviation one half, (count, n)."""
        return numpy.exp(0.5 * rng.standard_normal((count, self.n)))

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


def _positive(u: Array) -> Array:
    return (u > 0.0).all(axis=-1)
