"""Derivatives of functions written with `manifoldnet.numpy`, by autograd, for a whole batch at once."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy
from autograd.core import VJPNode, add_outgrads, vspace
from autograd.tracer import isbox, new_box, trace_stack
from numpy.typing import NDArray

from manifoldnet.errors import MapError
from manifoldnet.numpy.assembly import stack
from manifoldnet.numpy.dispatch import Array, companion, find, is_traced, namespace_of
from manifoldnet.numpy.shapes import ndim, reshape, shape

Function = Callable[[Array], Array]


def make_vjp(function: Function, point: Array) -> tuple[Function, Array]:
    """The value of a function and the map that pulls a covector on it back to its argument.

    Unlike autograd's own it is silent where the value does not depend on the argument: the pulled back
    covector is zero. For a point of another array library (JAX) that library's own `vjp` is used.

    >>> pull_back, value = make_vjp(lambda x: x * x, numpy.array([3.0]))
    >>> value.tolist(), pull_back(numpy.array([1.0])).tolist()
    ([9.0], [6.0])
    """
    namespace = namespace_of(point)
    if namespace is not None:
        value, pull_back = find(companion(namespace, ""), "vjp")(function, point)
        return lambda covector: pull_back(namespace.asarray(covector))[0], value
    pull_back, value = _recorded(function, [point], [True])
    return lambda covector: pull_back(covector)[0], value


def _recorded(
    function: Callable[..., Array], points: Sequence[Array], wanted: Sequence[bool]
) -> tuple[Callable[[Array], list[Array]], Array]:
    """The value of a function of several arguments, and what pulls a covector on it back to each that is wanted."""
    roots = [VJPNode.new_root() if each else None for each in wanted]
    with trace_stack.new_trace() as trace:
        end = function(*(p if root is None else new_box(p, trace, root) for p, root in zip(points, roots, strict=True)))
        is_recorded = isbox(end) and end._trace == trace
        value, last = (end._value, end._node) if is_recorded else (end, None)

    by_root = [(p, root) for p, root in zip(points, roots, strict=True) if root is not None]

    def pull_back(covector: Array) -> list[Array]:
        found = {} if last is None else _swept(last, covector)
        return [found[root] if root in found else vspace(p).zeros() for p, root in by_root]

    return pull_back, value


def _swept(last: VJPNode, covector: Array) -> dict[VJPNode, Array]:
    """The covectors that arrive at the nodes without parents, by one pass back from the last node."""
    waiting = _counts(last)
    ready, pending, arrived = [last], {last: (covector, False)}, {}
    while ready:
        node = ready.pop()
        here = pending.pop(node)[0]
        if not node.parents:
            arrived[node] = here
            continue
        for parent, part in zip(node.parents, node.vjp(here), strict=False):
            pending[parent] = add_outgrads(pending.get(parent), part)
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    return arrived


def _counts(last: VJPNode) -> dict[VJPNode, int]:
    """How many covectors each node awaits before it passes on their sum."""
    counts, found = {last: 0}, [last]
    while found:
        for parent in found.pop().parents:
            if parent in counts:
                counts[parent] += 1
            else:
                counts[parent] = 1
                found.append(parent)
    return counts


def jacobian(function: Function, point: Array, point_ndim: int, value_ndim: int) -> Array:
    """The derivative of a function at each point of a batch, shape (..., *value_shape, *point_shape).

    The last `point_ndim` axes of `point`, float64, are one point; the function broadcasts over the axes before
    them, and the last `value_ndim` axes of its result are one value. One reverse pass per component of the value
    serves the whole batch, which is exact because no value depends on another entry's point.

    Raises `MapError` where the result does not keep the leading axes, has another number of axes, or is not
    float64 (of as many bits as a traced array).

    >>> from manifoldnet import numpy as np
    >>> function = lambda x: np.stack([x[..., 0] * x[..., 1], x[..., 1]], -1)
    >>> jacobian(function, numpy.array([[2.0, 3.0]]), 1, 1).tolist()
    [[[3.0, 2.0], [0.0, 1.0]]]
    """
    point = _as_float64(point)
    leading = shape(point)[: ndim(point) - point_ndim]
    pull_back, value = make_vjp(function, point)
    _check_value(function, value, leading, value_ndim, point.dtype)
    value_shape = shape(value)[len(leading) :]
    if 0 in value_shape:
        return numpy.zeros(leading + value_shape + shape(point)[len(leading) :])
    rows = [pull_back(_everywhere(unit, value)) for unit in _covectors(value_shape, 0)]
    return reshape(stack(rows, len(leading)), leading + value_shape + shape(point)[len(leading) :])


def _covectors(shape: tuple[int, ...], leading: int) -> Iterator[NDArray]:
    """A one at each number of a value in turn, for every entry of the leading axes."""
    for index in itertools.product(*map(range, shape[leading:])):
        place: tuple[Any, ...] = (..., *index)
        covector = numpy.zeros(shape)
        covector[place] = 1.0
        yield covector


def _everywhere(unit: Array, value: Array) -> Array:
    """One covector on every value of a batch; an array of the batch's size only where computing needs one."""
    namespace = namespace_of(value)
    if namespace is None:
        return numpy.array(numpy.broadcast_to(unit, shape(value)))
    return namespace.broadcast_to(namespace.asarray(unit), shape(value))


