"""The columns of a design matrix: which parent units fill them, and which of them each unit reads."""

from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.compiler.stage import Points


@final
@attrs.frozen(eq=False, slots=False)
class ColumnSource:
    """Units of a parent layer whose readings fill columns `start:stop` of the stage's design matrix."""

    layer: str
    units: NDArray[numpy.int_]
    is_whole: bool
    space: ActivitySpace
    start: int

    @property
    def count(self) -> int:
        return len(self.units)

    def of(self, points: Points) -> NDArray:
        """The points of these units, (samples, count, size)."""
        return points[self.layer] if self.is_whole else points[self.layer][:, self.units]

    @cached_property
    def stop(self) -> int:
        return self.start + self.count * self.space.manifold.hull_dim

    @cached_property
    def is_scalar(self) -> bool:
        """Whether units are read as one number each, in coordinates of their own chart."""
        return self.space.manifold.hull_dim == self.space.dim == 1 and self.space.reads_chart

    @cached_property
    def is_as_it_is(self) -> bool:
        """Whether the numbers that are read are the points themselves."""
        return self.space.is_trivial and self.space.size == 1

    def reading(self, points: Points) -> NDArray:
        """What is read of these units, (samples, columns)."""
        chosen = points[self.layer] if self.is_whole else points[self.layer][:, self.units]
        if self.is_as_it_is:
            return chosen[..., 0]
        return self.space.reading(chosen).reshape(len(chosen), -1)


@final
@attrs.frozen(eq=False)
class ParentBlocks:
    """The parents of one width e: their columns (units, parents, e), and where each weight stands.

    `cells` (units, parents, e * q) are positions in the flattened weight matrix (columns + 1, units * q);
    padded entries point at its last row.
    """

    columns: NDArray[numpy.int_]
    cells: NDArray[numpy.int_]
