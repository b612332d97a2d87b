"""How many bits numbers have in compiled functions, and what that leaves of small differences."""

from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy

from manifoldnet.compiler.engine import Precision
from manifoldnet.linalg.entries import TINY

Array = Any

# Weights below this cannot be divided by without overflow in 32 bits: such a unit weighs nothing.
_TINY = 1e-30
_EPS = float(numpy.finfo(numpy.float64).eps)


def in_precision(precision: Precision) -> AbstractContextManager[None]:
    """Inside, JAX computes with numbers of this kind, whatever the process has set."""
    return jax.enable_x64(precision == "float64")


def tiny(values: Array) -> float:
    """Below this, values of their kind weigh nothing."""
    return TINY if values.dtype == numpy.float64 else _TINY


def threshold(values: Array, wanted: float) -> float:
    """What counts as none, as `wanted` in 64 bits: as many times the rounding error of values of this kind.

    >>> import jax.numpy as jnp
    >>> threshold(jnp.zeros(1, dtype=jnp.float32), 1e-12) > 1e-4
    True
    """
    return wanted * _growth(values)


def root_threshold(values: Array, wanted: float) -> float:
    """The same for differences of sums, which count from the root of the rounding error on."""
    return wanted * _growth(values) ** 0.5


def _growth(values: Array) -> float:
    return float(numpy.finfo(values.dtype).eps) / _EPS


def widened(value: Any) -> Any:
    """A result in NumPy's usual numbers: programs give 64 bits, however they were computed."""
    return value.astype(numpy.float64) if value.dtype == numpy.float32 else value


__all__ = ["in_precision", "root_threshold", "threshold", "tiny", "widened"]
