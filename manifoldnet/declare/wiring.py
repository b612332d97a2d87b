"""Wiring: which units of a parent layer each unit of a layer reads."""

import abc
import hashlib
from typing import final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

from manifoldnet.errors import DeclarationError


class Wiring(abc.ABC):
    """A rule that, for an edge between two layers, says which pairs of units are linked."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """How the wiring was declared, for descriptions and messages."""

    @abc.abstractmethod
    def draw(self, rng: numpy.random.Generator, children: int, parents: int) -> NDArray[numpy.bool_]:
        """The links as a boolean array (children, parents)."""


def _positive(instance: object, attribute: attrs.Attribute, value: object) -> None:
    if not isinstance(value, int | numpy.integer) or isinstance(value, bool) or value < 1:
        raise DeclarationError(f"{type(instance).__name__} takes a number of links of at least 1, received {value!r}")


def _links(rng: numpy.random.Generator, rows: int, columns: int, k: int, replace: bool, name: str) -> NDArray:
    if not replace and k > columns:
        raise DeclarationError(
            f"{name}: {k} distinct links were asked for but only {columns} units can be linked: "
            "take a smaller k, or replace=True"
        )
    linked = numpy.zeros((rows, columns), dtype=bool)
    if replace:
        chosen = rng.integers(columns, size=(rows, k))
    else:
        chosen = rng.permuted(numpy.tile(numpy.arange(columns), (rows, 1)), axis=1)[:, :k]
    linked[numpy.arange(rows)[:, None], chosen] = True
    return linked


@final
@attrs.frozen
class Dense(Wiring):
    """Every unit reads every unit of the parent layer."""

    @property
    def name(self) -> str:
        return "dense"

    def draw(self, rng: numpy.random.Generator, children: int, parents: int) -> NDArray[numpy.bool_]:
        return numpy.ones((children, parents), dtype=bool)


@final
@attrs.frozen
class FanIn(Wiring):
    """Every unit reads k random units of the parent layer."""

    k: int = attrs.field(validator=_positive)
    replace: bool = False

    @property
    def name(self) -> str:
        return f"fan_in({self.k}{', replace=True' if self.replace else ''})"

    def draw(self, rng: numpy.random.Generator, children: int, parents: int) -> NDArray[numpy.bool_]:
        return _links(rng, children, parents, self.k, self.replace, self.name)


@final
@attrs.frozen
class FanOut(Wiring):
    """Every unit of the parent layer is read by k random units."""

    k: int = attrs.field(validator=_positive)
    replace: bool = False

    @property
    def name(self) -> str:
        return f"fan_out({self.k}{', replace=True' if self.replace else ''})"

    def draw(self, rng: numpy.random.Generator, children: int, parents: int) -> NDArray[numpy.bool_]:
        return _links(rng, parents, children, self.k, self.replace, self.name).T


@final
@attrs.frozen(eq=False)
class Adjacency(Wiring):
    """Links given one by one, as a 0/1 array (children, parents); `rule` is the name of what drew them, if known."""

    matrix: NDArray[numpy.bool_]
    rule: str = "adjacency"

    @property
    def name(self) -> str:
        return self.rule

    def draw(self, rng: numpy.random.Generator, children: int, parents: int) -> NDArray[numpy.bool_]:
        if self.matrix.shape != (children, parents):
            raise DeclarationError(
                f"an adjacency for this edge has shape (children, parents) = ({children}, {parents}), "
                f"received {self.matrix.shape}"
            )
        return self.matrix


dense = Dense()


def fan_in(k: int, replace: bool = False) -> FanIn:
    """Every unit reads k random units of the parent: distinct, or drawn with replacement and merged.

    >>> int(fan_in(2).draw(numpy.random.default_rng(0), 3, 5).sum())
    6
    """
    return FanIn(k, bool(replace))


def fan_out(k: int, replace: bool = False) -> FanOut:
    """Every unit of the parent is read by k random units: distinct, or with replacement and merged.

    >>> [int(n) for n in fan_out(2).draw(numpy.random.default_rng(0), 3, 5).sum(axis=0)]
    [2, 2, 2, 2, 2]
    """
    return FanOut(k, bool(replace))


def as_wiring(value: Wiring | ArrayLike | None) -> Wiring:
    """A wiring as it is, None as dense, and a 0/1 array (children, parents) as an explicit adjacency."""
    if value is None:
        return dense
    if isinstance(value, Wiring):
        return value
    matrix = numpy.asarray(value)
    if matrix.ndim != 2 or not numpy.isin(matrix, (0, 1)).all():
        raise DeclarationError(
            "wiring= takes mn.dense, mn.fan_in(k), mn.fan_out(k) or a 0/1 array (children, parents), "
            f"received {value!r}"
        )
    return Adjacency(matrix.astype(bool))


def edge_stream(seed: int, *names: str) -> numpy.random.Generator:
    """The random stream of one edge, keyed by the network's seed and the names of its ends."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return numpy.random.default_rng([seed, *digest])
