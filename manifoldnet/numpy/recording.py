"""A short way to autograd's record of a call, for common arguments: arrays, numbers, and arrays that are traced once."""

import functools
from collections.abc import Callable
from typing import Any

import numpy
from autograd.extend import VJPNode
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import new_box, notrace_primitives

_VALUES = frozenset((numpy.ndarray, numpy.float64))
_CONSTANTS = _VALUES | {float, int, bool, str, type(None), tuple, slice}


def quickly_recorded(primitive: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive of autograd that comes to the same record in less time.

    Autograd looks for traced arrays twice, the second time in their values, which may be traced as well; on small arrays
    this takes longer than to compute. Where there are such values, or arrays of two traces or of another kind, the
    primitive itself is called.

    >>> import autograd.numpy
    >>> float(quickly_recorded(autograd.numpy.exp)(0.0))
    1.0
    """
    if primitive in notrace_primitives[VJPNode]:
        return primitive
    compute = primitive.fun  # type: ignore[attr-defined]

    @functools.wraps(primitive)
    def function(*arguments: Any, **options: Any) -> Any:
        if _CONSTANTS.issuperset(map(type, arguments)):
            return compute(*arguments, **options)
        values, trace = list(arguments), None
        numbers: list[int] = []
        nodes: list[Any] = []
        for number, argument in enumerate(arguments):
            kind = type(argument)
            if kind is ArrayBox:
                if type(argument._value) not in _VALUES or (nodes and argument._trace != trace):
                    return primitive(*arguments, **options)
                trace, values[number] = argument._trace, argument._value
                numbers.append(number)
                nodes.append(argument._node)
            elif kind not in _CONSTANTS:
                return primitive(*arguments, **options)
        result = compute(*values, **options)
        node = type(nodes[0])(result, primitive, tuple(values), options, tuple(numbers), tuple(nodes))
        return new_box(result, trace, node)

    return function
