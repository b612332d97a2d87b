"""What every compiled stage answers: the questions of `manifoldnet.compiler.stage`, as pure functions of arrays."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, final

import attrs
import numpy

from manifoldnet.compiler.backends.jax.spaces import Space
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.stage import Reading, Slot
from manifoldnet.declare.interpretations.interpretation import Scale

Array = Any
Points = Mapping[str, Array]


@final
@attrs.frozen
class SlotShape:
    """The stage's units `start:stop` are `units` of `layer`; None for all of them in order."""

    layer: str
    start: int
    stop: int
    units: tuple[int, ...] | None

    def taken(self, values: Array, axis: int) -> Array:
        """These units of the layer's values, along an axis counted from the end."""
        if self.units is None:
            return values
        return values[(..., numpy.array(self.units), *(slice(None),) * (-axis - 1))]


def slots_of(slots: Sequence[Slot], sizes: Mapping[str, int] | None = None) -> tuple[SlotShape, ...]:
    """The static form of slots; `sizes` are those of the layers, None where slots hold whole ones."""
    found = []
    for slot in slots:
        whole = sizes is None or numpy.array_equal(slot.units, numpy.arange(sizes[slot.layer]))
        found.append(SlotShape(slot.layer, slot.start, slot.stop, None if whole else tuple(slot.units.tolist())))
    return tuple(found)


@final
@attrs.frozen(eq=False)
class Contribution:
    """What a stage adds to the units `units` of a parent layer (None for all of them)."""

    layer: str
    units: Array | None
    values: Array


class StageAt(abc.ABC):
    """A stage at one point. Contractions with parameters are sums over samples, ordered as the stage's group."""

    points: Array

    @abc.abstractmethod
    def to_inner(self) -> Rate:
        """d outer/d inner."""

    @abc.abstractmethod
    def read(self, scale: Scale) -> Reading | None:
        """The activities on a scale, with d z/d inner; None if the scale is not offered."""

    @abc.abstractmethod
    def push(self, tangent: Array, moving: Points) -> Array:
        """How activities move, in inner coordinates, along a tangent (units, width) and with the parents."""

    @abc.abstractmethod
    def pull_covectors(self, inner: Array) -> list[Contribution]:
        """(da_j/da_k)^T b_j for covectors (k, samples, units, inner)."""

    @abc.abstractmethod
    def pull_moduli(self, inner: Array) -> list[Contribution]:
        """(da_j/da_k)^T m_j (da_j/da_k), unit by unit."""

    @abc.abstractmethod
    def gradient(self, inner: Array) -> Array:
        """sum_x (da/dtheta)^T b, (units, width)."""

    @abc.abstractmethod
    def rows(self, inner: Array) -> Array:
        """(da/dtheta)^T b of each sample, (k, samples, units, width)."""

    @abc.abstractmethod
    def block(self, modulus: Array) -> Array:
        """sum_x (da/dtheta)^T m (da/dtheta), (units, width, width)."""

    @abc.abstractmethod
    def quasi(self, modulus: Array) -> Any:
        """(A_00, A_0i..., A_ii...) of affine units, the whole block of others."""

    @abc.abstractmethod
    def diagonal(self, modulus: Array) -> Array:
        """The diagonal of the block, (units, width)."""


class StageShape(abc.ABC):
    """The static, hashable part of a stage."""

    slots: tuple[SlotShape, ...]
    units: int
    space: Space
    may_leave: bool
    has_parameters: bool

    @property
    @abc.abstractmethod
    def inner_dim(self) -> int:
        """The dimension of inner coordinates."""

    @property
    @abc.abstractmethod
    def parent_layers(self) -> tuple[str, ...]:
        """The layers that its units read."""

    @abc.abstractmethod
    def linearise(self, numbers: dict, theta: Array, points: Points) -> StageAt:
        """The stage at these parameters (units, width) and points."""
