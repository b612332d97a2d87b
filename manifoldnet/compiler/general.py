"""The general stage: any differentiable function of points, linearised by automatic differentiation."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, final

import attrs
import numpy
import scipy.sparse
from numpy.typing import NDArray

from manifoldnet.compiler.general_linearisation import GeneralLinearisation
from manifoldnet.compiler.spaces import ActivitySpace, ParameterSpace
from manifoldnet.compiler.stage import Points, Slot, Stage
from manifoldnet.linalg.units import Units, Whole
from manifoldnet.numpy.derivatives import Traced

# where the parameters that a unit does not have stand
_ZERO = numpy.zeros(1)


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
class ReadLayer:
    """All edges from one layer: those with the numbers `edges` among the computed parents, side by side as one `parent`.

    `merge` (units, m, m) sums what is read again with what was read first; None where no unit reads another twice.
    """

    parent: WiredParent
    edges: tuple[int, ...]
    merge: NDArray | None

    def joined(self, parts: Sequence[NDArray]) -> NDArray:
        """Derivatives by each edge (samples, units, dim, m, n) as derivatives by each unit that is read."""
        chosen = [parts[number] for number in self.edges]
        derivatives = chosen[0] if len(chosen) == 1 else numpy.concatenate(chosen, axis=3)
        if self.merge is None:
            return derivatives
        return numpy.einsum("sudmj,umn->sudnj", derivatives, self.merge, optimize=True)


def _read_layer(parents: Sequence[WiredParent], edges: tuple[int, ...]) -> ReadLayer:
    units = numpy.concatenate([parents[number].units for number in edges], axis=1)
    first = (units[:, :, None] == units[:, None, :]).argmax(axis=2)
    places = numpy.arange(units.shape[1])
    merge = None if (first == places).all() else (first[:, :, None] == places).astype(numpy.float64)
    return ReadLayer(attrs.evolve(parents[edges[0]], units=units), edges, merge)


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
    def computed_parents(self) -> tuple[WiredParent, ...]:
        """Those that are no inputs: derivatives are taken by them."""
        return tuple(parent for parent in self.parents if not parent.space.is_input)

    @cached_property
    def read_layers(self) -> tuple[ReadLayer, ...]:
        """The computed parents once more, those of one layer together."""
        parents = self.computed_parents
        return tuple(
            _read_layer(parents, tuple(number for number, parent in enumerate(parents) if parent.layer == name))
            for name in dict.fromkeys(parent.layer for parent in parents)
        )

    @cached_property
    def _wanted(self) -> list[bool]:
        """By which arguments derivatives are taken."""
        return [True] * self.passes_parameter + [not parent.space.is_input for parent in self.parents]

    @cached_property
    def _parameter_size(self) -> int:
        return int(numpy.prod(self.parameter_shape))

    @cached_property
    def _is_padded(self) -> bool:
        return self.group is not None and self.group.mask is not None

    def _points(self, theta: NDArray) -> NDArray:
        stored = (numpy.concatenate((theta, _ZERO)) if self._is_padded else theta).take(self.stored)
        return stored if self.parameters is None else self.parameters.points(stored)

    def _arguments(self, theta: NDArray, points: Points) -> list[NDArray]:
        """Parameter and wired parents of every unit on every sample, (samples, units, ...); the parameter as a view."""
        samples = len(points[self.parents[0].layer])
        found = []
        if self.passes_parameter:
            parameter = self._points(theta).reshape(self.units, *self.parameter_shape)
            found.append(_repeated(parameter, samples))
        for parent in self.parents:
            # much faster than by an index in brackets
            part = points[parent.layer].take(parent.units, axis=1)
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
    ) -> GeneralLinearisation:
        arguments = self._arguments(theta, points)
        traced = Traced(self.function, arguments, 2, len(self.space.manifold.shape), self._wanted)
        activity = numpy.asarray(traced.value).reshape(len(arguments[0]), self.units, self.space.size)
        return GeneralLinearisation(self, activity, theta, points, traced)

    def derivatives(
        self, theta: NDArray, points: Points, activity: NDArray, traced: Traced
    ) -> tuple[NDArray, tuple[NDArray, ...]]:
        """d coordinates/d parameter (samples, units, dim, p) and d coordinates/d computed parents' coordinates."""
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
        """d coordinates/d computed parents' coordinates, each (samples, units, dim, m, parent dim)."""
        found = []
        for parent, part in zip(self.computed_parents, parts, strict=True):
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


def _repeated(parameter: NDArray, samples: int) -> NDArray:
    """The same for every sample, as `numpy.broadcast_to` gives it, which on small arrays takes longer than the stage's sums."""
    parameter = numpy.ascontiguousarray(parameter)
    view = numpy.ndarray((samples, *parameter.shape), parameter.dtype, parameter, 0, (0, *parameter.strides))
    view.flags.writeable = False
    return view
