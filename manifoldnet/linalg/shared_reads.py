"""Blocks of units that read the same signals, kept as weights and readings, and solved on the side of the samples."""

from collections.abc import Iterator
from typing import Self, final

import attrs
import numpy
import scipy.linalg
from numpy.typing import NDArray

from manifoldnet.linalg.entries import TINY, Entries
from manifoldnet.linalg.inverse import Rule
from manifoldnet.linalg.roots import GroupRoot
from manifoldnet.linalg.standard import Aids, standard_root
from manifoldnet.linalg.triangular import Site
from manifoldnet.linalg.units import Units
from manifoldnet.linalg.vectors import require_memory

# So many numbers of Gram matrices are worked on at a time.
_CHUNK = 2**18
# Narrower blocks are formed by one batched product, wider ones each by a symmetric one.
_NARROW = 40
# Blocks of more numbers than this are formed in pieces, each time they are solved.
_FORMED = 2**22


@final
@attrs.frozen(eq=False)
class SharedReads:
    """The blocks A_k = sum_x c_xk a~_x a~_x^T + ridge of units that read the same a~ = (1, a).

    `weights` c (units, samples) are not negative; `reads` a~ (samples, width). Of fewer samples than parameters
    nothing of the size of a block is ever formed: with U = c^(1/2) a~,
    (U^T U + eps)^{-1} b = (b - U^T (eps + U U^T)^{-1} U b) / eps, and U U^T = c^(1/2) (a~ a~^T) c^(1/2), where the
    Gram matrix of the readings is one for all units. Where `by_samples` is false they are solved as blocks, formed a
    few at a time. Sums with so many samples that blocks are smaller become arrays, unless `forced`.
    """

    weights: NDArray
    reads: NDArray
    ridge: float = 0.0
    by_samples: bool = True
    forced: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the blocks."""
        return (len(self.weights), self.reads.shape[1], self.reads.shape[1])

    @property
    def samples(self) -> int:
        return len(self.reads)

    def formed(self) -> NDArray:
        """The blocks as an array (units, width, width). Raises MemoryLimitError if they cannot fit."""
        units, width, _ = self.shape
        require_memory(8 * units * width**2, f"the blocks of {units} units with {width} parameters each")
        return self.formed_in(numpy.empty((units, width, width)))

    def formed_in(self, out: NDArray) -> NDArray:
        """The blocks, in memory that is there."""
        weighted_products(self.weights, self.reads, out)
        if self.ridge:
            out.reshape(len(out), -1)[:, :: out.shape[1] + 1] += self.ridge
        return out

    def only(self, units: slice) -> Self:
        """The blocks of some of the units."""
        return attrs.evolve(self, weights=self.weights[units])

    def scaled(self, factor: float) -> Self:
        """The blocks times a number."""
        return attrs.evolve(self, weights=factor * self.weights, ridge=factor * self.ridge)

    def plus_identity(self, factor: float) -> Self:
        """The blocks plus a multiple of the identity."""
        return attrs.evolve(self, ridge=self.ridge + factor)

    def plus(self, other: "SharedReads") -> "SharedReads | NDArray":
        """The sum: weights if both read the same, else samples one after another while they are fewer than parameters."""
        ridge = self.ridge + other.ridge
        if self.reads is other.reads or numpy.array_equal(self.reads, other.reads):
            return attrs.evolve(self, weights=self.weights + other.weights, ridge=ridge)
        samples, (units, width, _) = self.samples + other.samples, self.shape
        if self.forced or (self.by_samples and samples < width):
            return self.joined(other)
        if units * width**2 > max(_FORMED, samples * (units + width)):
            return attrs.evolve(self.joined(other), by_samples=False)
        return self.formed() + other.formed()

    def joined(self, other: "SharedReads") -> "SharedReads":
        """The sum, with the samples of both."""
        weights = numpy.concatenate([self.weights, other.weights], axis=1)
        reads = numpy.concatenate([self.reads, other.reads])
        return attrs.evolve(self, weights=weights, reads=reads, ridge=self.ridge + other.ridge)

    def diagonal(self) -> NDArray:
        """The diagonal of each unit's block, (units, width)."""
        return self.weights @ (self.reads * self.reads) + self.ridge

    def entries(self) -> Entries:
        """What the quasi-diagonal reduction keeps, of units whose pre-activation and parents have one dimension."""
        first, own = self.weights @ self.reads, self.diagonal()
        return Entries(own[:, :1, None], [first[:, 1:, None, None]], [own[:, 1:, None, None]])

    def multiply(self, tangent: NDArray) -> NDArray:
        """The blocks times a tangent by unit (units, width)."""
        return ((tangent @ self.reads.T) * self.weights) @ self.reads + self.ridge * tangent

    def solve(self, group: Units, values: NDArray, rule: Rule, site: Site, aids: Aids) -> NDArray:
        """The solutions for covectors (units, width), by a Gram matrix of the size of the samples for each unit."""
        if self.ridge:
            return self._solve_ridge(values, site)
        if rule.cut == "nothing" and not rule.relative:
            raise site.singular(0, f"of rank at most {self.samples} of {self.shape[1]}, the number of samples")
        solved = numpy.empty(values.shape)
        for units in self._pieces():
            part, some = self.only(units), group.only(units.start, units.stop)
            place, own = site.from_unit(units.start), aids.only(units)
            base = None if rule.cut == "pseudo-inverse" else standard_root(some, part.entries(), rule, place, own)
            solved[units] = part._solve_standard(base, values[units], rule, place)
        return solved

    def can_solve(self, rule: Rule) -> bool:
        """Whether the side of the samples serves this rule: what is relative or cut after an identity needs the blocks.

        So does a rule that adds nothing, unless samples are too few for blocks to have inverses.
        """
        plain = rule.cut == "nothing" and not rule.relative
        if self.ridge:
            return self.by_samples and plain
        return self.by_samples and not (plain and self.samples >= self.shape[1])

    def _pieces(self) -> Iterator[slice]:
        step = max(1, _CHUNK // (self.samples * max(self.samples, self.shape[1])))
        for start in range(0, len(self.weights), step):
            yield slice(start, min(start + step, len(self.weights)))

    def _solve_ridge(self, values: NDArray, site: Site) -> NDArray:
        site.require_finite(self.weights)
        gram, roots = self.reads @ self.reads.T, numpy.sqrt(self.weights)
        images = (values @ self.reads.T) * roots
        for unit, root in enumerate(roots):
            inner = gram * root
            inner *= root[:, None]
            images[unit] = _solved(inner, self.ridge, images[unit], site, unit)
        images *= roots
        return (values - images @ self.reads) / self.ridge

    def _solve_standard(self, base: GroupRoot | None, values: NDArray, rule: Rule, site: Site) -> NDArray:
        """In coordinates that `base` standardises: A = V V^T, by V^T V of each unit."""
        columns = self.reads.T[None] * numpy.sqrt(self.weights)[:, None]
        pulled = values
        if base is not None:
            columns, pulled = base.pull(columns), base.pull(values)
        gram = columns.swapaxes(1, 2) @ columns
        images = (pulled[:, None] @ columns)[:, 0]
        if rule.cut == "nothing":
            inner = numpy.stack([_solved(gram[u], rule.relative, images[u], site, u) for u in range(len(images))])
            solved = (pulled - (columns @ inner[..., None])[..., 0]) / rule.relative
        else:
            solved = (columns @ _cut(gram, images, rule, site)[..., None])[..., 0]
        return solved if base is None else base.push(solved)


def _solved(gram: NDArray, ridge: float, values: NDArray, site: Site, unit: int) -> NDArray:
    """(K + ridge)^{-1} of values; K is used up."""
    gram.reshape(-1)[:: len(gram) + 1] += ridge
    # the transpose of a symmetric matrix is itself, in the order that LAPACK takes without a copy
    _, solved, info = scipy.linalg.lapack.dposv(gram.T, values, lower=1, overwrite_a=1)
    if info:
        site.require_finite(gram[None])
        raise site.singular(unit, f"its damped Gram matrix of {len(gram)} samples is not positive to working precision")
    return solved


def _cut(gram: NDArray, images: NDArray, rule: Rule, site: Site) -> NDArray:
    """V^+ V^{+T} on the side of the samples: eigenvalues above rcond times the unit's largest."""
    site.require_finite(gram)
    values, vectors = numpy.linalg.eigh(gram)
    kept = values > numpy.maximum(rule.rcond * values[:, -1:], TINY)
    safe = numpy.where(kept, values, 1.0)
    weights = numpy.where(kept, 1.0 / (safe * (safe + rule.relative)), 0.0)
    return (vectors @ (weights * (images[:, None] @ vectors)[:, 0])[..., None])[..., 0]


def weighted_products(weights: NDArray, reads: NDArray, out: NDArray | None = None) -> NDArray:
    """sum_x c_xk a~_x a~_x^T of each unit, (units, width, width), for weights c (units, samples) that are not negative."""
    units, width = len(weights), reads.shape[1]
    blocks = numpy.empty((units, width, width)) if out is None else out
    if width <= _NARROW:
        return numpy.matmul(reads.T * weights[:, None], reads, out=blocks)
    for block, roots in zip(blocks, numpy.sqrt(weights), strict=True):
        rows = reads * roots[:, None]
        # a product of an array with its own transpose takes half of the operations
        numpy.matmul(rows.T, rows, out=block)
    return blocks


def is_large(units: int, width: int) -> bool:
    """Whether so many blocks are better formed a few at a time."""
    return units * width**2 > _FORMED


Block = NDArray | SharedReads


def formed(part: Block) -> NDArray:
    """Blocks as an array, whatever they are kept as."""
    return part.formed() if isinstance(part, SharedReads) else part


def scaled_blocks(part: Block, factor: float) -> Block:
    """Blocks times a number."""
    return part.scaled(factor) if isinstance(part, SharedReads) else factor * part


def sum_of_blocks(first: Block, second: Block) -> Block:
    """The sum of the blocks of two tensors."""
    if isinstance(first, SharedReads) and isinstance(second, SharedReads):
        return first.plus(second)
    return formed(first) + formed(second)


__all__ = ["Block", "SharedReads", "formed", "is_large", "scaled_blocks", "sum_of_blocks", "weighted_products"]
