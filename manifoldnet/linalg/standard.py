"""How blocks are standardised and factorised: centred and scaled by the bias, then Cholesky or eigenvectors."""

from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DeclarationError
from manifoldnet.linalg.entries import TINY, Entries, entries_of_blocks
from manifoldnet.linalg.inverse import ROUNDING, SINGULAR, Rule
from manifoldnet.linalg.inverse_roots import Parents, inverse_roots, quasi_means
from manifoldnet.linalg.partition_roots import PartitionRoot
from manifoldnet.linalg.roots import (
    BlockRoot,
    FactoredRoot,
    GroupRoot,
    ScalarRoot,
    ScaleRoot,
    SpectralRoot,
)
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.triangular import Site, cholesky
from manifoldnet.linalg.units import Group, Partition, Units, Whole


@final
@attrs.frozen(eq=False)
class Aids:
    """What may help to solve one group: the floor's entries, and the reference metric's blocks."""

    floor: Entries | None = None
    reference: NDArray | None = None

    def only(self, units: slice) -> "Aids":
        """The same for some of the units."""
        return Aids(
            None if self.floor is None else self.floor.only(units),
            None if self.reference is None else self.reference[units],
        )


NO_AIDS = Aids()


def aids_of(tensor: MetricTensor, partition: Partition, rule: Rule) -> tuple[Aids, ...]:
    """What the rule can use of what the tensor carries, for each group."""
    floor = tensor.floor if rule.drops and not rule.absolute else None
    needs_reference = partition.has_whole and (rule.relative > 0.0 or rule.cut == "least-norm")
    reference = tensor.reference if needs_reference else None
    if floor is None and reference is None:
        return (NO_AIDS,) * len(partition.groups)
    floors = None if floor is None else floor.unit_entries(partition)
    references = None if reference is None else reference.unit_entries(partition)
    return tuple(
        _aids(group, floors and floors[number], references and references[number])
        for number, group in enumerate(partition.groups)
    )


def _aids(group: Group, floor: object, reference: object) -> Aids:
    if isinstance(group, Units):
        return Aids(floor=floor if isinstance(floor, Entries) else None)
    return Aids(reference=reference if isinstance(reference, numpy.ndarray) else None)


def sites(name: str, partition: Partition) -> tuple[Site, ...]:
    """Where each group of a partition is, for messages."""
    return tuple(
        Site(name, number, group.name, labels=group.labels if isinstance(group, Units) else None)
        for number, group in enumerate(partition.groups)
    )


def quasi_root(group: Units, entries: Entries, rule: Rule, site: Site, floor: Entries | None) -> GroupRoot:
    """Of the quasi-diagonal blocks that the entries stand for.

    Raises SingularMetricError where a unit weighs nothing or a parent is constant (and the rule does not drop).
    """
    if entries.is_scalar:
        return _scalar_root(group, entries, rule, site, floor)
    bias_blocks = Parents(entries.bias[:, None], entries.bias[:, None])
    bias = inverse_roots(bias_blocks, rule, site.named("its bias block A_00"))[:, 0]
    means, rests = quasi_means(entries, bias)
    floors = [None] * len(rests) if floor is None else _parents(group, floor.rests, floor.own)
    own = [
        inverse_roots(part, rule, site, plain)
        for part, plain in zip(_parents(group, rests, entries.own), floors, strict=True)
    ]
    return BlockRoot(group, bias, means, tuple(own))


def _parents(group: Units, rests: Sequence[NDArray], levels: Sequence[NDArray]) -> list[Parents]:
    present = group.present or [None] * len(rests)
    return [Parents(*parts) for parts in zip(rests, levels, present, strict=True)]


