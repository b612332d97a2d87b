"""A second implementation of a network, unit by unit and sample by sample, from the definitions alone.

It shares no code with the compiler: a network is a recursion over units (paper, section 2.2), and every
derivative is a complex step. `theta` is the documented flat vector: layers in declaration order, units in order,
for an affine unit its bias first and then its wired parents in order.
"""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.geometry.manifold import Manifold
from tests.oracles import spaces
from tests.oracles.maps import evaluated
from tests.oracles.outputs import MEANINGS, Meaning
from tests.oracles.recipe import SHEARED, LayerOf, OutputOf, Recipe

Unit = tuple[str, int]
Activities = dict[Unit, NDArray]


@attrs.frozen(eq=False, slots=False)
class Parameter:
    """The stored numbers of one unit, or of one interpretation, and the tangents there."""

    stored: slice
    tangent: slice


@attrs.frozen(eq=False, slots=False)
class Reference:
    """`wires` has for each unit one tuple of parent units for each edge."""

    recipe: Recipe
    wires: dict[Unit, list[tuple[Unit, ...]]]

    @classmethod
    def of(cls, recipe: Recipe, net: mn.Network) -> "Reference":
        return cls(recipe, _wires(recipe, net))

    # ---------------------------------------------------------------- where parameters stand

    @cached_property
    def places(self) -> dict[object, Parameter]:
        """Of each unit with parameters by its name and index, then of each interpretation by its name."""
        found: dict[object, Parameter] = {}
        stored = tangent = 0
        for owner, numbers, dim in self._counts():
            found[owner] = Parameter(slice(stored, stored + numbers), slice(tangent, tangent + dim))
            stored, tangent = stored + numbers, tangent + dim
        return found

    def _counts(self) -> list[tuple[object, int, int]]:
        found: list[tuple[object, int, int]] = []
        for layer in self.recipe.layers:
            for unit in range(layer.size):
                numbers = self._unit_count(layer, unit)
                found.append(((layer.name, unit), numbers, layer.parameters.dim if layer.parameters else numbers))
        for output in self.recipe.outputs:
            count = MEANINGS[output.meaning].parameters(len(self.numbers_read(output)))
            found.append((output.name, count, count))
        return [item for item in found if item[1]]

    def _unit_count(self, layer: LayerOf, unit: int) -> int:
        if layer.is_affine:
            read = [spaces.hull_dim(self._manifold(k)) for edge in self.wires[layer.name, unit] for k in edge]
            return layer.manifold.dim * (1 + sum(read))
        if layer.parameters is None:
            return 0
        return layer.parameters.dim if self._parameter_chart(layer) else layer.parameters.size

    @property
    def tangent_size(self) -> int:
        return max((place.tangent.stop for place in self.places.values()), default=0)

    def _manifold(self, unit: Unit) -> Manifold:
        return self.recipe.layer(unit[0]).manifold

    def _parameter_chart(self, layer: LayerOf) -> str | None:
        return self.recipe.chart(f"{layer.name}/parameters")

    def directions(self, theta: NDArray) -> NDArray:
        """How the stored numbers change along each tangent, (tangents, stored): the identity but for points."""
        matrix = numpy.zeros((self.tangent_size, len(theta)))
        for owner, place in self.places.items():
            frame = numpy.eye(place.stored.stop - place.stored.start)
            layer = self.recipe.layer(owner[0]) if isinstance(owner, tuple) else None
            if layer and layer.parameters and not self._parameter_chart(layer):
                point = theta[place.stored].reshape(layer.parameters.shape)
                frame = spaces.stored_frame(layer.parameters, point)
            matrix[place.tangent, place.stored] = frame.T
        return matrix

    # ---------------------------------------------------------------- forward

    def value(self, unit: Unit, stored: NDArray, parents: list[list[NDArray]]) -> NDArray:
        """a_k from the unit's stored numbers (b, count) and, for each edge, the points (b, *shape) it reads."""
        layer = self.recipe.layer(unit[0])
        if layer.is_affine:
            return self.affine_value(unit, self.affine_parameters(layer, stored), parents)
        theta = stored
        if layer.parameters is not None:
            chart = self._parameter_chart(layer)
            shaped = (len(stored), *layer.parameters.shape)
            theta = spaces.to_point(layer.parameters, chart, stored) if chart else stored.reshape(shaped)
        points = [numpy.stack(numpy.broadcast_arrays(*edge), axis=1) for edge in parents]
        return evaluated(layer.map, theta, points, self.recipe.point_ndims(layer))

    def affine_parameters(self, layer: LayerOf, stored: NDArray) -> NDArray:
        """Biases and weights, from their coordinates in whatever chart they are stored."""
        chart = self._parameter_chart(layer)
        return spaces.to_point(mn.Real(stored.shape[-1]), chart, stored) if chart else stored

    def affine_value(self, unit: Unit, parameters: NDArray, parents: list[list[NDArray]]) -> NDArray:
        """phi(bias + sum of weights times what is read), (b, q); weights by parent, its coordinate, then q."""
        layer = self.recipe.layer(unit[0])
        q = layer.manifold.dim
        y, start = parameters[:, :q], q
        for edge, units in zip(parents, self.wires[unit], strict=True):
            for point, parent in zip(edge, units, strict=True):
                read = self._reading(parent, point)
                weights = parameters[:, start : start + read.shape[-1] * q].reshape(-1, read.shape[-1], q)
                y = y + numpy.einsum("be,beq->bq", read, weights)
                start += weights.shape[1] * q
        chart = self.recipe.chart(f"{layer.name}/pre-activation")
        if chart:
            scale, shift = spaces.affine_chart(mn.Real(q), chart)
            y = numpy.linalg.solve(scale, (y - shift).T).T
        return spaces.LINKS[layer.map](y)

    def _reading(self, parent: Unit, point: NDArray) -> NDArray:
        manifold = self._manifold(parent)
        read = spaces.hull(manifold, point)
        affine = spaces.affine_chart(manifold, self.recipe.chart(parent[0]) or "identity")
        return read if affine is None else read @ affine[0].T + affine[1]

    def activities(
        self, theta: NDArray, inputs: dict[str, NDArray], held: Mapping[Unit, NDArray] = MappingProxyType({})
    ) -> Activities:
        """All units' activities (b, *shape) at stored parameters (b, count), on input points (b, units, *shape).

        Units that are `held` at some activity keep it, whatever their parents do.
        """
        found: Activities = {}
        for layer in self.recipe.layers:
            for index in range(layer.size):
                unit = (layer.name, index)
                if layer.map == "input" or unit in held:
                    found[unit] = held[unit] if unit in held else inputs[layer.name][:, index]
                    continue
                place = self.places.get(unit)
                stored = theta[:, place.stored] if place else theta[:, :0]
                parents = [[found[k] for k in edge] for edge in self.wires[unit]]
                found[unit] = self.value(unit, stored, parents)
        return found

    # ---------------------------------------------------------------- outputs

    def frame(self, unit: Unit, point: NDArray) -> NDArray:
        """d point/d coordinates of the unit's chart, (size, dim), at one point: what tangents are written in."""
        layer = self.recipe.layer(unit[0])
        name, manifold = self.recipe.chart(layer.name), layer.manifold
        if name is None:
            return spaces.stored_frame(manifold, point)
        affine = spaces.affine_chart(manifold, name)
        u = spaces.hull(manifold, point) @ affine[0].T + affine[1] if affine else None
        if u is None:
            u = SHEARED.to_coordinates(point) if name == "sheared" else manifold.chart(name).to_coordinates(point)
        assert numpy.allclose(spaces.to_point(manifold, name, u), point, rtol=1e-9, atol=1e-12)
        slopes = spaces.derivative(lambda v: spaces.to_point(manifold, name, v), u, numpy.eye(len(u)))
        return slopes.reshape(len(u), -1).T

    def meaning(self, output: OutputOf) -> Meaning:
        return MEANINGS[output.meaning]

    def units_read(self, output: OutputOf) -> list[Unit]:
        return [(r.layer, u) for r in output.reads for u in r.units or range(self.recipe.layer(r.layer).size)]

    def numbers_read(self, output: OutputOf) -> list[Unit]:
        """The unit that each output number belongs to."""
        return [unit for unit in self.units_read(output) for _ in range(self._manifold(unit).size)]

    def numbers(self, output: OutputOf, activities: Activities) -> NDArray:
        """z (b, n): the reference coordinates of the outputs; for Bernoulli the probabilities they stand for."""
        parts = []
        for unit in self.units_read(output):
            values = activities[unit].reshape(len(activities[unit]), -1)
            manifold = self._manifold(unit)
            if output.meaning == "bernoulli":
                values = (values - manifold.low) / (manifold.high - manifold.low)
            parts.append(values)
        return numpy.concatenate(parts, axis=1)

    def vartheta(self, output: OutputOf, theta: NDArray) -> NDArray:
        place = self.places.get(output.name)
        return theta[:, place.stored] if place else theta[:, :0]


def _wires(recipe: Recipe, net: mn.Network) -> dict[Unit, list[tuple[Unit, ...]]]:
    """Who reads whom, from the graph that networks publish: which links a random wiring drew."""
    graph, found = net.graph, {}
    for layer in recipe.layers:
        edges = [(record["position"], parent, record) for parent, _, data in graph.in_edges(layer.name, data=True)
                 for record in data["reads"]]  # fmt: skip
        for unit in range(layer.size):
            found[layer.name, unit] = [
                tuple((parent, u) for u, linked in zip(r["units"], r["adjacency"][unit], strict=True) if linked)
                for _, parent, r in sorted(edges, key=lambda edge: edge[0])
            ]
    return found
