"""The general stage: any differentiable function of points, linearised by automatic differentiation."""

from collections.abc import Callable
from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.spaces import ActivitySpace, ParameterSpace
from manifoldnet.compiler.stage import Contribution, Linearisation, Points, Reading, Slot, Stage
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.linalg.entries import Entries, entries_of_blocks
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.numpy.derivatives import jacobian


@final
@attrs.frozen(eq=False)
class WiredParent:
    """One edge: each unit reads `units` (units, m) of a parent layer."""

    layer: str
    units: NDArray[numpy.int_]
    space: ActivitySpace
    layer_size: int

    @property
    def width(self) -> int:
        return self.units.shape[1] * self.space.size


@final
@attrs.frozen(eq=False)
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

    @property
    def _parameter_size(self) -> int:
        return int(numpy.prod(self.parameter_shape))

    def _points(self, theta: NDArray) -> NDArray:
        stored = theta[self.stored]
        return stored if self.parameters is None else self.parameters.points(stored)

    def _joint(self, theta: NDArray, points: Points) -> NDArray:
        """Parameter and wired parents of every unit on every sample side by side, (samples, units, total)."""
        samples = len(points[self.parents[0].layer])
        parameter = self._points(theta)
        parts = [numpy.broadcast_to(parameter, (samples, *parameter.shape))]
        parts += [points[p.layer][:, p.units].reshape(samples, self.units, -1) for p in self.parents]
        return numpy.concatenate(parts, axis=2)

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
        self, theta: NDArray, points: Points, weights: tuple[NDArray, NDArray] | None = None
    ) -> "GeneralLinearisation":
        joint = self._joint(theta, points)
        activity = numpy.asarray(self.apply(joint)).reshape(len(joint), self.units, self.space.size)
        return GeneralLinearisation(self, activity, theta, points, joint)

    def derivatives(
        self, theta: NDArray, points: Points, joint: NDArray, activity: NDArray
    ) -> tuple[NDArray, tuple[NDArray, ...]]:
        """d coordinates/d parameter (samples, units, dim, p) and d coordinates/d parents' coordinates."""
        ambient = jacobian(self.apply, joint, 1, len(self.space.manifold.shape))
        ambient = ambient.reshape(*joint.shape[:2], self.space.size, joint.shape[2])
        outer = ambient if self.space.is_trivial else self.space.coframe(activity) @ ambient
        by_parameter = outer[..., : self._parameter_size]
        frame = None if self.parameters is None else self.parameters.frame(theta[self.stored])
        if frame is not None:
            by_parameter = by_parameter @ frame
        return by_parameter, self._by_parents(outer, points)

    def _by_parents(self, outer: NDArray, points: Points) -> tuple[NDArray, ...]:
        """d coordinates/d parents' coordinates, each (samples, units, dim, m, parent dim)."""
        found, start = [], self._parameter_size
        for parent in self.parents:
            part = outer[..., start : start + parent.width]
            part = part.reshape(*outer.shape[:3], parent.units.shape[1], parent.space.size)
            if not parent.space.is_trivial:
                frame = parent.space.frame(points[parent.layer])[:, parent.units]
                part = numpy.einsum("sudmi,sumij->sudmj", part, frame, optimize=True)
            found.append(part)
            start += parent.width
        return tuple(found)

    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        return None if self.parameters is None else self.parameters.riemannian(theta[self.stored])

    def bytes_per_sample(self) -> int:
        total = self._parameter_size + sum(parent.width for parent in self.parents)
        # the joint argument, what reverse passes keep of it, and the Jacobian in two frames
        return 8 * self.units * total * (4 + 2 * self.space.size)

    def block_bytes_per_sample(self) -> int:
        return 2 * 8 * self.units * self.space.dim * self.stored.shape[1]

    def describe(self) -> str:
        return f"general ({self.label}), automatic differentiation, {self.units} units"


