"""One pass from the outputs back to every stage, of covectors or of moduli."""

import abc
from collections.abc import Callable, Mapping
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineLinearisation
from manifoldnet.compiler.rates import IDENTITY, Rate
from manifoldnet.compiler.stage import Contribution, DiagonalRows, Linearisation
from manifoldnet.compiler.trace import Trace, inner_rows

Carried = NDArray | DiagonalRows
Kept = Callable[[Carried], NDArray]


class Kind(abc.ABC):
    """What is carried back."""

    @abc.abstractmethod
    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        """The shape of what stands at so many units."""

    @property
    @abc.abstractmethod
    def unit_axis(self) -> int:
        """Where the units are, counted from the end."""

    @abc.abstractmethod
    def pull(self, rate: Rate, outer: NDArray, reuse: bool) -> NDArray:
        """From outer to inner coordinates, in the same memory where it may be reused."""

    @abc.abstractmethod
    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        """What a stage sends to its parents."""


@final
@attrs.frozen
class Covectors(Kind):
    """`count` covectors at once: contributions are added before anything is squared."""

    count: int

    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        return (self.count, samples, units, dim)

    @property
    def unit_axis(self) -> int:
        return -2

    def pull(self, rate: Rate, outer: NDArray, reuse: bool) -> NDArray:
        if not reuse or not rate.elementwise or rate is IDENTITY:
            return rate.pull(outer)
        outer *= rate.values
        return outer

    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        if not isinstance(inner, DiagonalRows):
            return line.pull_covectors(inner)
        return (
            line.pull_diagonal(inner)
            if isinstance(line, AffineLinearisation)
            else line.pull_covectors(inner_rows(inner))
        )


@final
@attrs.frozen
class Moduli(Kind):
    """One modulus: contributions are added after squaring."""

    def shape(self, samples: int, units: int, dim: int) -> tuple[int, ...]:
        return (samples, units, dim, dim)

    @property
    def unit_axis(self) -> int:
        return -3

    def pull(self, rate: Rate, outer: NDArray, reuse: bool) -> NDArray:
        return rate.pull_modulus(outer)

    def upstream(self, line: Linearisation, inner: Carried) -> list[Contribution]:
        assert not isinstance(inner, DiagonalRows)
        return line.pull_moduli(inner)


def swept(trace: Trace, kind: Kind, direct: Mapping[int, Carried], kept: Kept) -> list[NDArray]:
    """What is `kept` of what stands at each stage, in inner coordinates; nothing else outlives its use.

    `direct` are the terms of the interpretations, by stage.
    """
    pending: dict[str, NDArray] = {}
    feeds = trace.lowered.feeds
    found: list[NDArray] = [_NONE] * len(feeds)
    for index in reversed(range(len(feeds))):
        total = _at_stage(trace, kind, index, pending, direct, reuse=True)
        found[index] = kept(_nothing(trace, kind, index) if total is None else total)
        if total is not None and feeds[index]:
            _send(trace, kind, index, total, pending)
    return found


def swept_outer(trace: Trace, kind: Kind, direct: Mapping[int, Carried]) -> dict[str, NDArray]:
    """What readers send to each layer, in outer coordinates; without the direct terms of the interpretations."""
    pending: dict[str, NDArray] = {}
    for index in reversed(range(len(trace.lowered.stages))):
        total = _at_stage(trace, kind, index, pending, direct, reuse=False)
        if total is not None and trace.lowered.feeds[index]:
            _send(trace, kind, index, total, pending)
    return pending


_NONE = numpy.zeros(0)


def _at_stage(
    trace: Trace,
    kind: Kind,
    index: int,
    pending: dict[str, NDArray],
    direct: Mapping[int, Carried],
    reuse: bool,
) -> Carried | None:
    """b_k or m_k of a stage; all its readers have been visited. With `reuse`, what they sent is used up."""
    whole = trace.lowered.whole_slots[index]
    received = pending.pop if reuse else pending.get
    outer = _by_slots(trace, kind, index, pending) if whole is None else received(whole, None)
    if outer is None:
        return direct.get(index)
    inner = kind.pull(trace.linearisations[index].to_inner, outer, reuse)
    return inner + inner_rows(direct[index]) if index in direct else inner


def _by_slots(trace: Trace, kind: Kind, index: int, pending: dict[str, NDArray]) -> NDArray | None:
    """What layers have received for the units of a stage, in an array that nobody else holds."""
    stage = trace.lowered.stages[index]
    if not any(slot.layer in pending for slot in stage.slots):
        return None
    parts = []
    for slot in stage.slots:
        if slot.layer in pending:
            parts.append(numpy.take(pending[slot.layer], slot.units, axis=kind.unit_axis))
        else:
            dim = trace.lowered.spaces[slot.layer].dim
            parts.append(numpy.zeros(kind.shape(trace.samples, len(slot.units), dim)))
    return parts[0] if len(parts) == 1 else numpy.concatenate(parts, axis=kind.unit_axis)


def _nothing(trace: Trace, kind: Kind, index: int) -> NDArray:
    stage = trace.lowered.stages[index]
    return numpy.zeros(kind.shape(trace.samples, stage.units, stage.inner_dim))


def _send(trace: Trace, kind: Kind, index: int, total: Carried, pending: dict[str, NDArray]) -> None:
    """Add to what the parents' layers have received: this is where several readers of a unit meet."""
    inputs = trace.lowered.inputs
    for item in kind.upstream(trace.linearisations[index], total):
        if item.layer in inputs:
            continue
        if item.units is None:
            pending[item.layer] = pending[item.layer] + item.values if item.layer in pending else item.values
            continue
        if item.layer not in pending:
            dim, units = trace.lowered.spaces[item.layer].dim, trace.points[item.layer].shape[1]
            pending[item.layer] = numpy.zeros(kind.shape(trace.samples, units, dim))
        if kind.unit_axis == -2:
            pending[item.layer][:, :, item.units] += item.values
        else:
            pending[item.layer][:, item.units] += item.values
