"""Manifolds that are open or closed boxes of R^n: their reference coordinates are independent numbers."""

import abc
from typing import final

import numpy

from manifoldnet import numpy as np
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.dispatch import Array


class Flat(Manifold):
    """A box of R^n. Its affine hull is R^n and its frame everywhere the identity."""

    n: int

    @property
    @final
    def shape(self) -> tuple[int, ...]:
        """The shape of one point: (n,)."""
        return (self.n,)

    @property
    @final
    def dim(self) -> int:
        """The dimension, n."""
        return self.n

    @property
    @final
    def default_chart(self) -> str | None:
        """The reference coordinates themselves."""
        return "identity"

    @property
    @final
    def hull_dim(self) -> int:
        """The dimension of the affine hull, n."""
        return self.n

    @final
    def hull(self, point: Array) -> Array:
        """The reference coordinates themselves."""
        return point

    @final
    def from_hull(self, hull: Array) -> Array:
        """The reference coordinates themselves."""
        return hull

    @property
    @final
    def frame_is_identity(self) -> bool:
        """True."""
        return True

    @final
    def frame(self, point: Array) -> Array:
        """The identity at each point, (..., n, n)."""
        return numpy.broadcast_to(numpy.eye(self.n), (*np.shape(point), self.n))

    @final
    def coframe(self, point: Array) -> Array:
        """The identity at each point, (..., n, n)."""
        return self.frame(point)

    @final
    def riemannian(self, point: Array) -> Array:
        """The declared metric: a diagonal matrix at each point, (..., n, n)."""
        return self._weights(point)[..., None] * numpy.eye(self.n)

    @abc.abstractmethod
    def _weights(self, point: Array) -> Array:
        """The diagonal of the declared metric, (..., n)."""