def _scalar_root(group: Units, entries: Entries, rule: Rule, site: Site, floor: Entries | None) -> ScalarRoot:
    bias, _, own = entries.scalars
    rests = entries.scalar_rests
    kept = rests > rule.tolerance * own + TINY
    if floor is not None:
        # A parent's weighted variance against its plain one, in whatever chart.
        plain = floor.scalar_rests
        kept &= (rests > rule.rcond * plain) & (plain > SINGULAR * floor.scalars[2])
    all_alive = not bias.size or bias.min() > TINY
    if all_alive and kept.all():
        return ScalarRoot(1.0 / bias, entries.scalar_means, 1.0 / rests)
    if all_alive and group.mask is not None and (kept == group.mask[:, 1:]).all():
        return ScalarRoot(1.0 / bias, entries.scalar_means, _inverse_where(kept, rests))
    alive = bias > TINY
    kept &= alive[:, None]
    site.require_finite(numpy.concatenate([bias[:, None], own, rests], axis=1))
    if not rule.drops:
        _require_informed(group, alive, kept, site)
    return ScalarRoot(_inverse_where(alive, bias), entries.scalar_means, _inverse_where(kept, rests))


def _inverse_where(kept: NDArray, values: NDArray) -> NDArray:
    return numpy.where(kept, 1.0 / numpy.where(kept, values, 1.0), 0.0)


def _require_informed(group: Units, alive: NDArray, kept: NDArray, site: Site) -> None:
    mask = numpy.ones(group.index.shape, dtype=bool) if group.mask is None else group.mask
    good = numpy.concatenate([alive[:, None], kept], axis=1)
    bad = ~good & mask
    if not bad.any():
        return
    unit = int(numpy.argmax(bad.any(axis=1)))
    rank = f"of rank {int((good & mask)[unit].sum())} of {int(mask[unit].sum())}"
    if not alive[unit]:
        raise site.singular(unit, f"{rank}: no sample gives it any weight (A_00 = 0)")
    parent = int(numpy.argmax(bad[unit])) - 1
    position = group.index[unit, parent + 1]
    raise site.singular(
        unit, f"{rank}: its parent {parent} (weight at position {position}) is constant over the samples that count"
    )


def standard_root(group: Group, values: Entries | NDArray, rule: Rule, site: Site, aids: Aids) -> GroupRoot:
    """Coordinates in which QD(A) is the identity for affine units, and tr(R^{-1} A)/p R for whole ones."""
    if isinstance(group, Units):
        entries = values if isinstance(values, Entries) else entries_of_blocks(group, values)
        return quasi_root(group, entries, rule, site, aids.floor)
    assert not isinstance(values, Entries)
    if aids.reference is not None:
        return _reference_root(group, values, aids.reference, site)
    if rule.relative or rule.cut == "least-norm":
        raise DeclarationError(
            f"{site.place(0)}: Intrinsic and LeastNorm need a reference metric for units that are not affine and "
            "the tensor carries none; let their parameter manifold declare one, or use Tikhonov(eps)"
        )
    return _scale_root(group, values)


def _scale_root(group: Group, blocks: NDArray) -> ScaleRoot:
    """Scaled by the diagonal. A unit that weighs nothing may be left out, single coordinates may not: those
    would be others in another chart."""
    diagonal = numpy.diagonal(blocks, axis1=1, axis2=2)
    seen = diagonal > TINY
    live = numpy.broadcast_to(seen.any(axis=1, keepdims=True), seen.shape)
    scale = _inverse_where(seen, numpy.sqrt(numpy.where(seen, diagonal, 1.0)))
    return ScaleRoot(scale, live if group.mask is None else live & group.mask)


def _reference_root(group: Whole, blocks: NDArray, reference: NDArray, site: Site) -> GroupRoot:
    scale = _scale_root(group, reference)
    standard = scale.congruence(reference)
    padded = numpy.zeros(scale.scale.shape, dtype=bool) if group.mask is None else ~group.mask
    _set_diagonal(standard, padded, 1.0)
    lower = cholesky(standard, ROUNDING, site.named("the reference metric"), padded)
    root = FactoredRoot(scale, lower)
    trace = numpy.trace(root.congruence(blocks), axis1=1, axis2=2) / (~padded).sum(axis=1)
    return FactoredRoot(scale, lower, _inverse_where(trace > TINY, numpy.sqrt(numpy.maximum(trace, 0.0))))


def _set_diagonal(matrices: NDArray, where: NDArray, value: float) -> None:
    units, places = numpy.nonzero(where)
    matrices[units, places, places] = value


