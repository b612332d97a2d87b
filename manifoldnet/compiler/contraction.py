"""How the parameters of the groups of a partition meet covectors and moduli, which stand at the stages."""

import abc
from collections.abc import Sequence
from typing import Any, final

import attrs
from numpy.typing import NDArray

from manifoldnet.compiler.stage import Linearisation
from manifoldnet.linalg.quasi_diagonal import checked_blocks
from manifoldnet.linalg.units import Group, Units

Lines = Sequence[Linearisation]
Values = Sequence[NDArray]


class Contraction(abc.ABC):
    """Sums over the samples at hand, from what stands at every stage of a program, in the order of its stages."""

    @property
    @abc.abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """The groups of units that it gives values for, one by one."""

    @abc.abstractmethod
    def gradient(self, lines: Lines, inner: Values, out: NDArray) -> None:
        """Write sum_x (da/dtheta)^T b for covectors (samples, units, inner) into a flat vector (size + 1,)."""

    @abc.abstractmethod
    def rows(self, lines: Lines, inner: Values, out: NDArray) -> None:
        """Write (da/dtheta)^T b of each sample for (k, samples, units, inner) into (k, samples, size + 1)."""

    @abc.abstractmethod
    def blocks(self, lines: Lines, moduli: Values) -> list[Any]:
        """sum_x (da/dtheta)^T m (da/dtheta) of each group, (units, width, width)."""

    @abc.abstractmethod
    def entries(self, lines: Lines, moduli: Values) -> list[Any]:
        """What the quasi-diagonal reduction keeps of the blocks: `Entries`, or whole blocks."""

    @abc.abstractmethod
    def diagonals(self, lines: Lines, moduli: Values) -> list[NDArray]:
        """The diagonals of the blocks, (units, width) for each group."""


@final
@attrs.frozen(eq=False)
class OfStage(Contraction):
    """One stage by itself, as its linearisation does it."""

    index: int
    group: Group

    @property
    def groups(self) -> tuple[Group, ...]:
        return (self.group,)

    def gradient(self, lines: Lines, inner: Values, out: NDArray) -> None:
        found = lines[self.index].gradient(inner[self.index])
        if self.group.start is None:
            out[self.group.index] = found
        else:
            out[self.group.start : self.group.start + found.size] = found.reshape(-1)

    def rows(self, lines: Lines, inner: Values, out: NDArray) -> None:
        out[:, :, self.group.index] = lines[self.index].rows(inner[self.index])

    def blocks(self, lines: Lines, moduli: Values) -> list[Any]:
        return [checked_blocks(self.group, lines[self.index].block(moduli[self.index]), 0)]

    def entries(self, lines: Lines, moduli: Values) -> list[Any]:
        found = lines[self.index].quasi(moduli[self.index])
        return [found.checked(self.group, 0) if isinstance(self.group, Units) else found]  # type: ignore[union-attr]

    def diagonals(self, lines: Lines, moduli: Values) -> list[NDArray]:
        return [lines[self.index].diagonal(moduli[self.index])]
