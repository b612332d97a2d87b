"""Boxes: each entry between two bounds."""

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, final

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.arrays import check_count
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.flat import Flat
from manifoldnet.geometry.manifold import tolerance
from manifoldnet.numpy.dispatch import Array


def _bound(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"Interval received the bound {value!r}; expected a finite number") from error


def _dimension(n: object) -> int:
    return check_count("Interval", n)


@final
@attrs.frozen
class Interval(Flat):
    """n numbers between `low` and `high`, bounds included, with the Fisher metric of a Bernoulli law.

    The law has the probability p = (x - low) / (high - low) (eq. 117). Charts, entry by entry: identity,
    signed (2p - 1), log-odds, angle (2 arcsin sqrt p, in which the Fisher metric is the identity), probit.
    The last three hold interior points only. Raises `DeclarationError` unless low < high.

    >>> Interval(0, 1).chart("signed").to_coordinates(numpy.array([0.25])).tolist()
    [-0.5]
    """

    low: float = attrs.field(converter=_bound)
    high: float = attrs.field(converter=_bound)
    n: int = attrs.field(default=1, converter=_dimension)

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise DeclarationError(
                f"Interval received low={self.low!r} and high={self.high!r}; expected finite bounds, low < "
                "high. For one bound only use Positive, for none Real"
            )

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return f"entries between {self.low:g} and {self.high:g}"

    def _holds(self, point: Array) -> Array:
        slack = tolerance(point) * (self.high - self.low)
        return ((point >= self.low - slack) & (point <= self.high + slack)).all(axis=-1)

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts."""
        width = self.high - self.low
        charts = [
            Chart.affine("identity", self, 1.0),
            Chart.affine("signed", self, 2.0 / width, -(self.high + self.low) / width),
            Chart("log-odds", self._log_odds, self._from_log_odds),
            Chart("angle", self._angle, self._from_angle, domain=_within(0.0, math.pi)),
            Chart("probit", lambda x: np.ndtri(self._probability(x)), lambda u: self._point(np.ndtr(u))),
        ]
        return MappingProxyType({chart.name: chart for chart in charts})

    def _probability(self, x: Array) -> Array:
        return (x - self.low) / (self.high - self.low)

    def _point(self, p: Array) -> Array:
        return self.low + (self.high - self.low) * p

    def _log_odds(self, x: Array) -> Array:
        return np.log(x - self.low) - np.log(self.high - x)

    def _from_log_odds(self, u: Array) -> Array:
        return self._point(np.expit(u))

    def _angle(self, x: Array) -> Array:
        # The arctangent keeps its digits near both bounds, where 2 arcsin sqrt p loses them near the upper
        # one.
        return 2.0 * np.arctan2(np.sqrt(x - self.low), np.sqrt(self.high - x))

    def _from_angle(self, u: Array) -> Array:
        return self._point(np.sin(0.5 * u) ** 2)

    @property
    def is_whole_hull(self) -> bool:
        """False: numbers beyond the bounds are no points."""
        return False

    def retract(self, point: Array, tangent: Array) -> Array:
        """A straight step in log-odds; from interior points only."""
        width = self.high - self.low
        slope = width / ((point - self.low) * (self.high - point))
        return self._from_log_odds(self._log_odds(point) + slope * tangent)

    def tangent_to(self, point: Array, other: Array) -> Array:
        """The difference in log-odds, as a tangent at `point`; between interior points only."""
        slope = (point - self.low) * (self.high - point) / (self.high - self.low)
        return slope * (self._log_odds(other) - self._log_odds(point))

    def _weights(self, point: Array) -> Array:
        return 1.0 / ((point - self.low) * (self.high - point))

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Uniform over the middle four fifths, (count, n)."""
        return self._point(rng.uniform(0.1, 0.9, (count, self.n)))

    @property
    def centre(self) -> float:
        """The mid-point."""
        return 0.5 * (self.low + self.high)

    @property
    def scale(self) -> float:
        """Half the width."""
        return 0.5 * (self.high - self.low)


def _within(low: float, high: float) -> Callable[[Array], Array]:
    return lambda u: ((u > low) & (u < high)).all(axis=-1)
