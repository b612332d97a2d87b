"""Affine functions in the coordinates that charts induce, and in reference coordinates."""

from collections.abc import Mapping
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Layout, Place
from manifoldnet.compiler.lower_affine import affine_parts, first_weights
from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.declare.layer import Layer, parameter_counts


@final
@attrs.frozen(eq=False)
class Reference:
    """The biases (units, q) of a layer, and the weights (links, e, q) of each edge, in reference coordinates."""

    bias: NDArray
    weights: tuple[NDArray, ...]


@final
@attrs.frozen(eq=False)
class AffineCoordinates:
    """How charts write the affine functions of a layer: y' = w'_0 + sum w'_i a'_i.

    With y' = gamma y + delta and a'_i = alpha_i a_i + beta_i these are eqs. 46-47 and definition 29. Numbers
    are given as `theta[layer]`, (units, width), zero where a shorter unit is padded. A smooth chart of the
    parameters is undone first and applied last; tangents and covectors then take the point where they are.
    """

    layer: Layer
    spaces: Mapping[str, ActivitySpace]

    def to_reference(self, stored: NDArray) -> Reference:
        """The affine functions of stored parameters."""
        return self._lifted(self._affine(stored), 1.0)

    def from_reference(self, reference: Reference) -> NDArray:
        """The stored parameters of affine functions."""
        found = self._lowered(reference, 1.0)
        chart = self.layer.parameter_chart
        return found if chart is None else numpy.asarray(chart.to_coordinates(found))

    def tangent_to_reference(self, tangent: NDArray, at: NDArray | None) -> Reference:
        """How affine functions change along a tangent at stored parameters `at`."""
        frame = self._frame(at)
        return self._lifted(tangent if frame is None else (frame @ tangent[..., None])[..., 0], 0.0)

    def tangent_from_reference(self, reference: Reference, at: NDArray | None) -> NDArray:
        """The tangent at stored parameters `at` along which affine functions change like this."""
        found, frame = self._lowered(reference, 0.0), self._frame(at)
        return found if frame is None else numpy.linalg.solve(frame, found[..., None])[..., 0]

    def covector_to_reference(self, covector: NDArray, at: NDArray | None) -> Reference:
        """A covector at stored parameters `at` on reference coordinates."""
        frame = self._frame(at)
        if frame is not None:
            covector = numpy.linalg.solve(frame.swapaxes(1, 2), covector[..., None])[..., 0]
        gamma, _ = self._preactivation()
        bias, weights = self._read(covector)
        found = []
        for units, part, (alpha, beta) in zip(self._linked(), weights, self._parents(), strict=True):
            found.append(numpy.linalg.inv(alpha) @ (part - beta[:, None] * bias[units][:, None, :]) @ gamma)
        return Reference(bias @ gamma, tuple(found))

    def covector_from_reference(self, reference: Reference, at: NDArray | None) -> NDArray:
        """The covector at stored parameters `at` of one on reference coordinates."""
        inverse, frame = numpy.linalg.inv(self._preactivation()[0]), self._frame(at)
        bias, found = reference.bias @ inverse, []
        for units, part, (alpha, beta) in zip(self._linked(), reference.weights, self._parents(), strict=True):
            found.append(alpha @ part @ inverse + beta[:, None] * bias[units][:, None, :])
        covector = self._write(bias, found)
        return covector if frame is None else (covector[:, None, :] @ frame)[:, 0]

    def _affine(self, stored: NDArray) -> NDArray:
        chart = self.layer.parameter_chart
        return stored if chart is None else numpy.asarray(chart.to_point(stored))

    def _frame(self, at: NDArray | None) -> NDArray | None:
        """d affine coordinates/d stored parameters, (units, p, p), None for the identity."""
        chart = self.layer.parameter_chart
        if chart is None:
            return None
        if at is None:
            raise TypeError(f"tangents and covectors of {self.layer.name!r} are transported at a point: give at=theta")
        return chart.frame(self._affine(at))

    def _lifted(self, affine: NDArray, constant: float) -> Reference:
        """`constant` is 1 for a point and 0 for a tangent, which has no shift of its own."""
        gamma, delta = self._preactivation()
        inverse = numpy.linalg.inv(gamma).T
        bias, weights = self._read(affine)
        bias, found = bias - constant * delta, []
        for units, part, (alpha, beta) in zip(self._linked(), weights, self._parents(), strict=True):
            numpy.add.at(bias, units, numpy.einsum("leq,e->lq", part, beta))
            found.append(alpha.T @ part @ inverse)
        return Reference(bias @ inverse, tuple(found))

    def _lowered(self, reference: Reference, constant: float) -> NDArray:
        gamma, delta = self._preactivation()
        bias, found = reference.bias @ gamma.T, []
        for units, part, (alpha, beta) in zip(self._linked(), reference.weights, self._parents(), strict=True):
            moved = numpy.linalg.inv(alpha).T @ part @ gamma.T
            numpy.subtract.at(bias, units, numpy.einsum("leq,e->lq", moved, beta))
            found.append(moved)
        return self._write(bias + constant * delta, found)

    def _preactivation(self) -> tuple[NDArray, NDArray]:
        return affine_parts(self.layer.preactivation_chart, self.layer.manifold.dim)

    def _parents(self) -> list[tuple[NDArray, NDArray]]:
        spaces = [self.spaces[edge.parent] for edge in self.layer.edges]
        return [affine_parts(space.chart, space.manifold.hull_dim) for space in spaces]

    def _linked(self) -> list[NDArray[numpy.int_]]:
        """The unit of each link, edge by edge."""
        return [numpy.nonzero(edge.mask)[0] for edge in self.layer.edges]

    def _positions(self) -> tuple[Place, NDArray[numpy.int_], list[NDArray[numpy.int_]]]:
        q = self.layer.manifold.dim
        manifolds = {name: space.manifold for name, space in self.spaces.items()}
        place = Place(self.layer.name, 0, parameter_counts(self.layer, manifolds))
        layout, weights = Layout((place,)), []
        for edge, first in zip(self.layer.edges, first_weights(self.layer, dict(self.spaces), layout), strict=True):
            e = manifolds[edge.parent].hull_dim
            weights.append((first[edge.mask][:, None] + numpy.arange(e * q)).reshape(-1, e, q))
        return place, place.positions(layout.size)[:, :q], weights

    def _read(self, padded: NDArray) -> tuple[NDArray, list[NDArray]]:
        place, starts, weights = self._positions()
        flat = padded[place.mask]
        return flat[starts], [flat[part] for part in weights]

    def _write(self, bias: NDArray, weights: list[NDArray]) -> NDArray:
        place, starts, positions = self._positions()
        flat = numpy.zeros(place.stop)
        flat[starts] = bias
        for part, values in zip(positions, weights, strict=True):
            flat[part] = values
        return Layout((place,)).padded(flat, place.name)
