"""General stages: any differentiable function of points, by JAX's reverse mode."""

from collections.abc import Callable
from typing import Any, final

import attrs
import jax.numpy as jnp
import numpy

from manifoldnet.compiler.backends.jax.spaces import Space, space_arrays, space_of
from manifoldnet.compiler.backends.jax.stage import Contribution, Points, SlotShape, StageAt, StageShape, slots_of
from manifoldnet.compiler.general import GeneralStage
from manifoldnet.compiler.rates import Rate
from manifoldnet.compiler.readings import value_scales
from manifoldnet.compiler.spaces import ParameterSpace, StoredCoordinates
from manifoldnet.compiler.stage import Reading
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.linalg.units import Units
from manifoldnet.numpy.derivatives import jacobian

Array = Any


@final
@attrs.frozen
class Wired:
    """One edge: each unit reads `count` units of a parent layer."""

    layer: str
    count: int
    space: Space
    layer_size: int

    @property
    def width(self) -> int:
        return self.count * self.space.size


@final
@attrs.frozen
class Parameter:
    """What stored numbers mean: points of a manifold, or coordinates in a chart."""

    manifold: Manifold
    chart: Chart | None

    def points(self, stored: Array) -> Array:
        if self.chart is None:
            return stored
        return jnp.asarray(self.chart.to_point(stored)).reshape(len(stored), self.manifold.size)

    def frame(self, stored: Array) -> Array | None:
        """d point/d tangent, (units, size, dim), or None for the identity."""
        if self.chart is None:
            return None if self.manifold.frame_is_identity else self.manifold.frame(self.shaped(stored))
        if self.chart.is_identity and self.manifold.frame_is_identity:
            return None
        return self.chart.frame(self.chart.to_point(stored))

    def step(self, stored: Array, tangent: Array) -> Array:
        if self.chart is not None:
            return stored + tangent
        return jnp.asarray(self.manifold.retract(self.shaped(stored), tangent)).reshape(stored.shape)

    def shaped(self, stored: Array) -> Array:
        return stored.reshape(len(stored), *self.manifold.shape)


@final
@attrs.frozen(cache_hash=True)
class GeneralShape(StageShape):
    """Units that share a function; `affine_blocks` are the (parents, k) of their parameters' blocks if it is affine."""

    slots: tuple[SlotShape, ...]
    units: int
    function: Callable[..., Array]
    space: Space
    parents: tuple[Wired, ...]
    parameter: Parameter | None
    parameter_shape: tuple[int, ...]
    passes_parameter: bool
    affine_blocks: tuple[tuple[int, int], ...] | None
    may_leave: bool
    has_parameters: bool

    @property
    def inner_dim(self) -> int:
        return self.space.dim

    @property
    def parent_layers(self) -> tuple[str, ...]:
        return tuple(parent.layer for parent in self.parents)

    @property
    def parameter_size(self) -> int:
        return int(numpy.prod(self.parameter_shape))

    def linearise(self, numbers: dict, theta: Array, points: Points) -> "GeneralAt":
        samples = len(points[self.parents[0].layer])
        stored = theta if self.parameter is None else self.parameter.points(theta)
        parts = [jnp.broadcast_to(stored, (samples, *stored.shape))]
        for parent, own in zip(self.parents, numbers["parents"], strict=True):
            parts.append(points[parent.layer][:, own["units"]].reshape(samples, self.units, -1))
        joint = jnp.concatenate(parts, axis=2)
        activity = jnp.asarray(self.apply(joint)).reshape(samples, self.units, self.space.size)
        return GeneralAt(self, numbers, theta, points, joint, activity)

    def apply(self, joint: Array) -> Array:
        """The user's function on the parts of `joint` (..., total)."""
        lead, arguments, start = joint.shape[:-1], [], self.parameter_size
        if self.passes_parameter:
            arguments.append(joint[..., :start].reshape(*lead, *self.parameter_shape))
        for parent in self.parents:
            part = joint[..., start : start + parent.width]
            arguments.append(part.reshape(*lead, parent.count, *parent.space.manifold.shape))
            start += parent.width
        return self.function(*arguments)


