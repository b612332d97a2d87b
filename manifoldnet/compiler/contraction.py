"""How the parameters of the groups of a partition meet covectors and moduli, which stand at the stages."""

import abc
from collections.abc import Sequence
from typing import Any, Literal, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.affine_linearisation import AffineLinearisation
from manifoldnet.compiler.lines import Lines
from manifoldnet.compiler.stage import Stage
from manifoldnet.linalg.covector_rows import ProductRows
from manifoldnet.linalg.quasi_diagonal import checked_blocks
from manifoldnet.linalg.row_parts import ExplicitRows, RowPart
from manifoldnet.linalg.shared_reads import SharedReads, is_large
from manifoldnet.linalg.units import Group, Units

Values = Sequence[NDArray]


class Contraction(abc.ABC):
    """Sums over the samples at hand, from what stands at every stage of a program, in the order of its stages.

    What is made of moduli is multiplied by a `share`, for averages: wherever there are fewest numbers.
    """

    @property
    @abc.abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """The groups of units that it gives values for, one by one."""

    @property
    @abc.abstractmethod
    def indices(self) -> tuple[int, ...]:
        """The stages whose parameters they are."""

    @abc.abstractmethod
    def owners(self, stages: Sequence[Stage]) -> list[tuple[NDArray[numpy.int_], NDArray[numpy.int_]]]:
        """For each group, the stage of each unit and its number there."""

    @abc.abstractmethod
    def gradient(self, lines: Lines, inner: Values, out: NDArray) -> None:
        """Write sum_x (da/dtheta)^T b for one covector a sample, (1, samples, units, inner), into a flat vector (size + 1,)."""

    @abc.abstractmethod
    def row_parts(self, lines: Lines, inner: Values) -> list[RowPart]:
        """(da/dtheta)^T b of each sample for covectors (k, samples, units, inner), for each group."""

    @abc.abstractmethod
    def row_bytes(self, stages: Sequence[Stage], count: int, samples: int) -> int:
        """The size in bytes of what `row_parts` gives for so many covectors and samples."""

    @abc.abstractmethod
    def blocks(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        """sum_x (da/dtheta)^T m (da/dtheta) of each group, times `share`, (units, width, width)."""

    @abc.abstractmethod
    def bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        """The memory that one sample takes while blocks are contracted."""

    @abc.abstractmethod
    def entry_bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        """The memory that one sample takes while entries or diagonals are contracted."""

    @abc.abstractmethod
    def block_bytes(self, stages: Sequence[Stage], samples: int) -> int:
        """The size in bytes of what `blocks` gives on so many samples."""

    @abc.abstractmethod
    def describe(self, stages: Sequence[Stage], samples: int) -> str:
        """In a few words, how blocks on so many samples are made and kept, and why."""

    @abc.abstractmethod
    def entries(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        """What the quasi-diagonal reduction keeps of the blocks: of each group its `Entries`, or whole blocks; or of all
        its groups together their `LinkEntries`."""

    @abc.abstractmethod
    def diagonals(self, lines: Lines, moduli: Values, share: float) -> list[NDArray]:
        """The diagonals of the blocks, (units, width) for each group."""


BlockPlan = Literal["auto", "dense", "gathered", "dual"]


@final
@attrs.frozen(eq=False)
class OfStage(Contraction):
    """One stage by itself, as its linearisation does it.

    Where all its units read the same scalars, `plan` says how their blocks are kept: as they are ("dense"), or by their
    samples ("dual"), which "auto" does while these are fewer than the parameters of a unit.
    """

    index: int
    group: Group
    plan: BlockPlan = "auto"

    @property
    def groups(self) -> tuple[Group, ...]:
        return (self.group,)

    @property
    def indices(self) -> tuple[int, ...]:
        return (self.index,)

    def owners(self, stages: Sequence[Stage]) -> list[tuple[NDArray[numpy.int_], NDArray[numpy.int_]]]:
        units = numpy.arange(self.group.units)
        return [(numpy.full_like(units, self.index), units)]

    def is_dual(self, stage: Stage, samples: int) -> bool:
        """Whether blocks on so many samples are kept by these."""
        if not (isinstance(stage, AffineStage) and stage.shares_reads):
            return False
        return self.plan == "dual" or (self.plan == "auto" and samples < self.group.width)

    def keeps_samples(self, stage: Stage, samples: int) -> bool:
        """Whether blocks on so many samples stay weights and readings: to be solved by these, or formed a few at a time."""
        is_shared = isinstance(stage, AffineStage) and stage.shares_reads
        return is_shared and (self.is_dual(stage, samples) or is_large(self.group.units, self.group.width))

    def kept_samples(self, stage: Stage, weights: NDArray, reads: NDArray) -> SharedReads:
        """The blocks as weights (samples, units) and readings (samples, width)."""
        is_dual = self.is_dual(stage, len(reads))
        turned = numpy.ascontiguousarray(weights.T)
        return SharedReads(turned, reads, by_samples=is_dual, forced=self.plan == "dual")

    def bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        return stages[self.index].block_bytes_per_sample()

    def entry_bytes_per_sample(self, stages: Sequence[Stage]) -> int:
        stage = stages[self.index]
        if isinstance(stage, AffineStage) and stage.is_scalar:
            # readings squared, and weights
            return 8 * (stage.columns + stage.units)
        return stage.block_bytes_per_sample()

    def block_bytes(self, stages: Sequence[Stage], samples: int) -> int:
        width = self.group.width
        if self.keeps_samples(stages[self.index], samples):
            return 8 * samples * (self.group.units + width)
        return 8 * self.group.units * width**2

    def describe(self, stages: Sequence[Stage], samples: int) -> str:
        stage, width = stages[self.index], self.group.width
        if not (isinstance(stage, AffineStage) and stage.shares_reads):
            return f"one block of {width} x {width} a unit, from what it reads"
        chosen = ", as asked" if self.plan != "auto" else ""
        if self.is_dual(stage, samples):
            return f"dual: never formed, solved by {samples} x {samples} Gram matrices, against {width} parameters a unit{chosen}"
        kept = "formed a few at a time" if is_large(stage.units, width) else "formed"
        return f"dense: blocks {kept}, {samples} samples against {width} parameters a unit{chosen}"

    def gradient(self, lines: Lines, inner: Values, out: NDArray) -> None:
        line, covectors, start = lines[self.index], inner[self.index][0], self.group.start
        if start is None:
            out[self.group.index] = line.gradient(covectors)
            return
        place = out[start : start + self.group.index.size].reshape(self.group.index.shape)
        if isinstance(line, AffineLinearisation) and line.stage.shares_reads:
            line.products.write_gradient(covectors, place)
        else:
            place[...] = line.gradient(covectors)

    def row_parts(self, lines: Lines, inner: Values) -> list[RowPart]:
        line, covectors = lines[self.index], inner[self.index]
        if isinstance(line, AffineLinearisation) and line.stage.shares_reads:
            return [ProductRows(covectors[..., 0], line.shared_reads)]
        rows = line.rows(covectors)
        return [ExplicitRows(rows if self.group.mask is None else numpy.where(self.group.mask, rows, 0.0))]

    def row_bytes(self, stages: Sequence[Stage], count: int, samples: int) -> int:
        stage, units, width = stages[self.index], self.group.units, self.group.width
        if isinstance(stage, AffineStage) and stage.shares_reads:
            return 8 * samples * (count * units + width)
        return 8 * samples * count * units * width

    def blocks(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        line, modulus = lines[self.index], share * moduli[self.index]
        if isinstance(line, AffineLinearisation) and self.keeps_samples(line.stage, len(modulus)):
            return [self.kept_samples(line.stage, modulus[:, :, 0, 0], line.shared_reads)]
        return [checked_blocks(self.group, line.block(modulus), 0)]

    def entries(self, lines: Lines, moduli: Values, share: float) -> list[Any]:
        found = lines[self.index].quasi(share * moduli[self.index])
        return [found.checked(self.group, 0) if isinstance(self.group, Units) else found]  # type: ignore[union-attr]

    def diagonals(self, lines: Lines, moduli: Values, share: float) -> list[NDArray]:
        return [lines[self.index].diagonal(share * moduli[self.index])]
