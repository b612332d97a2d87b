"""What a network holds: frozen records of its layers, edges and interpretations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.wiring import Wiring
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold


@final
@attrs.frozen(eq=False)
class Edge:
    """A layer reads some units of a parent layer; `mask` (children, len(units)) says which unit reads which."""

    parent: str
    units: tuple[int, ...]
    wiring: Wiring
    mask: NDArray[numpy.bool_]

    @property
    def is_dense(self) -> bool:
        return bool(self.mask.all())


@final
@attrs.frozen(eq=False)
class Layer:
    """Units that share a manifold, a chart, a map and wired parents. Inputs have no map and no edges.

    `chart` is None where the manifold has no global chart and coordinates are centred at each point.
    `preactivation_chart` belongs to affine units, `parameter_chart` to any; None means the coordinates
    that the parents' and pre-activation charts induce (affine), or the manifold's own (maps).
    """

    name: str
    size: int
    manifold: Manifold
    chart: Chart | None
    map: Affine | Map | None = None
    edges: tuple[Edge, ...] = ()
    encode: Callable[[Any], NDArray] | None = None
    preactivation_chart: Chart | None = None
    parameter_chart: Chart | None = None

    @property
    def is_input(self) -> bool:
        return self.map is None


@final
@attrs.frozen(eq=False)
class Source:
    """Units of one layer that an interpretation reads, in order."""

    layer: str
    units: tuple[int, ...]


@final
@attrs.frozen(eq=False)
class Output:
    """An interpretation by its name, with the units that it reads."""

    name: str
    interpretation: Interpretation
    sources: tuple[Source, ...]


def names_of_numbers(sources: Sequence[tuple[str, Sequence[int]]], n: int) -> list[str]:
    """The units that the n numbers of an interpretation belong to, such as y[2]; those of a unit stand side by side.

    `sources` are layers and units of them. Where units of several manifolds are read together, only layers are named.

    >>> names_of_numbers([("h", (3, 1)), ("y", (0,))], 6)
    ['h[3]', 'h[3]', 'h[1]', 'h[1]', 'y[0]', 'y[0]']
    """
    names = [f"{layer}[{unit}]" for layer, units in sources for unit in units]
    if n % len(names) == 0:
        return [name for name in names for _ in range(n // len(names))]
    return [", ".join(dict.fromkeys(layer for layer, _ in sources))] * n


@final
@attrs.frozen(eq=False)
class Declaration:
    """A snapshot of a network: layers in declaration order and its outputs."""

    name: str
    seed: int
    layers: tuple[Layer, ...]
    outputs: tuple[Output, ...]

    def layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)


def parameter_counts(layer: Layer, manifolds: Mapping[str, Manifold]) -> tuple[int, ...]:
    """How many numbers each affine unit's bias and weights are: q (1 + sum of the parents' hull dimensions)."""
    q = layer.manifold.dim
    fan_in = sum(edge.mask.sum(axis=1) * manifolds[edge.parent].hull_dim for edge in layer.edges)
    return tuple(int(q * (1 + count)) for count in fan_in)
