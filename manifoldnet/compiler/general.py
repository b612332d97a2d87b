"""The general stage: any differentiable function of points, linearised by automatic differentiation."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, final

import attrs
import numpy
import scipy.sparse
from numpy.typing import NDArray

from manifoldnet.compiler.rates import IDENTITY, Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.spaces import ActivitySpace, ParameterSpace
from manifoldnet.compiler.stage import Contribution, Linearisation, Points, Reading, Slot, Stage
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.numpy.derivatives import Traced


@final
@attrs.frozen(eq=False, slots=False)
class WiredParent:
    """One edge: each unit reads `units` (units, m) of a parent layer."""

    layer: str
    units: NDArray[numpy.int_]
    space: ActivitySpace
    layer_size: int

    @cached_property
    def width(self) -> int:
        return self.units.shape[1] * self.space.size

    @cached_property
    def readers(self) -> scipy.sparse.csr_array:
        """Which readings (units * m) are of which unit of the layer, (layer units, readings)."""
        places = self.units.reshape(-1)
        ones = numpy.ones(len(places))
        return scipy.sparse.csr_array((ones, (places, numpy.arange(len(places)))), (self.layer_size, len(places)))


@final
@attrs.frozen(eq=False, slots=False)
class GeneralStage(Stage):
    """Units that share a function; `stored` (units, n) says where their parameters stand in the flat vector."""

    slots: tuple[Slot, ...]
    group: Units | Whole | None
    function: Callable[..., NDArray]
    space: ActivitySpace
    parents: tuple[WiredParent, ...]
    parameters: ParameterSpace | None
    parameter_shape: tuple[int, ...]
    passes_parameter: bool
    stored: NDArray[numpy.int_]
    label: str
    may_leave: bool

    @property
    def inner_dim(self) -> int:  # type: ignore[override]
        return self.space.dim

    @property
    def parent_layers(self) -> tuple[str, ...]:
        return tuple(parent.layer for parent in self.parents)

    @cached_property
    def _parameter_size(self) -> int:
        return int(numpy.prod(self.parameter_shape))

    @cached_property
    def _is_padded(self) -> bool:
        return self.group is not None and self.group.mask is not None

    def _points(self, theta: NDArray) -> NDArray:
        stored = numpy.append(theta, 0.0)[self.stored] if self._is_padded else theta[self.stored]
        return stored if self.parameters is None else self.parameters.points(stored)

    def _arguments(self, theta: NDArray, points: Points) -> list[NDArray]:
        """Parameter and wired parents of every unit on every sample, (samples, units, ...); the parameter as a view."""
        samples = len(points[self.parents[0].layer])
        found = []
        if self.passes_parameter:
            parameter = self._points(theta).reshape(self.units, *self.parameter_shape)
            found.append(numpy.broadcast_to(parameter, (samples, *parameter.shape)))
        for parent in self.parents:
            part = points[parent.layer][:, parent.units]
            found.append(part.reshape(*part.shape[:3], *parent.space.manifold.shape))
        return found

    def apply(self, joint: NDArray) -> NDArray:
        """The user's function on the parts of `joint` (..., total)."""
        lead = joint.shape[:-1]
        arguments, start = [], 0
        if self.passes_parameter:
            arguments.append(joint[..., : self._parameter_size].reshape(*lead, *self.parameter_shape))
        start = self._parameter_size
        for parent in self.parents:
            part = joint[..., start : start + parent.width]
            arguments.append(part.reshape(*lead, parent.units.shape[1], *parent.space.manifold.shape))
            start += parent.width
        return self.function(*arguments)

    def linearise(
        self, theta: NDArray, points: Points, weights: tuple[Any, NDArray] | None = None
    ) -> "GeneralLinearisation":
        arguments = self._arguments(theta, points)
        traced = Traced(self.function, arguments, 2, len(self.space.manifold.shape))
        activity = numpy.asarray(traced.value).reshape(len(arguments[0]), self.units, self.space.size)
        return GeneralLinearisation(self, activity, theta, points, traced)

    def derivatives(
        self, theta: NDArray, points: Points, activity: NDArray, traced: Traced
    ) -> tuple[NDArray, tuple[NDArray, ...]]:
        """d coordinates/d parameter (samples, units, dim, p) and d coordinates/d parents' coordinates."""
        by_argument = traced.jacobians()
        if not self.space.is_trivial:
            coframe = self.space.coframe(activity)
            by_argument = [coframe @ part for part in by_argument]
        by_parents = self._by_parents(by_argument[int(self.passes_parameter) :], points)
        if not self.passes_parameter:
            return numpy.zeros((*activity.shape[:2], self.space.dim, 0)), by_parents
        by_parameter = by_argument[0]
        frame = None if self.parameters is None else self.parameters.frame(theta[self.stored])
        return by_parameter if frame is None else by_parameter @ frame, by_parents

    def _by_parents(self, parts: Sequence[NDArray], points: Points) -> tuple[NDArray, ...]:
        """d coordinates/d parents' coordinates, each (samples, units, dim, m, parent dim)."""
        found = []
        for parent, part in zip(self.parents, parts, strict=True):
            shaped = part.reshape(*part.shape[:3], parent.units.shape[1], parent.space.size)
            if not parent.space.is_trivial:
                frame = parent.space.frame(points[parent.layer])[:, parent.units]
                shaped = numpy.einsum("sudmi,sumij->sudmj", shaped, frame, optimize=True)
            found.append(shaped)
        return tuple(found)

    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        return None if self.parameters is None else self.parameters.riemannian(theta[self.stored])

    def bytes_per_sample(self) -> int:
        total = self._parameter_size + sum(parent.width for parent in self.parents)
        # the arguments, what reverse passes keep of a function of a few operations, and the Jacobian in two frames
        return 8 * self.units * total * (2 + 2 * self.space.size)

    def pull_bytes_per_sample(self) -> int:
        # the products with the derivatives, and once more in the order in which readers are summed
        read = sum(parent.units.shape[1] * parent.space.dim for parent in self.parents)
        return 8 * self.units * (self.space.dim + 3 * read)

    def block_bytes_per_sample(self) -> int:
        return 2 * 8 * self.units * self.space.dim * self.stored.shape[1]

    def describe(self) -> str:
        return f"general ({self.label}), automatic differentiation, {self.units} units{self._hint}"

    @property
    def _hint(self) -> str:
        """What would serve better, where the function is known to be phi(affine)."""
        if not isinstance(self.group, Units):
            return ""
        return "; in closed form (lowering auto) it takes a fraction of the time and memory"


