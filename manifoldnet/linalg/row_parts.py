"""The rows of a factor, group of units by group of units."""

import abc
from typing import Self, final

import attrs
import numpy
from numpy.typing import NDArray


class RowPart(abc.ABC):
    """U of one group, `count` rows for each of `samples`: numbered count first, then sample."""

    count: int
    samples: int

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """(units, width)."""

    @abc.abstractmethod
    def push(self, tangent: NDArray) -> NDArray:
        """U of a tangent by unit (units, width), (count, samples)."""

    @abc.abstractmethod
    def pull(self, coefficients: NDArray) -> NDArray:
        """U^T of coefficients (count, samples), by unit (units, width)."""

    @abc.abstractmethod
    def gram(self) -> NDArray:
        """U U^T, (count * samples, count * samples)."""

    @abc.abstractmethod
    def explicit(self) -> NDArray:
        """The rows as an array (count * samples, units * width)."""

    @abc.abstractmethod
    def scaled(self, factor: float) -> Self:
        """The rows times a number."""

    @abc.abstractmethod
    def only(self, units: NDArray[numpy.int_]) -> Self:
        """The rows of some of the units."""

    @abc.abstractmethod
    def numbered(self, numbers: slice | NDArray[numpy.int_]) -> NDArray:
        """Those with these numbers among the `count` of each sample, as an array (numbers, samples, units, width)."""

    @abc.abstractmethod
    def alone(self, units: NDArray[numpy.int_], numbers: NDArray[numpy.int_]) -> NDArray:
        """For each of some units the rows of one number, (units, samples, width)."""

    @abc.abstractmethod
    def first_products(self) -> tuple[NDArray, NDArray]:
        """The first row of each unit's block U^T U and its diagonal, (units, width) each."""

    @abc.abstractmethod
    def blocks(self) -> NDArray:
        """The blocks U^T U of each unit, (units, width, width)."""


@final
@attrs.frozen(eq=False)
class ExplicitRows(RowPart):
    """Rows as they are, `values` (count, samples, units, width)."""

    values: NDArray

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.values.shape[0]

    @property
    def samples(self) -> int:  # type: ignore[override]
        return self.values.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[2], self.values.shape[3]

    def push(self, tangent: NDArray) -> NDArray:
        return (self.explicit() @ tangent.reshape(-1)).reshape(self.count, self.samples)

    def pull(self, coefficients: NDArray) -> NDArray:
        return (coefficients.reshape(-1) @ self.explicit()).reshape(self.shape)

    def gram(self) -> NDArray:
        rows = self.explicit()
        return rows @ rows.T

    def explicit(self) -> NDArray:
        return self.values.reshape(self.count * self.samples, -1)

    def scaled(self, factor: float) -> Self:
        return attrs.evolve(self, values=factor * self.values)

    def only(self, units: NDArray[numpy.int_]) -> Self:
        return attrs.evolve(self, values=self.values[:, :, units])

    def numbered(self, numbers: slice | NDArray[numpy.int_]) -> NDArray:
        return self.values[numbers]

    def alone(self, units: NDArray[numpy.int_], numbers: NDArray[numpy.int_]) -> NDArray:
        return self.values[numbers, :, units]

    def first_products(self) -> tuple[NDArray, NDArray]:
        first = numpy.einsum("ksu,ksuw->uw", self.values[..., 0], self.values)
        return first, numpy.einsum("ksuw,ksuw->uw", self.values, self.values)

    def blocks(self) -> NDArray:
        by_unit = self.values.transpose(2, 0, 1, 3).reshape(self.shape[0], -1, self.shape[1])
        return by_unit.swapaxes(1, 2) @ by_unit


__all__ = ["ExplicitRows", "RowPart"]