@final
@attrs.define(eq=False)
class GeneralAt(StageAt):
    """A general stage at one point; inner coordinates are the outer ones."""

    shape: GeneralShape
    numbers: dict
    theta: Array
    parents: Points
    joint: Array
    points: Array
    _found: Any = None

    @property
    def _derivatives(self) -> tuple[Array, tuple[Array, ...]]:
        """d coordinates/d parameter (samples, units, dim, p) and d coordinates/d parents' coordinates."""
        if self._found is None:
            shape = self.shape
            ambient = jacobian(shape.apply, self.joint, 1, len(shape.space.manifold.shape))
            ambient = ambient.reshape(*self.joint.shape[:2], shape.space.size, self.joint.shape[2])
            outer = ambient
            if not shape.space.is_trivial:
                outer = shape.space.coframe(self.numbers["space"], self.points) @ ambient
            by_parameter = outer[..., : shape.parameter_size]
            frame = None if shape.parameter is None else shape.parameter.frame(self.theta)
            self._found = (by_parameter if frame is None else by_parameter @ frame, self._by_parents(outer))
        return self._found

    def _by_parents(self, outer: Array) -> tuple[Array, ...]:
        found, start = [], self.shape.parameter_size
        for parent, own in zip(self.shape.parents, self.numbers["parents"], strict=True):
            part = outer[..., start : start + parent.width]
            part = part.reshape(*outer.shape[:3], parent.count, parent.space.size)
            if not parent.space.is_trivial:
                frame = parent.space.frame(own["space"], self.parents[parent.layer])
                frame = frame if frame.ndim == 2 else frame[:, own["units"]]
                part = (part.swapaxes(2, 3) @ frame).swapaxes(2, 3)
            found.append(part)
            start += parent.width
        return tuple(found)

    def to_inner(self) -> Rate:
        return Rate(numpy.ones((1, 1, 1)), True)

    def read(self, scale: Scale) -> Reading | None:
        found = value_scales(self.points, self.shape.space.manifold, scale)
        if found is None:
            return None
        z, on_points = found
        if self.shape.space.is_trivial:
            return Reading(z, on_points)
        frame = self.shape.space.frame(self.numbers["space"], self.points)
        return Reading(z, on_points.after(Rate(frame if frame.ndim > 2 else frame[None, None], False)))

    def push(self, tangent: Array, moving: Points) -> Array:
        by_parameter, by_parents = self._derivatives
        moved = (by_parameter @ tangent[..., None])[..., 0] if tangent.shape[1] else jnp.zeros(by_parameter.shape[:3])
        for parent, own, derivative in zip(self.shape.parents, self.numbers["parents"], by_parents, strict=True):
            if parent.layer in moving:
                read = moving[parent.layer][:, own["units"]]
                moved = moved + jnp.einsum("sudmj,sumj->sud", derivative, read)
        return moved

    def pull_covectors(self, inner: Array) -> list[Contribution]:
        found = []
        for parent, own, d in zip(self.shape.parents, self.numbers["parents"], self._derivatives[1], strict=True):
            values = jnp.einsum("ksud,sudmj->ksumj", inner, d)
            total = jnp.zeros((*values.shape[:2], parent.layer_size, values.shape[4]))
            found.append(Contribution(parent.layer, None, total.at[:, :, own["units"]].add(values)))
        return found

    def pull_moduli(self, inner: Array) -> list[Contribution]:
        found = []
        for name in dict.fromkeys(self.shape.parent_layers):
            edges = [
                (parent, own["units"], d)
                for parent, own, d in zip(
                    self.shape.parents, self.numbers["parents"], self._derivatives[1], strict=True
                )
                if parent.layer == name
            ]
            units = jnp.concatenate([units for _, units, _ in edges], axis=1)
            merged = _merged(units, jnp.concatenate([d for _, _, d in edges], axis=3))
            values = jnp.einsum("sudmi,sudmj->sumij", jnp.einsum("sude,suemi->sudmi", inner, merged), merged)
            total = jnp.zeros((len(values), edges[0][0].layer_size, *values.shape[3:]))
            found.append(Contribution(name, None, total.at[:, units].add(values)))
        return found

    def gradient(self, inner: Array) -> Array:
        return jnp.einsum("sud,sudp->up", inner, self._derivatives[0])

    def rows(self, inner: Array) -> Array:
        return (inner[..., None, :] @ self._derivatives[0])[..., 0, :]

    def block(self, modulus: Array) -> Array:
        by_parameter = self._derivatives[0]
        samples, units, dim, width = by_parameter.shape
        weighted = (modulus @ by_parameter).transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        plain = by_parameter.transpose(1, 0, 2, 3).reshape(units, samples * dim, width)
        return plain.swapaxes(1, 2) @ weighted

    def quasi(self, modulus: Array) -> Any:
        block, blocks = self.block(modulus), self.shape.affine_blocks
        return block if blocks is None else entries_kept(block, self.shape.inner_dim, blocks)

    def diagonal(self, modulus: Array) -> Array:
        by_parameter = self._derivatives[0]
        return jnp.einsum("sudp,sudp->up", modulus @ by_parameter, by_parameter)