@final
@attrs.frozen(eq=False, slots=False)
class GeneralLinearisation(Linearisation):
    """A general stage at one point; inner coordinates are the outer ones."""

    stage: GeneralStage
    points: NDArray
    theta: NDArray
    parents: Points
    joint: NDArray

    @cached_property
    def _derivatives(self) -> tuple[NDArray, tuple[NDArray, ...]]:
        # only asked for by a backward pass: a rejected step never pays for it
        return self.stage.derivatives(self.theta, self.parents, self.joint, self.points)

    @property
    def by_parameter(self) -> NDArray:
        return self._derivatives[0]

    @property
    def by_parents(self) -> tuple[NDArray, ...]:
        return self._derivatives[1]

    def to_inner(self) -> Rate:
        return Rate(numpy.ones((1, 1, 1)), True)

    def read(self, scale: Scale, outer: bool) -> Reading | None:
        found = value_scales(self.points, self.stage.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        if self.stage.space.is_trivial:
            return Reading(z, on_points)
        return Reading(z, on_points.after(Rate(self.stage.space.frame(self.points), False)))

    def push(self, tangent: NDArray, parents: Points) -> NDArray:
        moved = (self.by_parameter @ tangent[..., None])[..., 0]
        for parent, derivative in zip(self.stage.parents, self.by_parents, strict=True):
            if parent.layer in parents:
                read = parents[parent.layer][:, parent.units]
                moved = moved + numpy.einsum("sudmj,sumj->sud", derivative, read, optimize=True)
        return moved

    def pull_covectors(self, inner: NDArray) -> list[Contribution]:
        pairs = zip(self.stage.parents, self.by_parents, strict=True)
        return [self._scattered(p, numpy.einsum("ksud,sudmj->ksumj", inner, d, optimize=True)) for p, d in pairs]

    def pull_moduli(self, inner: NDArray) -> list[Contribution]:
        found = []
        for parent, d in self._by_parent_layers():
            values = numpy.einsum("sudmi,sude,suemj->sumij", d, inner, d, optimize=True)
            contribution = self._scattered(parent, values.reshape(1, *values.shape[:3], -1))
            dim = parent.space.dim
            shaped = contribution.values[0].reshape(len(values), parent.layer_size, dim, dim)
            found.append(attrs.evolve(contribution, values=shaped))
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
        total = numpy.zeros((parent.layer_size, k, samples, n))
        numpy.add.at(total, parent.units.reshape(-1), values.reshape(k, samples, units * m, n).transpose(2, 0, 1, 3))
        return Contribution(parent.layer, None, total.transpose(1, 2, 0, 3))

    def gradient(self, inner: NDArray) -> NDArray:
        return numpy.einsum("sud,sudp->up", inner, self.by_parameter, optimize=True)

    def rows(self, inner: NDArray) -> NDArray:
        return (inner[..., None, :] @ self.by_parameter)[..., 0, :]

    def block(self, modulus: NDArray) -> NDArray:
        samples, units, dim, width = self.by_parameter.shape
        weighted = (modulus @ self.by_parameter).transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        plain = self.by_parameter.transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        return plain.swapaxes(1, 2) @ weighted

    def quasi(self, modulus: NDArray) -> Entries | NDArray:
        block = self.block(modulus)
        return entries_of_blocks(self.stage.group, block) if isinstance(self.stage.group, Units) else block

    def diagonal(self, modulus: NDArray) -> NDArray:
        return numpy.einsum("sudp,sude,suep->up", self.by_parameter, modulus, self.by_parameter, optimize=True)


def _merged(units: NDArray[numpy.int_], derivatives: NDArray) -> NDArray:
    """Derivatives (samples, units, dim, m, n) by the read `units` (units, m), summed where a unit is read again."""
    first = (units[:, :, None] == units[:, None, :]).argmax(axis=2)
    places = numpy.arange(units.shape[1])
    if (first == places).all():
        return derivatives
    merge = (first[:, :, None] == places).astype(numpy.float64)
    return numpy.einsum("sudmj,umn->sudnj", derivatives, merge, optimize=True)
