"""Derivatives between coordinates of one activity, elementwise where they can be."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray


@final
@attrs.frozen(eq=False)
class Rate:
    """d outer/d inner of every unit on every sample.

    `values` is (samples, units, dim) if it acts on each component alone, else a matrix
    (samples, units, outer, inner); axes of length one broadcast.
    """

    values: NDArray
    elementwise: bool

    def pull(self, covectors: NDArray) -> NDArray:
        """Covectors (..., samples, units, outer) to (..., samples, units, inner)."""
        if self is IDENTITY:
            return covectors
        if self.elementwise:
            return covectors * self.values
        return (covectors[..., None, :] @ self.values)[..., 0, :]

    def push(self, tangents: NDArray) -> NDArray:
        """Tangents (samples, units, inner) to (samples, units, outer)."""
        if self.elementwise:
            return tangents * self.values
        return (self.values @ tangents[..., None])[..., 0]

    def pull_modulus(self, modulus: NDArray) -> NDArray:
        """A modulus (samples, units, outer, outer) to (samples, units, inner, inner)."""
        if self is IDENTITY:
            return modulus
        if self.elementwise and self.values.shape[-1] == 1:
            return modulus * (self.values * self.values)[..., None]
        if self.elementwise:
            return modulus * (self.values[..., :, None] * self.values[..., None, :])
        return self.values.swapaxes(-1, -2) @ modulus @ self.values

    def after(self, inner: "Rate | None") -> "Rate":
        """The derivative of the composition, this one last; None stands for the identity."""
        if inner is None:
            return self
        if self.elementwise and inner.elementwise:
            return Rate(self.values * inner.values, True)
        return Rate(self.as_matrix() @ inner.as_matrix(), False)

    def as_matrix(self) -> NDArray:
        if not self.elementwise:
            return self.values
        return self.values[..., :, None] * numpy.eye(self.values.shape[-1])


# Of coordinates that are the same: what is pulled through it is handed back as it is, not copied.
IDENTITY = Rate(numpy.ones((1, 1, 1)), True)


def rate_of_matrix(matrix: NDArray) -> Rate:
    """A constant derivative (outer, inner), elementwise if it is diagonal."""
    diagonal = numpy.diag(numpy.diagonal(matrix))
    if matrix.shape[0] == matrix.shape[1] and numpy.array_equal(matrix, diagonal):
        return Rate(numpy.diagonal(matrix)[None, None], True)
    return Rate(matrix[None, None], False)