def entries_kept(block: Array, q: int, blocks: tuple[tuple[int, int], ...]) -> tuple[Array, tuple, tuple]:
    """(A_00, A_0i..., A_ii...) of full blocks (units, width, width); `blocks` are (parents, k)."""
    cross, own, start, units = [], [], q, len(block)
    for parents, k in blocks:
        stop = start + parents * k
        cross.append(block[:, :q, start:stop].reshape(units, q, parents, k).transpose(0, 2, 1, 3))
        square = block[:, start:stop, start:stop].reshape(units, parents, k, parents, k)
        own.append(jnp.moveaxis(jnp.diagonal(square, axis1=1, axis2=3), -1, 1))
        start = stop
    return block[:, :q, :q], tuple(cross), tuple(own)


def _merged(units: Array, derivatives: Array) -> Array:
    """Derivatives (samples, units, dim, m, n) by the read `units` (units, m), summed where a unit is read again."""
    first = (units[:, :, None] == units[:, None, :]).argmax(axis=2)
    merge = (first[:, :, None] == jnp.arange(units.shape[1])).astype(derivatives.dtype)
    return jnp.einsum("sudmj,umn->sudnj", derivatives, merge)


def general_shape(stage: GeneralStage, sizes: dict[str, int]) -> GeneralShape:
    """The static part of a general stage."""
    blocks = None
    if isinstance(stage.group, Units):
        blocks = tuple(part.shape[1:] for part in stage.group.parents)
    return GeneralShape(
        slots=slots_of(stage.slots, sizes),
        units=stage.units,
        function=stage.function,
        space=space_of(stage.space),
        parents=tuple(Wired(p.layer, p.units.shape[1], space_of(p.space), p.layer_size) for p in stage.parents),
        parameter=parameter_of(stage.parameters),
        parameter_shape=stage.parameter_shape,
        passes_parameter=stage.passes_parameter,
        affine_blocks=blocks,
        may_leave=stage.may_leave,
        has_parameters=stage.group is not None,
    )


def parameter_of(space: ParameterSpace | None) -> Parameter | None:
    """The static form of a parameter space."""
    if space is None:
        return None
    return Parameter(space.manifold, space.chart if isinstance(space, StoredCoordinates) else None)


def general_arrays(stage: GeneralStage) -> dict[str, Any]:
    """The traced part: wiring, and the numbers of affine charts."""
    return {
        "space": space_arrays(stage.space),
        "parents": [
            {"units": numpy.asarray(p.units, dtype=numpy.int32), "space": space_arrays(p.space)} for p in stage.parents
        ],
    }
