"""Special functions: `manifoldnet.numpy.special`, the common ones also at the top.

What saturates is written so that values and derivatives stay finite and accurate for arguments of size 1e3
and beyond.
"""

import difflib
import math
from collections.abc import Callable
from typing import Any

import autograd.numpy as ag
import numpy
import scipy.special
from autograd.extend import defvjp, primitive

from manifoldnet.errors import UnknownFunctionError
from manifoldnet.numpy.dispatch import Array, as_array, companion, find, listed
from manifoldnet.numpy.elementwise import abs, exp, log, log1p, logaddexp, where
from manifoldnet.numpy.recording import quickly_recorded
from manifoldnet.numpy.reductions import Axis, max, sum
from manifoldnet.numpy.shapes import reshape, shape

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "expit",
    "gammaln",
    "log_expit",
    "log_sigmoid",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "softmax",
    "softplus",
    "softplus_tails",
    "xlogy",
]


def __getattr__(name: str) -> Any:
    raise UnknownFunctionError(
        f"manifoldnet.numpy.special does not list {name!r}; near it are "
        f"{difflib.get_close_matches(name, __all__) or sorted(__all__)}. Compose it from listed functions."
    )


def _special(name: str, derivative: Callable[[Array, Array], Array], meaning: str) -> Callable[[Array], Array]:
    """SciPy's function of that name; `derivative(value, x)` is its derivative."""
    compute = primitive(getattr(scipy.special, name))
    defvjp(compute, lambda ans, x: lambda g: g * derivative(ans, x))

    def foreign(namespace: Any, x: Array) -> Array:
        return find(companion(namespace, "scipy.special"), name)(x)

    recorded = quickly_recorded(compute)

    def reference(x: Array, /) -> Array:
        return recorded(x)

    reference.__name__ = reference.__qualname__ = name
    reference.__doc__ = meaning
    return listed(name, foreign=foreign, plain=getattr(scipy.special, name))(reference)


_ROOT_TAU = 2.5066282746310002
_ROOT_PI = 1.7724538509055159
_trigamma = primitive(lambda x: scipy.special.polygamma(1, x))

expit = _special("expit", lambda p, x: _expit_slope(x), "The logistic function 1 / (1 + exp(-x)).")
logit = _special("logit", lambda u, p: 1.0 / (p * (1.0 - p)), "The log-odds log(p / (1 - p)), inverse of `expit`.")
erf = _special("erf", lambda y, x: 2.0 / _ROOT_PI * ag.exp(-x * x), "The error function.")
erfc = _special(
    "erfc",
    lambda y, x: -2.0 / _ROOT_PI * ag.exp(-x * x),
    "One minus the error function, accurate where small.",
)
erfinv = _special("erfinv", lambda x, y: _ROOT_PI / 2.0 * ag.exp(x * x), "The inverse of the error function.")
ndtr = _special(
    "ndtr", lambda p, x: ag.exp(-0.5 * x * x) / _ROOT_TAU, "The distribution function of the standard normal."
)
ndtri = _special(
    "ndtri",
    lambda x, p: _ROOT_TAU * ag.exp(0.5 * x * x),
    "The quantiles of the standard normal, inverse of `ndtr`.",
)
digamma = _special("digamma", lambda y, x: _trigamma(x), "The derivative of `gammaln`.")
gammaln = _special("gammaln", lambda y, x: digamma(x), "The logarithm of the gamma function, for positive arguments.")


def _expit_slope(x: Array) -> Array:
    # p (1 - p) loses all digits where p rounds to one.
    decay = exp(-abs(x))
    return decay / (1.0 + decay) ** 2


def softplus(x: Array, /) -> Array:
    """log(1 + exp(x)), without overflow."""
    return logaddexp(0.0, x)


def _tails_by_products(namespace: Any, x: Array) -> Array:
    # sum log(1 + u) is the logarithm of a product, kept as what it is above one: a + b + ab loses no digit of small terms.
    # Compilers call a library for each logarithm, which takes ten times as long as a product
    decay = namespace.exp(-namespace.abs(x))
    n = decay.shape[-1]
    width = _SIDE_BY_SIDE * (math.ceil(n / (_SIDE_BY_SIDE * _FACTORS)) or 1)
    missing = (math.ceil(n / width) or 1) * width - n
    filled = namespace.pad(decay, [(0, 0)] * (decay.ndim - 1) + [(0, missing)])
    parts = [filled[..., start : start + width] for start in range(0, filled.shape[-1], width)]
    while len(parts) > 1:
        pairs = [a + (b + a * b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[2 * len(pairs) :]
    return namespace.log1p(parts[0]).sum(axis=-1)


# Products are made of at most so many factors, each at most 2, so that none overflows in 32 bits; and of so many at once.
_FACTORS, _SIDE_BY_SIDE = 32, 8


@listed(
    "softplus_tails",
    foreign=_tails_by_products,
    plain=lambda x: numpy.log1p(numpy.exp(-numpy.abs(x))).sum(axis=-1),
)
def softplus_tails(x: Array, /) -> Array:
    """The sum along the last axis of log(1 + exp(-|x|)), what `softplus` adds to the larger of x and 0."""
    return sum(log1p(exp(-abs(x))), -1)


def log_expit(x: Array, /) -> Array:
    """The logarithm of the logistic function, without underflow."""
    return -softplus(-as_array(x))


log_sigmoid = log_expit


def logsumexp(x: Array, /, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The logarithm of the sum of exponentials along axes, without overflow; -inf entries count as zero."""
    x = as_array(x)
    largest = max(x, axis, keepdims=True)
    # The shift cancels out of value and derivative alike; it must only be finite.
    shift = where(abs(largest) < float("inf"), largest, 0.0)
    total = log(sum(exp(x - shift), axis, keepdims=True)) + shift
    return total if keepdims else reshape(total, shape(sum(x, axis)))


def log_softmax(x: Array, /, axis: Axis = -1) -> Array:
    """The logarithms of `softmax`, without underflow."""
    return as_array(x) - logsumexp(x, axis, keepdims=True)


def softmax(x: Array, /, axis: Axis = -1) -> Array:
    """exp(x) divided by its sum along an axis: a point of the simplex."""
    return exp(log_softmax(x, axis))


def xlogy(x: Array, y: Array, /) -> Array:
    """x log(y), and zero where x is zero, whatever y is there."""
    x = as_array(x)
    vanishes = x == 0.0
    return where(vanishes, 0.0, x * log(where(vanishes, 1.0, y)))


def entr(x: Array, /) -> Array:
    """-x log(x), and zero at zero: the terms of an entropy in nats."""
    return -xlogy(x, x)
