"""Recipes: plain records from which a network is declared, whose repr declares it again."""

from collections.abc import Callable

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.geometry.manifold import Manifold
from tests.oracles.maps import KINDS, declared
from tests.oracles.outputs import MEANINGS
from tests.oracles.spaces import LINKS, mixing


def bent(y: NDArray) -> NDArray:
    """A user's link, whose derivative comes from automatic differentiation."""
    return y / np.sqrt(1.0 + y * y)


DECLARED_LINKS = {name: getattr(mn, name, bent) for name in LINKS}
# a chart of the user's, of any R^n: it mixes components, and is not affine
SHEARED = mn.Chart(
    "sheared",
    lambda p: np.concatenate([p[..., :1], p[..., 1:] - 0.3 * np.sin(p[..., :1])], -1),
    lambda u: np.concatenate([u[..., :1], u[..., 1:] + 0.3 * np.sin(u[..., :1])], -1),
)
# one object for each link, as a person would write: affine layers that share it can share a stage
AFFINE = {name: mn.Affine(link) for name, link in DECLARED_LINKS.items()}


@attrs.frozen
class Read:
    """Units of an earlier layer (None for all), and how they are wired: "dense", ("fan_in", k, replace),
    ("fan_out", k, replace) or rows of an adjacency."""

    layer: str
    units: tuple[int, ...] | None = None
    wiring: str | tuple = "dense"

    def handle(self, net: mn.Network) -> object:
        handle = net[self.layer]
        return handle if self.units is None else handle[list(self.units)]

    def parent(self, net: mn.Network) -> object:
        if self.wiring == "dense":
            return self.handle(net)
        kind, *arguments = self.wiring
        rules: dict[str, Callable] = {"fan_in": mn.fan_in, "fan_out": mn.fan_out}
        return self.handle(net), rules[kind](*arguments) if kind in rules else numpy.array(self.wiring)


@attrs.frozen
class LayerOf:
    """A layer: `map` is "input", the name of a link (an affine layer) or of a kind of map."""

    name: str
    size: int
    map: str
    manifold: Manifold
    reads: tuple[Read, ...] = ()

    @property
    def is_affine(self) -> bool:
        return self.map in LINKS

    @property
    def parameters(self) -> Manifold | None:
        return KINDS[self.map].parameters if self.map in KINDS else None


@attrs.frozen
class OutputOf:
    """An interpretation by its name among `MEANINGS`, reading layers or parts of them."""

    name: str
    meaning: str
    reads: tuple[Read, ...]


@attrs.frozen
class Recipe:
    """A whole network; `charts` are the arguments of `with_charts`, by name, "mixed" or "sheared"; `seed` is that of its
    wirings, parameters and data."""

    layers: tuple[LayerOf, ...]
    outputs: tuple[OutputOf, ...]
    charts: tuple[tuple[str, str], ...] = ()
    seed: int = 0

    def layer(self, name: str) -> LayerOf:
        return next(layer for layer in self.layers if layer.name == name)

    def chart(self, key: str) -> str | None:
        return dict(self.charts).get(key)

    def point_ndims(self, layer: LayerOf) -> tuple[int, ...]:
        return tuple(len(self.layer(read.layer).manifold.shape) for read in layer.reads)

    def declare(self) -> mn.Network:
        net = mn.Network("random", seed=self.seed)
        for layer in self.layers:
            self._declare(net, layer)
        for output in self.outputs:
            parents = [read.handle(net) for read in output.reads]
            net.interpret(MEANINGS[output.meaning].declare(), parents, name=output.name)
        return net.with_charts({key: self._chart(key, chart) for key, chart in self.charts}) if self.charts else net

    def _declare(self, net: mn.Network, layer: LayerOf) -> None:
        if layer.map == "input":
            net.input(layer.name, layer.size, layer.manifold)
            return
        map = AFFINE[layer.map] if layer.is_affine else declared(layer.map, self.point_ndims(layer))
        parents = [read.parent(net) for read in layer.reads]
        net.layer(layer.name, layer.size, map=map, parents=parents, manifold=layer.manifold)

    def _chart(self, key: str, chart: str) -> mn.Chart | str:
        if chart != "mixed":
            return SHEARED if chart == "sheared" else chart
        name, _, part = key.partition("/")
        layer = self.layer(name)
        manifold = {"": layer.manifold, "parameters": layer.parameters}.get(part, mn.Real(layer.manifold.dim))
        return mn.Chart.affine("mixed", manifold, *mixing(manifold.dim))
