"""Exponential, logarithm and root of symmetric matrices, differentiable also where eigenvalues coincide.

The differential of V f(w) V^T in the direction S is V (K * (V^T S V)) V^T, where K holds the divided
differences of f at pairs of eigenvalues and f' on the diagonal (Daleckii and Krein). Differentiating the
eigenvectors instead divides by zero at the identity.
"""

from collections.abc import Callable
from typing import Any

import numpy
from autograd.extend import defvjp, primitive

from manifoldnet.numpy.dispatch import Array, companion, find, listed

# Each takes the array namespace first: these run on concrete NumPy arrays and on traced ones of other
# libraries.
Spectral = Callable[[Any, Array], Array]
Slopes = Callable[[Any, Array, Array], Array]


def _transpose(namespace: Any, x: Array) -> Array:
    return namespace.swapaxes(x, -1, -2)


def _spectrum(namespace: Any, x: Array) -> tuple[Array, Array]:
    values, vectors = namespace.linalg.eigh((x + _transpose(namespace, x)) / 2.0)
    return values, vectors


def _value(namespace: Any, function: Spectral, x: Array) -> Array:
    values, vectors = _spectrum(namespace, x)
    return (vectors * function(namespace, values)[..., None, :]) @ _transpose(namespace, vectors)


def _differential(namespace: Any, slopes: Slopes, x: Array, direction: Array) -> Array:
    values, vectors = _spectrum(namespace, x)
    low = namespace.minimum(values[..., :, None], values[..., None, :])
    high = namespace.maximum(values[..., :, None], values[..., None, :])
    symmetric = (direction + _transpose(namespace, direction)) / 2.0
    inside = _transpose(namespace, vectors) @ symmetric @ vectors
    return vectors @ (slopes(namespace, low, high) * inside) @ _transpose(namespace, vectors)


def _matrix_function(name: str, function: Spectral, slopes: Slopes, meaning: str) -> Callable[[Array], Array]:
    """A function of symmetric matrices from one of numbers and its divided differences."""
    compute = primitive(lambda x: _value(numpy, function, x))
    pull_back = primitive(lambda x, g: _differential(numpy, slopes, x, g))
    # The differential is its own adjoint.
    defvjp(compute, lambda ans, x: lambda g: pull_back(x, g))

    def foreign(namespace: Any, x: Array) -> Array:
        traced = find(companion(namespace, ""), "custom_jvp")(lambda y: _value(namespace, function, y))
        traced.defjvp(lambda at, along: (traced(*at), _differential(namespace, slopes, at[0], along[0])))
        return traced(x)

    def reference(x: Array, /) -> Array:
        return compute(x)

    reference.__name__ = reference.__qualname__ = name
    reference.__doc__ = meaning
    return listed(name, foreign=foreign)(reference)


def _quotient(namespace: Any, numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and its limit 1 where both vanish."""
    vanishes = denominator == 0.0
    return namespace.where(vanishes, 1.0, numerator / namespace.where(vanishes, 1.0, denominator))


def _exp_slopes(namespace: Any, low: Array, high: Array) -> Array:
    gap = high - low
    return namespace.exp(high) * _quotient(namespace, -namespace.expm1(-gap), gap)


def _log_slopes(namespace: Any, low: Array, high: Array) -> Array:
    ratio = (high - low) / low
    return _quotient(namespace, namespace.log1p(ratio), ratio) / low


def _sqrt_slopes(namespace: Any, low: Array, high: Array) -> Array:
    return 1.0 / (namespace.sqrt(low) + namespace.sqrt(high))


symmetric_expm = _matrix_function(
    "symmetric_expm",
    lambda ns, x: ns.exp(x),
    _exp_slopes,
    "The exponential of symmetric matrices (their symmetric part is taken).",
)
symmetric_logm = _matrix_function(
    "symmetric_logm",
    lambda ns, x: ns.log(x),
    _log_slopes,
    "The logarithm of symmetric positive definite matrices.",
)
symmetric_sqrtm = _matrix_function(
    "symmetric_sqrtm",
    lambda ns, x: ns.sqrt(x),
    _sqrt_slopes,
    "The square root of symmetric positive definite matrices.",
)
