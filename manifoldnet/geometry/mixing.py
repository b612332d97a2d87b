"""Smooth charts that mix the coordinates of another chart."""

import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import ChartError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.dispatch import Array


def mixing_chart(manifold: Manifold, chart: Chart | str | None = None, bend: float = 0.5, seed: int = 0) -> Chart:
    """A chart that mixes all coordinates of another one (the default one), neither affine nor componentwise.

    A random linear map, then each half of the coordinates is shifted by `bend` times sines of the other half; a single
    coordinate is stretched by a hyperbolic sine. It holds what the other chart holds. Raises ChartError on a
    manifold without a default chart if none is given.

    >>> from manifoldnet.geometry.real import Real
    >>> mixed = mixing_chart(Real(3))
    >>> mixed.to_point(mixed.to_coordinates(numpy.array([0.1, -0.4, 2.0]))).round(12).tolist()
    [0.1, -0.4, 2.0]
    """
    chosen = manifold.default_chart if chart is None else chart
    if chosen is None:
        raise ChartError(f"{manifold} has no default chart to mix: give one of {', '.join(map(repr, manifold.atlas))}")
    inner = manifold.chart(chosen)
    mix = _Mix(manifold.dim, bend, seed)
    inside = inner.domain
    domain = None if inside is None else lambda mixed: inside(mix.back(mixed))
    return Chart(
        f"mixed {inner.name}",
        lambda point: mix.forth(inner.to_coordinates(point)),
        lambda mixed: inner.to_point(mix.back(mixed)),
        domain=domain,
        point_ndim=inner.point_ndim,
    )


class _Mix:
    """A diffeomorphism of R^dim and its inverse."""

    def __init__(self, dim: int, bend: float, seed: int) -> None:
        rng = numpy.random.default_rng([seed, dim])
        turn, _ = numpy.linalg.qr(rng.standard_normal((dim, dim)))
        self._matrix = turn * rng.uniform(0.7, 1.4, dim)
        self._inverse = numpy.linalg.inv(self._matrix)
        self._half, self._bend = dim // 2, bend
        self._reads = numpy.arange(dim - self._half) % max(self._half, 1)
        self._read_back = numpy.arange(self._half)

    def forth(self, u: Array) -> Array:
        u = u @ self._matrix.T
        if not self._half:
            return np.sinh(self._bend * u) / self._bend if self._bend else u
        first, rest = u[..., : self._half], u[..., self._half :]
        rest = rest + self._bend * np.sin(first[..., self._reads])
        return np.concatenate([first + self._bend * np.sin(rest[..., self._read_back]), rest], -1)

    def back(self, u: Array) -> Array:
        if not self._half:
            return (np.arcsinh(self._bend * u) / self._bend if self._bend else u) @ self._inverse.T
        first, rest = u[..., : self._half], u[..., self._half :]
        first = first - self._bend * np.sin(rest[..., self._read_back])
        rest = rest - self._bend * np.sin(first[..., self._reads])
        return np.concatenate([first, rest], -1) @ self._inverse.T