@final
class Traced:
    """The value of a function of several arguments, with all that its derivatives by them need.

    As `jacobian` takes it, with `leading` axes in front of each argument; but arguments are never copied into one
    array, they may be views that broadcast, and slices of one do not spread derivatives over the others. `wanted` says
    by which arguments there are to be derivatives, by all of them if None.

    >>> product = Traced(lambda x, y: x[..., 0] * y[..., 0], [numpy.array([[2.0]]), numpy.array([[3.0]])], 1, 0)
    >>> product.value.tolist(), [part.tolist() for part in product.jacobians()]
    ([6.0], [[[[3.0]]], [[[2.0]]]])
    >>> Traced(lambda x, y: x * y, [numpy.array([[2.0]]), numpy.array([[3.0]])], 1, 1, [False, True]).jacobians()
    [array([[[2.]]])]
    """

    def __init__(
        self,
        function: Callable[..., Array],
        arguments: Sequence[NDArray],
        leading: int,
        value_ndim: int,
        wanted: Sequence[bool] | None = None,
    ) -> None:
        by = [True] * len(arguments) if wanted is None else wanted
        self._lead, self._by, self._arguments = arguments[0].shape[:leading], by, arguments
        self._pull_back, self.value = _recorded(function, arguments, by)
        _check_value(function, self.value, self._lead, value_ndim)

    def jacobians(self) -> list[NDArray]:
        """The derivative by each argument where it is wanted, (..., value size, argument size)."""
        lead, value_shape = self._lead, self.value.shape
        if math.prod(value_shape[len(lead) :]) == 1:
            return [part.reshape(*lead, 1, -1) for part in self._pull_back(numpy.ones(value_shape))]
        rows = [self._pull_back(covector) for covector in _covectors(value_shape, len(lead))]
        if not rows:
            chosen = itertools.compress(self._arguments, self._by)
            return [numpy.zeros((*lead, 0, math.prod(each.shape[len(lead) :]))) for each in chosen]
        parts = [[part.reshape(*lead, 1, -1) for part in each] for each in zip(*rows, strict=True)]
        return [numpy.concatenate(part, len(lead)) for part in parts]


def derivative(function: Function, x: Array) -> Array:
    """The derivative of a scalar function at each entry of x, in the shape of x.

    Raises `MapError` where the result has another shape or is not float64 (of as many bits as a traced array).

    >>> derivative(lambda x: x**3, numpy.array([1.0, 2.0])).tolist()
    [3.0, 12.0]
    """
    x = _as_float64(x)
    pull_back, value = make_vjp(function, x)
    _check_value(function, value, shape(x), 0, x.dtype)
    return pull_back(_everywhere(numpy.ones(()), x))


def _as_float64(point: Array) -> Array:
    return point if is_traced(point) else numpy.asarray(point, dtype=numpy.float64)


def _check_value(
    function: Function, value: Any, leading: tuple[int, ...], value_ndim: int, kind: Any = numpy.float64
) -> None:
    """Refuse a result that is not one value, of numbers of that kind, for each entry of the leading axes."""
    # a repr only where there is no name: that of a method prints the object it belongs to
    name = function.__qualname__ if hasattr(function, "__qualname__") else repr(function)
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise MapError(
            f"{name} returned {type(value).__name__}; expected one array. Join parts with manifoldnet.numpy.stack"
        )
    if value.dtype == object:
        raise MapError(
            f"{name} returned an array of objects: plain NumPy was called on a traced array, which hides it from "
            "differentiation. Use `from manifoldnet import numpy as np` inside it"
        )
    if value.dtype != kind:
        raise MapError(
            f"{name} returned an array of {value.dtype}; expected {numpy.dtype(kind)}. Integer or float32 constants "
            "inside it are the usual cause"
        )
    if value.shape[: len(leading)] != leading or value.ndim != len(leading) + value_ndim:
        raise MapError(
            f"{name} returned the shape {value.shape}; expected the leading axes {leading} and {value_ndim} "
            "more for one value. Name the axis (axis=-1) in every sum, product or stack, so that samples "
            "stay apart"
        )
