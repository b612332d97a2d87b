"""From sums by stage, as compiled functions give them, to the groups of a partition, which may cut across stages."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax.affine_products import WeightedReads
from manifoldnet.compiler.backends.jax.structure import Packing
from manifoldnet.compiler.contraction import OfStage
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.recipes import Kept
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.quasi_diagonal import checked_blocks
from manifoldnet.linalg.units import Group, Units

# Which units of a group, which of a stage, and where in the stage's unit each entry of the group's stands.
Piece = tuple[NDArray[numpy.int_], NDArray[numpy.int_], NDArray[numpy.int_]]


@final
@attrs.frozen(eq=False)
class Regrouping:
    """How sums over some `samples` of a batch, each of which counts by `share`, become averages of the groups."""

    lowered: Lowered
    packing: Packing
    kept: Kept
    samples: int
    share: float

    @property
    def unformed(self) -> tuple[int, ...]:
        """The positions, among the stages with parameters, of those whose blocks on so many samples are not formed."""
        if self.kept != "block":
            return ()
        alone = {each.index: each for each in self.lowered.contractions if isinstance(each, OfStage)}
        return tuple(
            position
            for position, index in enumerate(_with_parameters(self.lowered))
            if index in alone and alone[index].keeps_samples(self.lowered.stages[index], self.samples)
        )

    def averages(self, parts: Sequence[Any]) -> list[Any]:
        """Entries, blocks (units, width, width) or diagonals (units, width) of each group of the partition.

        `parts` are padded: of the stages with parameters, in order, then of output parameters, where there are.
        """
        own = [self._unpadded(position, part) for position, part in enumerate(parts)]
        return regrouped(self.lowered, self.packing, own)

    def _unpadded(self, position: int, part: Any) -> Any:
        if isinstance(part, WeightedReads):
            # samples that only fill a batch up are left away
            weights, reads = part.weights[: self.samples], part.reads[: self.samples]
            return WeightedReads(self.share * weights, reads[:, self.packing.kept[position]])
        if isinstance(part, tuple):
            return self.packing.entries(position, part).scaled(self.share)
        if self.kept == "diagonal" and part.ndim == 2:
            return self.share * self.packing.diagonal(position, part)
        return self.share * self.packing.blocks(position, part)


def regrouped(lowered: Lowered, packing: Packing, parts: Sequence[Any]) -> list[Any]:
    """What each group of the partition has, from what each stage with parameters has, and then all output parameters."""
    positions, found = _with_parameters(lowered), list[Any]()
    for contraction in lowered.contractions:
        chosen = [positions.index(index) for index in contraction.indices]
        own = [parts[position] for position in chosen]
        if isinstance(contraction, OfStage):
            found.append(_of_stage(lowered, contraction, own[0], len(found)))
            continue
        sources = [packing.groups[position] for position in chosen]
        found += [_gathered(group, sources, own, packing.size) for group in contraction.groups]
    return found + list(parts[len(positions) :])


def _with_parameters(lowered: Lowered) -> list[int]:
    return [index for index, stage in enumerate(lowered.stages) if stage.group is not None]


def _of_stage(lowered: Lowered, contraction: OfStage, part: Any, number: int) -> Any:
    """The same, zero where the group is padded."""
    group = contraction.group
    if isinstance(part, WeightedReads):
        return contraction.kept_samples(lowered.stages[contraction.index], part.weights, part.reads)
    if isinstance(part, Entries):
        # units in charts of their parameters come with entries in affine coordinates
        return part.checked(group, number) if isinstance(group, Units) else part
    if part.ndim == 2:
        return part if group.mask is None else numpy.where(group.mask, part, 0.0)
    return checked_blocks(group, part, number)


def _gathered(group: Group, sources: Sequence[Group], parts: Sequence[Any], size: int) -> Any:
    """A group of scalar affine units from those of several stages that have them."""
    pieces = [_piece(group, source, size) for source in sources]
    if isinstance(parts[0], Entries):
        rows = [numpy.concatenate([part.bias[:, :, 0], _flat(part.cross)], axis=1) for part in parts]
        cross = _vectors(group, pieces, rows)
        own = _vectors(group, pieces, [part.diagonal() for part in parts])
        return Entries(cross[:, :1, None], [cross[:, 1:, None, None]], [own[:, 1:, None, None]])
    if parts[0].ndim == 2:
        return _vectors(group, pieces, parts)
    found = numpy.zeros((group.units, group.width, group.width))
    for (here, there, places), part in zip(pieces, parts, strict=True):
        padded = numpy.pad(part, ((0, 0), (0, 1), (0, 1)))
        found[here] = padded[there[:, None, None], places[:, :, None], places[:, None, :]]
    return found


def _flat(parts: Sequence[NDArray]) -> NDArray:
    return numpy.concatenate([part[:, :, 0, 0] for part in parts], axis=1)


def _vectors(group: Group, pieces: Sequence[Piece], parts: Sequence[NDArray]) -> NDArray:
    found = numpy.zeros((group.units, group.width))
    for (here, there, places), part in zip(pieces, parts, strict=True):
        found[here] = numpy.pad(part, ((0, 0), (0, 1)))[there[:, None], places]
    return found


def _piece(group: Group, source: Group, size: int) -> Piece:
    owner, place = numpy.full(size + 1, -1), numpy.full(size + 1, source.width)
    owner[source.index] = numpy.arange(source.units)[:, None]
    place[source.index] = numpy.arange(source.width)
    place[size] = source.width
    owners = owner[group.index[:, 0]]
    here = numpy.flatnonzero(owners >= 0)
    return here, owners[here], place[group.index[here]]


__all__ = ["Regrouping", "regrouped"]