def solid_root(
    group: Group, blocks: NDArray, rule: Rule, site: Site, aids: Aids, out: NDArray | None = None
) -> GroupRoot:
    """Of full blocks (U, width, width), damped and cut as the rule says; `out` is memory to work in."""
    if rule.cut == "pseudo-inverse":
        ones = numpy.ones(blocks.shape[:2])
        return spectral_root(ScaleRoot(ones, ones > 0.0), blocks, rule, site)
    if isinstance(group, Whole) and rule.cut == "least-norm" and aids.reference is None:
        # Without a reference there is no norm to be least in: only what has an inverse is solved.
        rule = Rule(tolerance=rule.tolerance, drops=True)
    base = standard_root(group, blocks, rule, site, aids)
    return solidified(base, blocks, rule, site, None if group.mask is None else ~group.mask, out)


def solidified(
    base: GroupRoot,
    blocks: NDArray,
    rule: Rule,
    site: Site,
    padded: NDArray | None = None,
    out: NDArray | None = None,
) -> GroupRoot:
    """Full blocks in coordinates that `base` has standardised: plus `relative` times the identity, then factorised."""
    standard = base.congruence(blocks, out)
    if rule.cut == "least-norm":
        return spectral_root(base, standard, rule, site)
    live = base.live
    if rule.relative:
        places = numpy.arange(standard.shape[1])
        standard[:, places, places] += rule.relative
    left_out = ~live if rule.drops else padded
    if left_out is not None:
        _set_diagonal(standard, left_out, 1.0)
    lower = cholesky(standard, rule.tolerance, site, left_out)
    units, width = standard.shape[:2]
    is_small = width <= 32 and units * width <= 1024
    return FactoredRoot(base, lower, standard=standard if is_small else None)


def spectral_root(base: GroupRoot, standard: NDArray, rule: Rule, site: Site) -> SpectralRoot:
    """The directions of T^T A T (plus `relative`) whose eigenvalues exceed rcond times the largest of the unit."""
    site.require_finite(standard)
    values, vectors = numpy.linalg.eigh(standard)
    kept = values > numpy.maximum(rule.rcond * values[:, -1:], TINY)
    return SpectralRoot(base, vectors, numpy.sqrt(_inverse_where(kept, values + rule.relative)))


def standard_roots(
    tensor: MetricTensor, partition: Partition, values: Sequence[Entries | NDArray], rule: Rule
) -> PartitionRoot:
    """`standard_root` of every group."""
    everything = zip(
        partition.groups, values, sites(tensor.name, partition), aids_of(tensor, partition, rule), strict=True
    )
    return PartitionRoot(
        partition, tuple(standard_root(group, part, rule, site, aids) for group, part, site, aids in everything)
    )


def intrinsic_blocks(
    tensor: MetricTensor, partition: Partition, values: Sequence[Entries | NDArray], rule: Rule
) -> tuple[Entries | NDArray, ...]:
    """The tensor that Intrinsic(1) adds: the entries of affine units, tr(R^{-1} A)/p R for whole ones."""
    everything = zip(
        partition.groups, values, sites(tensor.name, partition), aids_of(tensor, partition, rule), strict=True
    )
    return tuple(_intrinsic_block(group, part, rule, site, aids) for group, part, site, aids in everything)


def _intrinsic_block(group: Group, values: Entries | NDArray, rule: Rule, site: Site, aids: Aids) -> Entries | NDArray:
    if isinstance(values, Entries):
        return values
    root = standard_root(group, values, rule, site, aids)
    assert isinstance(root, FactoredRoot) and root.factor is not None and aids.reference is not None
    inverse = _inverse_where(root.factor > 0.0, root.factor * root.factor)
    return inverse[:, None, None] * aids.reference


__all__ = [
    "NO_AIDS",
    "Aids",
    "aids_of",
    "intrinsic_blocks",
    "quasi_root",
    "sites",
    "solid_root",
    "solidified",
    "spectral_root",
    "standard_root",
    "standard_roots",
]
