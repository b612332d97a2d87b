"""What every stage of a program answers: forward, pull back, contract with the parameters."""

import abc
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rates import Rate
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.units import Units, Whole

Points = Mapping[str, NDArray]


@final
@attrs.frozen(eq=False)
class Slot:
    """Which units of a layer a run of the stage's units are: the stage's `start:stop` are `units` of `layer`."""

    layer: str
    units: NDArray[numpy.int_]
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.units)


def owners_of(layer: str, stages: Sequence[Any]) -> list:
    """The (stage, slot) pairs that compute a layer, of stages in any form that has slots; none for an input."""
    return [(index, slot) for index, stage in enumerate(stages) for slot in stage.slots if slot.layer == layer]


@final
@attrs.frozen(eq=False)
class DiagonalRows:
    """`count` covectors for each sample, of which row `first + o` is `values[:, o]` on number o alone, else zero."""

    values: NDArray
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def dense(self) -> NDArray:
        """The rows as an array (count, samples, n)."""
        samples, n = self.values.shape
        rows = numpy.zeros((self.count, samples, n))
        places = numpy.arange(n)
        rows[self.first + places, :, places] = self.values.T
        return rows


@final
@attrs.frozen(eq=False)
class OuterRows:
    """Covectors (k, samples, units, dim) in outer coordinates, with the rate that pulls them to inner ones.

    Where rows are many, weights times rates are fewer products than rows times rates, and so are squares.
    """

    rows: NDArray
    rate: Rate

    def dense(self) -> NDArray:
        """The covectors in inner coordinates."""
        return self.rate.pull(self.rows)


def dense_rows(rows: "NDArray | DiagonalRows") -> NDArray:
    """Rows as an array, whatever their structure."""
    return rows.dense() if isinstance(rows, DiagonalRows) else rows


def rows_are_last(rows: NDArray) -> bool:
    """Whether covectors (k, ...) have their rows side by side in memory, so that work on them runs along these."""
    return rows.strides[0] == rows.itemsize


class Contribution(NamedTuple):
    """What a stage adds to the units `units` of a parent layer (None for all of them)."""

    layer: str
    units: NDArray[numpy.int_] | None
    values: NDArray


@final
@attrs.frozen(eq=False)
class Reading:
    """Output numbers z (samples, units * size) on some scale, and their derivative in inner coordinates."""

    z: NDArray
    rate: Rate


class Linearisation(abc.ABC):
    """A stage at one point: activities, and derivatives contracted with whatever is asked.

    *Outer* coordinates are those of the activity's chart, *inner* ones those in which the stage keeps
    covectors and moduli: pre-activations for affine units, the same as outer ones for general units.
    Contractions with parameters are SUMS over the samples at hand.
    """

    points: NDArray

    @property
    @abc.abstractmethod
    def to_inner(self) -> Rate:
        """d outer/d inner."""

    @abc.abstractmethod
    def read(self, scale: Scale, outer: bool) -> Reading | None:
        """The activities on a scale, with d z/d inner (or d z/d outer); None if the scale is not offered."""

    @abc.abstractmethod
    def push(self, tangent: NDArray, parents: Points, weights: tuple[Any, NDArray] | None = None) -> NDArray:
        """How activities move, in inner coordinates (samples, units, inner), along a tangent of the parameters.

        `tangent` (units, p) is ordered as `group.index`; `parents` says how parent layers move, in outer
        coordinates (samples, layer units, dim), those that do. `weights` are the tangent as a weight matrix and biases,
        where it has been gathered already, as in `Stage.linearise`.
        """

    @abc.abstractmethod
    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        """(da_j/da_k)^T b_j for covectors (k, samples, units, inner): (k, samples, parent units, dim)."""

    @abc.abstractmethod
    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        """(da_j/da_k)^T m_j (da_j/da_k), unit by unit, (samples, parent units, dim, dim)."""

    @abc.abstractmethod
    def gradient(self, inner: NDArray) -> NDArray:
        """sum_x (da/dtheta)^T b for covectors (samples, units, inner), ordered as `group.index`."""

    @abc.abstractmethod
    def rows(self, inner: NDArray) -> NDArray:
        """(da/dtheta)^T b of each sample, (k, samples, units, p), for covectors (k, samples, units, inner)."""

    @abc.abstractmethod
    def block(self, modulus: NDArray) -> NDArray:
        """sum_x (da/dtheta)^T m (da/dtheta), (units, p, p)."""

    @abc.abstractmethod
    def quasi(self, modulus: NDArray) -> Entries | NDArray:
        """The entries of the block that the quasi-diagonal reduction keeps; the whole block if not affine."""

    @abc.abstractmethod
    def diagonal(self, modulus: NDArray) -> NDArray:
        """The diagonal of the block, (units, p)."""


class Stage(abc.ABC):
    """All units of one level that share a map, evaluated together."""

    slots: tuple[Slot, ...]
    group: Units | Whole | None
    inner_dim: int
    # whether activities could leave their manifold, so that they are looked at in every evaluation
    may_leave: bool

    @cached_property
    def units(self) -> int:
        return self.slots[-1].stop

    @property
    @abc.abstractmethod
    def parent_layers(self) -> tuple[str, ...]:
        """The layers that its units read."""

    @abc.abstractmethod
    def linearise(self, theta: NDArray, points: Points, weights: tuple[Any, NDArray] | None = None) -> Linearisation:
        """The stage at these parameters and points.

        `weights` are a weight matrix and biases that a program has gathered for all stages at once; only affine
        stages that are taken jointly receive them.
        """

    @abc.abstractmethod
    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        """The metric (units, p, p) that dampings measure by where units keep full blocks, ordered as `group.index`.

        It moves with every chart: what the parameter manifold declares, or what is reduced from the units' own
        `blocks`. None for affine units in affine coordinates, whose reduction needs no reference, and for
        manifolds that declare none.
        """

    @abc.abstractmethod
    def bytes_per_sample(self) -> int:
        """The memory that one sample's linearisation takes."""

    @abc.abstractmethod
    def pull_bytes_per_sample(self) -> int:
        """The memory that pulling one covector of one sample back through it takes."""

    @abc.abstractmethod
    def block_bytes_per_sample(self) -> int:
        """The memory that one sample takes while blocks are contracted."""

    @abc.abstractmethod
    def describe(self) -> str:
        """One line: the kind of the stage and the plan chosen for it."""
