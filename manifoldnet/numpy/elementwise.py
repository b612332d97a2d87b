"""Functions of each entry, with broadcasting as in NumPy."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as ag
import numpy
from autograd.extend import defvjp, primitive

from manifoldnet.numpy.dispatch import Array, as_array, listed, namespace_of
from manifoldnet.numpy.recording import quickly_recorded

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "deg2rad",
    "degrees",
    "divide",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "power",
    "rad2deg",
    "radians",
    "reciprocal",
    "remainder",
    "rint",
    "round",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]


# autograd's tanh divides by cosh(x)^2, which overflows from |x| = 355 on.
_tanh = primitive(numpy.tanh)


def _sech_squared(x: Array) -> Array:
    decay = ag.exp(-2.0 * ag.abs(x))
    return 4.0 * decay / (1.0 + decay) ** 2


defvjp(_tanh, lambda ans, x: lambda g: g * _sech_squared(x))

# autograd knows cbrt but not its derivative.
_cbrt = primitive(numpy.cbrt)
defvjp(_cbrt, lambda ans, x: lambda g: g / (3.0 * ans * ans))


def _elementwise(name: str, reference: Callable[..., Any] | None = None, count: int = 1) -> Callable[..., Any]:
    """NumPy's function of that name, with autograd's derivative unless a repaired `reference` is given."""
    compute = quickly_recorded(getattr(ag, name) if reference is None else reference)
    if count == 1:

        def function(x: Array, /) -> Array:
            return compute(x)
    else:

        def function(x: Array, y: Array, /) -> Array:  # type: ignore[misc]
            return compute(x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"NumPy's `{name}` of each entry, differentiable."
    is_plain = reference in (None, _tanh, _cbrt)
    return listed(name, arrays=count, plain=getattr(numpy, name) if is_plain else None)(function)


def _binary(name: str) -> Callable[..., Any]:
    return _elementwise(name, count=2)


abs = _elementwise("abs")
absolute = _elementwise("absolute")
negative = _elementwise("negative")
sign = _elementwise("sign")
exp = _elementwise("exp")
exp2 = _elementwise("exp2")
expm1 = _elementwise("expm1")
log = _elementwise("log")
log2 = _elementwise("log2")
log10 = _elementwise("log10")
log1p = _elementwise("log1p")
sqrt = _elementwise("sqrt")
cbrt = _elementwise("cbrt", _cbrt)
square = _elementwise("square")
reciprocal = _elementwise("reciprocal")
sin = _elementwise("sin")
cos = _elementwise("cos")
tan = _elementwise("tan")
arcsin = asin = _elementwise("arcsin")
arccos = acos = _elementwise("arccos")
arctan = atan = _elementwise("arctan")
sinh = _elementwise("sinh")
cosh = _elementwise("cosh")
tanh = _elementwise("tanh", _tanh)
arcsinh = asinh = _elementwise("arcsinh")
arccosh = acosh = _elementwise("arccosh")
arctanh = atanh = _elementwise("arctanh")
deg2rad = radians = _elementwise("deg2rad")
rad2deg = degrees = _elementwise("rad2deg")
floor = _elementwise("floor")
ceil = _elementwise("ceil")
trunc = _elementwise("trunc")
rint = _elementwise("rint")
isfinite = _elementwise("isfinite")
isnan = _elementwise("isnan")
isinf = _elementwise("isinf")
logical_not = _elementwise("logical_not")

add = _binary("add")
subtract = _binary("subtract")
multiply = _binary("multiply")
divide = true_divide = _binary("divide")
floor_divide = _binary("floor_divide")
mod = remainder = _binary("mod")
power = pow = _binary("power")
maximum = _binary("maximum")
minimum = _binary("minimum")
logaddexp = _binary("logaddexp")
hypot = _binary("hypot")
arctan2 = atan2 = _binary("arctan2")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
less = _binary("less")
less_equal = _binary("less_equal")
equal = _binary("equal")
not_equal = _binary("not_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")
logical_xor = _binary("logical_xor")


@listed("round")
def round(x: Array, /, decimals: int = 0) -> Array:
    """NumPy's `round` of each entry; its derivative is zero."""
    return ag.round(x, decimals)


@primitive
def _choose(condition: Array, x: Array, y: Array) -> Array:
    return numpy.where(condition, x, y)


def unbroadcast(g: Array, target: Array) -> Array:
    """The adjoint of broadcasting `target` to the shape of g: sums over the axes that were repeated."""
    shape = numpy.shape(target)
    if g.shape == shape:
        return g
    g = ag.sum(g, axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(axis for axis, size in enumerate(shape) if size == 1 and g.shape[axis] != 1)
    return ag.sum(g, axis=repeated, keepdims=True)


# autograd's where forgets that its arguments may have been broadcast.
defvjp(
    _choose,
    None,
    lambda ans, condition, x, y: lambda g: unbroadcast(_choose(condition, g, 0.0), x),
    lambda ans, condition, x, y: lambda g: unbroadcast(_choose(condition, 0.0, g), y),
)


_quick_choose = quickly_recorded(_choose)


@listed("where", arrays=3, plain=numpy.where)
def where(condition: Array, x: Array, y: Array, /) -> Array:
    """Entries of x where the condition holds, of y elsewhere.

    The derivative of what is not chosen is zero.
    """
    return _quick_choose(condition, x, y)


def clip(x: Array, low: Array = None, high: Array = None) -> Array:
    """Entries below `low` or above `high` are replaced by these bounds; None is no bound."""
    if low is not None:
        x = maximum(x, low)
    return x if high is None else minimum(x, high)


def isclose(x: Array, y: Array, /, rtol: float = 1e-5, atol: float = 1e-8) -> Array:
    """Whether entries agree within atol + rtol |y|."""
    x, y = as_array(x), as_array(y)
    namespace = namespace_of(x, y)
    return (ag if namespace is None else namespace).isclose(x, y, rtol=rtol, atol=atol)
