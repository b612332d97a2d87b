"""The same point of parameter space, tangent or covector in the coordinates of a re-charted network."""

from collections.abc import Callable
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine_coordinates import AffineCoordinates
from manifoldnet.compiler.layout import Covector, Layout, Parameters, Tangent
from manifoldnet.compiler.lowering import Lowered, lower
from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError

Vector = Parameters | Tangent | Covector


def transport(vector: Vector, net: Network, other: Network, at: Parameters | None = None) -> Vector:
    """The coordinates, in `other`, of a point of parameter space given in those of `net`.

    `other` is `net` in other charts. Tangents and covectors are transported too; where parameters live on
    curved manifolds or in charts that are not affine that takes the point `at` (in `net`) where they are.
    Raises DeclarationError if the networks differ in more than charts.
    """
    before, after = net.snapshot(), other.snapshot()
    _check_same(before, after)
    moves = _Moves(before, after, lower(before), lower(after))
    if isinstance(vector, Parameters):
        return Parameters(moves.points(vector.flat), layout=moves.after.stored)
    if isinstance(vector, Tangent):
        return Tangent(moves.linear(vector.flat, at, covector=False), layout=moves.after.tangents)
    if isinstance(vector, Covector):
        return Covector(moves.linear(vector.flat, at, covector=True), layout=moves.after.tangents)
    raise TypeError(f"transport takes Parameters, a Tangent or a Covector, received {type(vector).__name__}")


def _check_same(before: Declaration, after: Declaration) -> None:
    pairs = zip(before.layers, after.layers, strict=False)
    if len(before.layers) != len(after.layers) or not all(_same(a, b) for a, b in pairs):
        raise DeclarationError(
            f"networks {before.name!r} and {after.name!r} differ in more than charts, so no point of one is a point of "
            "the other: transport goes between a network and net.with_charts(...) of it"
        )


def _same(a: Layer, b: Layer) -> bool:
    if (a.name, a.size, a.manifold, len(a.edges)) != (b.name, b.size, b.manifold, len(b.edges)) or a.map is not b.map:
        return False
    pairs = zip(a.edges, b.edges, strict=True)
    return all(x.parent == y.parent and numpy.array_equal(x.mask, y.mask) for x, y in pairs)


@final
@attrs.frozen(eq=False)
class _Moves:
    """Layer by layer, through reference coordinates, from one network's to the other's."""

    declared: Declaration
    redeclared: Declaration
    before: Lowered
    after: Lowered

    def points(self, flat: NDArray) -> NDArray:
        return _by_layer(flat, self.before.stored, self.after.stored, self._point)

    def linear(self, flat: NDArray, at: Parameters | None, covector: bool) -> NDArray:
        """A tangent or covector at the point `at`."""

        def move(name: str, part: NDArray) -> NDArray:
            return self._linear(name, part, at, covector)

        return _by_layer(flat, self.before.tangents, self.after.tangents, move)

    def _point(self, name: str, part: NDArray) -> NDArray:
        """The stored numbers (units, width) of one layer."""
        if self._is_affine(name):
            reference = self._coordinates(self.declared, self.before, name).to_reference(part)
            return self._coordinates(self.redeclared, self.after, name).from_reference(reference)
        if name not in self.before.parameter_spaces:
            return part
        other = self.after.parameter_spaces[name]
        points = self.before.parameter_spaces[name].points(part)
        return other.store(points.reshape(len(points), *other.manifold.shape))

    def _linear(self, name: str, part: NDArray, at: Parameters | None, covector: bool) -> NDArray:
        here = None if at is None else _part(at.flat, self.before.stored, name)
        if self._is_affine(name):
            source, target = (
                self._coordinates(self.declared, self.before, name),
                self._coordinates(self.redeclared, self.after, name),
            )
            there = None if here is None else self._point(name, here)
            if covector:
                return target.covector_from_reference(source.covector_to_reference(part, here), there)
            return target.tangent_from_reference(source.tangent_to_reference(part, here), there)
        if name not in self.before.parameter_spaces:
            return part
        if here is None:
            raise TypeError(f"tangents and covectors of {name!r} are transported at a point: give at=theta")
        return self._through_frames(name, part, here, covector)

    def _through_frames(self, name: str, part: NDArray, here: NDArray, covector: bool) -> NDArray:
        source, target = self.before.parameter_spaces[name], self.after.parameter_spaces[name]
        there = self._point(name, here)
        if covector:
            matrix = _product(source.coframe(here), target.frame(there))
            return part if matrix is None else (part[..., None, :] @ matrix)[..., 0, :]
        matrix = _product(target.coframe(there), source.frame(here))
        return part if matrix is None else (matrix @ part[..., None])[..., 0]

    def _is_affine(self, name: str) -> bool:
        return any(layer.name == name and isinstance(layer.map, Affine) for layer in self.declared.layers)

    @staticmethod
    def _coordinates(declaration: Declaration, lowered: Lowered, name: str) -> AffineCoordinates:
        return AffineCoordinates(declaration.layer(name), lowered.spaces)


def _by_layer(flat: NDArray, source: Layout, target: Layout, move: Callable[[str, NDArray], NDArray]) -> NDArray:
    moved = numpy.zeros(target.size)
    for place in source:
        there = target[place.name]
        found = move(place.name, _part(flat, source, place.name))
        moved[there.offset : there.stop] = found[there.mask] if found.shape == there.mask.shape else found.reshape(-1)
    return moved


def _part(flat: NDArray, layout: Layout, name: str) -> NDArray:
    return layout.padded(flat, name)


def _product(coframe: NDArray | None, frame: NDArray | None) -> NDArray | None:
    """coframe @ frame, where None stands for the identity."""
    if coframe is None or frame is None:
        return frame if coframe is None else coframe
    return coframe @ frame