@final
@attrs.frozen(eq=False, slots=False)
class GeneralLinearisation(Linearisation):
    """A general stage at one point; inner coordinates are the outer ones."""

    to_inner = IDENTITY

    stage: GeneralStage
    points: NDArray
    theta: NDArray
    parents: Points
    traced: Traced

    @cached_property
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
        for parent, derivative in zip(self.stage.parents, self.by_parents, strict=True):
            if parent.layer in parents:
                read = parents[parent.layer][:, parent.units]
                moved = moved + numpy.einsum("sudmj,sumj->sud", derivative, read, optimize=True)
        return moved

    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        found = []
        for parent, derivative in zip(self.stage.parents, self.by_parents, strict=True):
            if inner.shape[3] == 1:
                values = inner[..., None] * derivative[:, :, 0]
            else:
                flat = derivative.reshape(*derivative.shape[:3], -1)
                values = (inner[..., None, :] @ flat).reshape(*inner.shape[:3], *derivative.shape[3:])
            found.append(self._scattered(parent, values))
        return found

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        found = []
        for parent, d in self._by_parent_layers():
            values = _congruences(d, inner)
            contribution = self._scattered(parent, values.reshape(1, *values.shape[:3], -1))
            dim = parent.space.dim
            shaped = contribution.values[0].reshape(len(values), parent.layer_size, dim, dim)
            found.append(contribution._replace(values=shaped))
        return found

    def _by_parent_layers(self) -> list[tuple[WiredParent, NDArray]]:
        """d coordinates/d each parent unit: what reaches a unit over several edges is added before squaring."""
        found = []
        for name in dict.fromkeys(self.stage.parent_layers):
            edges = [(p, d) for p, d in zip(self.stage.parents, self.by_parents, strict=True) if p.layer == name]
            parent = attrs.evolve(edges[0][0], units=numpy.concatenate([p.units for p, _ in edges], axis=1))
            found.append((parent, _merged(parent.units, numpy.concatenate([d for _, d in edges], axis=3))))
        return found

    @staticmethod
    def _scattered(parent: WiredParent, values: NDArray) -> Contribution:
        """Sum what every reader of a unit sends back: (k, samples, units, m, n) to (k, samples, layer, n)."""
        k, samples, units, m, n = values.shape
        # sums over readers as a product with a sparse matrix: each row has one reader
        flat = values.transpose(2, 3, 0, 1, 4).reshape(units * m, -1)
        total = (parent.readers @ flat).reshape(parent.layer_size, k, samples, n)
        return Contribution(parent.layer, None, total.transpose(1, 2, 0, 3))

    def gradient(self, inner: NDArray) -> NDArray:
        if inner.shape[2] == 1:
            return numpy.einsum("su,sup->up", inner[..., 0], self.by_parameter[:, :, 0])
        return numpy.einsum("sud,sudp->up", inner, self.by_parameter)

    def rows(self, inner: NDArray) -> NDArray:
        return (inner[..., None, :] @ self.by_parameter)[..., 0, :]

    def block(self, modulus: NDArray) -> NDArray:
        samples, units, dim, width = self.by_parameter.shape
        weighted = (modulus @ self.by_parameter).transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
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
        first = numpy.einsum("su,sup->up", modulus * rows[..., 0], rows)
        own = numpy.einsum("sup,sup->up", modulus[..., None] * rows, rows)
        _, cross = group.split(first)
        _, squares = group.split(own)
        return Entries(own[:, :1, None], [part[:, :, None] for part in cross], [part[..., None] for part in squares])

    def diagonal(self, modulus: NDArray) -> NDArray:
        return numpy.einsum("sudp,sudp->up", modulus @ self.by_parameter, self.by_parameter)


def _congruences(derivatives: NDArray, modulus: NDArray) -> NDArray:
    """D^T m D of each parent unit, (samples, units, m, n, n), for D (samples, units, dim, m, n)."""
    dim, n = derivatives.shape[2], derivatives.shape[4]
    if dim == n == 1:
        return (modulus[..., 0] * derivatives[:, :, 0, :, 0] ** 2)[..., None, None]
    by_parent = derivatives.transpose(0, 1, 3, 2, 4)
    return by_parent.swapaxes(-1, -2) @ modulus[:, :, None] @ by_parent


def _merged(units: NDArray[numpy.int_], derivatives: NDArray) -> NDArray:
    """Derivatives (samples, units, dim, m, n) by the read `units` (units, m), summed where a unit is read again."""
    first = (units[:, :, None] == units[:, None, :]).argmax(axis=2)
    places = numpy.arange(units.shape[1])
    if (first == places).all():
        return derivatives
    merge = (first[:, :, None] == places).astype(numpy.float64)
    return numpy.einsum("sudmj,umn->sudnj", derivatives, merge, optimize=True)
