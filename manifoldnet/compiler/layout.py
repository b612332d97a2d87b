"""Where each unit's parameters stand in one flat vector."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.errors import GraphError


@final
@attrs.frozen
class Place:
    """The entries of one layer: units in order, `counts[u]` entries for unit u, from `offset` on."""

    name: str
    offset: int
    counts: tuple[int, ...]
    stop: int = attrs.field(init=False, eq=False, repr=False)

    @stop.default
    def _after_all(self) -> int:
        return self.offset + sum(self.counts)

    @property
    def units(self) -> int:
        return len(self.counts)

    @property
    def width(self) -> int:
        return max(self.counts, default=0)

    @property
    def mask(self) -> NDArray[numpy.bool_]:
        """(units, width): true where an entry is real, false where a shorter unit is padded."""
        return numpy.arange(self.width) < numpy.asarray(self.counts)[:, None]

    def positions(self, padding: int) -> NDArray[numpy.int_]:
        """(units, width) positions in the flat vector, `padding` where there is no entry."""
        starts = self.offset + numpy.concatenate([[0], numpy.cumsum(self.counts)[:-1]]).astype(int)
        return numpy.where(self.mask, starts[:, None] + numpy.arange(self.width), padding)


@final
@attrs.frozen
class Layout:
    """The places of all layers and interpretations with parameters, in declaration order. Hashable."""

    places: tuple[Place, ...]
    size: int = attrs.field(init=False, eq=False, repr=False)
    _by_name: dict[str, Place] = attrs.field(init=False, eq=False, repr=False)

    @size.default
    def _after_all(self) -> int:
        return self.places[-1].stop if self.places else 0

    @_by_name.default
    def _named(self) -> dict[str, Place]:
        return {place.name: place for place in self.places}

    def __getitem__(self, name: str) -> Place:
        found = self._by_name.get(name)
        if found is None:
            raise GraphError(f"no parameters are called {name!r}: there are {', '.join(self._by_name) or 'none'}")
        return found

    def get(self, name: str) -> Place | None:
        """The entries of a layer or interpretation, None if it has none."""
        return self._by_name.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places)

    def padded(self, flat: NDArray, name: str) -> NDArray:
        """The entries of one layer as (units, width), zero where `mask` is false."""
        return numpy.append(flat, 0.0)[self[name].positions(self.size)]


def layout_of(counts: list[tuple[str, tuple[int, ...]]]) -> Layout:
    """The layout of layers given as (name, entries of each unit); layers without entries are left out."""
    places, offset = [], 0
    for name, entries in counts:
        if sum(entries):
            places.append(Place(name, offset, entries))
            offset = places[-1].stop
    return Layout(tuple(places))


@final
class Owned(NamedTuple):
    """A vector of numbers that nobody else holds, so that parameters and covectors take it as it is, without a copy."""

    vector: NDArray[numpy.float64]


def _frozen_vector(values: object, instance: attrs.AttrsInstance) -> NDArray:
    """The numbers as a vector that nobody writes to; ValueError unless they are as many as the layout says."""
    vector = values.vector if type(values) is Owned else numpy.array(values, dtype=numpy.float64).reshape(-1)
    size = instance.layout.size  # type: ignore[attr-defined]
    if vector.shape != (size,):
        raise ValueError(f"{type(instance).__name__} of this network hold {size} numbers, received {vector.size}")
    vector.setflags(write=False)
    return vector


@attrs.frozen(eq=False)
class _Named:
    """A vector `flat` of as many numbers as its layout says, with access by layer name."""

    layout: Layout = attrs.field(kw_only=True, repr=False)
    flat: NDArray = attrs.field(converter=attrs.Converter(_frozen_vector, takes_self=True))  # type: ignore[misc]

    def __getitem__(self, name: str) -> NDArray:
        return self.layout.padded(self.flat, name)


@final
@attrs.frozen(eq=False)
class Parameters(_Named):
    """A point of parameter space: `flat` (float64, real entries only) and, by layer, `theta["h"]` (units, width)."""

    def replace(self, flat: NDArray) -> "Parameters":
        """Parameters of the same layout with other entries."""
        return Parameters(flat, layout=self.layout)


@final
@attrs.frozen(eq=False)
class Tangent(_Named):
    """A direction in parameter space, in the coordinates or frame there."""

    variance: ClassVar[str] = "tangent"


@final
@attrs.frozen(eq=False)
class Covector(_Named):
    """A differential on parameter space; a metric turns it into a tangent, it is never added to one."""

    variance: ClassVar[str] = "covector"


__all__ = ["Covector", "Layout", "Owned", "Parameters", "Place", "Tangent", "layout_of"]
