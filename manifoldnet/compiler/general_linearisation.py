"""A general stage at one point: derivatives from its tape."""

from typing import TYPE_CHECKING, Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.once import once
from manifoldnet.compiler.rates import IDENTITY, Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.stage import Contribution, Linearisation, Points, Reading
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.units import Units
from manifoldnet.numpy.derivatives import Traced
from manifoldnet.numpy.products import rows_times

if TYPE_CHECKING:
    from manifoldnet.compiler.general import GeneralStage, WiredParent


@final
@attrs.frozen(eq=False, slots=False)
class GeneralLinearisation(Linearisation):
    """A general stage at one point; inner coordinates are the outer ones."""

    to_inner = IDENTITY

    stage: "GeneralStage"
    points: NDArray
    theta: NDArray
    parents: Points
    traced: Traced

    @once
    def _derivatives(self) -> tuple[NDArray, tuple[NDArray, ...]]:
        # only asked for by a backward pass: a rejected step never pays for it
        return self.stage.derivatives(self.theta, self.parents, self.points, self.traced)

    @property
    def by_parameter(self) -> NDArray:
        return self._derivatives[0]

    @property
    def by_parents(self) -> tuple[NDArray, ...]:
        return self._derivatives[1]

    def read(self, scale: Scale, outer: bool) -> Reading | None:
        found = value_scales(self.points, self.stage.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        if self.stage.space.is_trivial:
            return Reading(z, on_points)
        return Reading(z, on_points.after(Rate(self.stage.space.frame(self.points), False)))

    def push(self, tangent: NDArray, parents: Points, weights: tuple[Any, NDArray] | None = None) -> NDArray:
        moved = (self.by_parameter @ tangent[..., None])[..., 0]
        for parent, derivative in zip(self.stage.computed_parents, self.by_parents, strict=True):
            if parent.layer in parents:
                read = parents[parent.layer][:, parent.units]
                moved = moved + numpy.einsum("sudmj,sumj->sud", derivative, read, optimize=True)
        return moved

    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        found = []
        for parent, derivative in zip(self.stage.computed_parents, self.by_parents, strict=True):
            flat = derivative.reshape(*derivative.shape[:3], -1)
            values = _rows_times_matrices(inner, flat).reshape(*inner.shape[:3], *derivative.shape[3:])
            found.append(self._scattered(parent, values))
        return found

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        found = []
        for read in self.stage.read_layers:
            # what reaches a unit over several edges is added before squaring
            values, parent = _congruences(read.joined(self.by_parents), inner), read.parent
            contribution = self._scattered(parent, values.reshape(1, *values.shape[:3], -1))
            dim = parent.space.dim
            shaped = contribution.values[0].reshape(len(values), parent.layer_size, dim, dim)
            found.append(contribution._replace(values=shaped))
        return found

    @staticmethod
    def _scattered(parent: "WiredParent", values: NDArray) -> Contribution:
        """Sum what every reader of a unit sends back: (k, samples, units, m, n) to (k, samples, layer, n)."""
        k, samples, units, m, n = values.shape
        # sums over readers as a product with a sparse matrix: each row has one reader
        flat = values.transpose(2, 3, 0, 1, 4).reshape(units * m, -1)
        total = (parent.readers @ flat).reshape(parent.layer_size, k, samples, n)
        return Contribution(parent.layer, None, total.transpose(1, 2, 0, 3))

    def gradient(self, inner: NDArray) -> NDArray:
        if inner.shape[2] == 1:
            return _weighted_sums(inner[..., 0], self.by_parameter[:, :, 0])
        return numpy.einsum("sud,sudp->up", inner, self.by_parameter)

    def rows(self, inner: NDArray) -> NDArray:
        return _rows_times_matrices(inner, self.by_parameter)

    def block(self, modulus: NDArray) -> NDArray:
        samples, units, dim, width = self.by_parameter.shape
        product = _weighted(modulus, self.by_parameter)
        weighted = product.transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        plain = self.by_parameter.transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        return plain.swapaxes(1, 2) @ weighted

    def quasi(self, modulus: NDArray) -> Entries | NDArray:
        group = self.stage.group
        if isinstance(group, Units) and group.is_scalar:
            return self._scalar_entries(group, modulus[:, :, 0, 0])
        block = self.block(modulus)
        return entries_of_blocks(group, block) if isinstance(group, Units) else block

    def _scalar_entries(self, group: Units, modulus: NDArray) -> Entries:
        """A_00, A_0i and A_ii alone, where pre-activations and parents have one dimension."""
        rows = self.by_parameter[:, :, 0]
        first = _weighted_sums(modulus * rows[..., 0], rows)
        own = numpy.einsum("sup,sup->up", rows_times(modulus[..., None], rows), rows)
        _, cross = group.split(first)
        _, squares = group.split(own)
        return Entries(own[:, :1, None], [part[:, :, None] for part in cross], [part[..., None] for part in squares])

    def diagonal(self, modulus: NDArray) -> NDArray:
        return numpy.einsum("sudp,sudp->up", _weighted(modulus, self.by_parameter), self.by_parameter)


def _rows_times_matrices(rows: NDArray, matrices: NDArray) -> NDArray:
    """b^T D for rows (k, samples, units, dim) and matrices (samples, units, dim, n)."""
    if rows.shape[3] == 1:
        return rows_times(rows, matrices[:, :, 0]) if len(rows) == 1 else rows * matrices[:, :, 0]
    return (rows[..., None, :] @ matrices)[..., 0, :]


def _weighted(modulus: NDArray, matrices: NDArray) -> NDArray:
    """m D for moduli (samples, units, dim, dim) and matrices (samples, units, dim, n)."""
    return rows_times(modulus, matrices) if modulus.shape[3] == 1 else modulus @ matrices


def _weighted_sums(weights: NDArray, rows: NDArray) -> NDArray:
    """The sums over samples of rows (samples, units, n), weighted by (samples, units); unit by unit, rows times matrices."""
    return (weights.T[:, None] @ rows.swapaxes(0, 1))[:, 0]


def _congruences(derivatives: NDArray, modulus: NDArray) -> NDArray:
    """D^T m D of each parent unit, (samples, units, m, n, n), for D (samples, units, dim, m, n)."""
    dim, n = derivatives.shape[2], derivatives.shape[4]
    if dim == n == 1:
        return rows_times(modulus[..., 0], derivatives[:, :, 0, :, 0] ** 2)[..., None, None]
    by_parent = derivatives.transpose(0, 1, 3, 2, 4)
    return by_parent.swapaxes(-1, -2) @ modulus[:, :, None] @ by_parent
