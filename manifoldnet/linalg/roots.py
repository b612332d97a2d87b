"""Inverses of many blocks at once written T T^T: coordinates in which each block is the identity.

All act on values by unit, (U, width) or (U, width, m). A direction that is dropped has T = 0.
"""

import abc
from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.linalg.triangular import solve_lower, solve_upper
from manifoldnet.linalg.units import Units

# So many numbers are worked on at a time, that they stay in a cache.
_STRIPE = 2**15


class GroupRoot(abc.ABC):
    """T for each unit of a group."""

    @property
    @abc.abstractmethod
    def live(self) -> NDArray[numpy.bool_]:
        """(U, width): which standardised directions are not dropped."""

    @abc.abstractmethod
    def solve(self, values: NDArray) -> NDArray:
        """T T^T of covectors by unit."""

    @abc.abstractmethod
    def pull(self, values: NDArray) -> NDArray:
        """T^T of covectors by unit."""

    @abc.abstractmethod
    def push(self, values: NDArray) -> NDArray:
        """T of standardised tangents by unit."""

    @abc.abstractmethod
    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        """T^T A T for blocks A (U, width, width), in new memory or in `out`."""


def both_sides(root: GroupRoot, blocks: NDArray, out: NDArray | None) -> NDArray:
    """T^T A T by two applications of T^T."""
    result = root.pull(root.pull(blocks).swapaxes(1, 2))
    if out is None:
        return result
    out[...] = result
    return out


def _column(weights: NDArray, values: NDArray) -> NDArray:
    """Weights with an axis more if the values have one column more."""
    return weights[..., None] if values.ndim > 2 else weights


@final
@attrs.frozen(eq=False)
class ScalarRoot(GroupRoot):
    """Of quasi-diagonal blocks of numbers: w_i = (b_i - mean_i b_0) / C_ii, w_0 = b_0 / A_00 - sum mean_i w_i.

    These are eqs. 89 and 90, divided through by A_00.
    """

    bias: NDArray
    means: NDArray
    inverses: NDArray

    @cached_property
    def _scales(self) -> tuple[NDArray, NDArray]:
        return numpy.sqrt(self.bias), numpy.sqrt(self.inverses)

    @property
    def live(self) -> NDArray[numpy.bool_]:
        return numpy.concatenate([self.bias[:, None], self.inverses], axis=1) > 0.0

    def solve(self, values: NDArray) -> NDArray:
        if values.ndim > 2:
            return self.push(self.pull(values))
        first, solved = values[:, :1], numpy.empty(values.shape)
        weights = numpy.multiply(self.means, first, out=solved[:, 1:])
        numpy.subtract(values[:, 1:], weights, out=weights)
        weights *= self.inverses
        solved[:, 0] = first[:, 0] * self.bias - numpy.einsum("up,up->u", self.means, weights)
        return solved

    def pull(self, values: NDArray) -> NDArray:
        bias, own = (_column(part, values) for part in self._scales)
        first = values[:, 0]
        return _joined(first * bias, (values[:, 1:] - _column(self.means, values) * first[:, None]) * own)

    def push(self, values: NDArray) -> NDArray:
        bias, own = (_column(part, values) for part in self._scales)
        weights = values[:, 1:] * own
        return _joined(values[:, 0] * bias - (_column(self.means, values) * weights).sum(axis=1), weights)

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        """Centred and scaled; the bias row, which centring clears, is cleared exactly."""
        bias, own = self._scales
        result = numpy.empty(blocks.shape) if out is None else out
        row, inner = blocks[:, None, 0, 1:], result[:, 1:, 1:]
        step = max(1, _STRIPE // max(1, row.size))
        for start in range(0, own.shape[1], step):
            rows = slice(start, start + step)
            stripe = numpy.multiply(self.means[:, rows, None], row, out=inner[:, rows])
            numpy.subtract(blocks[:, 1:, 1:][:, rows], stripe, out=stripe)
            stripe *= own[:, rows, None]
            stripe *= own[:, None, :]
        result[:, 0, 1:] = result[:, 1:, 0] = 0.0
        result[:, 0, 0] = blocks[:, 0, 0] * bias * bias
        return result


def _joined(first: NDArray, rest: NDArray) -> NDArray:
    return numpy.concatenate([first[:, None], rest], axis=1)


@final
@attrs.frozen(eq=False)
class BlockRoot(GroupRoot):
    """Of quasi-diagonal blocks of matrices: w_i = C_i^{-1} (b_i - mean_i^T b_0), w_0 = A_00^{-1} b_0 - sum mean_i w_i.

    `bias` (U, q, q) and `own` (U, P, k, k) are H with H^T H the inverse of A_00 and of C_i.
    """

    group: Units
    bias: NDArray
    means: tuple[NDArray, ...]
    own: tuple[NDArray, ...]

    @property
    def live(self) -> NDArray[numpy.bool_]:
        parts = [(part != 0.0).any(axis=-1) for part in (self.bias, *self.own)]
        return numpy.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def solve(self, values: NDArray) -> NDArray:
        return self.push(self.pull(values))

    def pull(self, values: NDArray) -> NDArray:
        columns = values.reshape(*values.shape[:2], -1)
        first, rest = self.group.split(columns)
        parts = [self.bias @ first]
        for mean, root, part in zip(self.means, self.own, rest, strict=True):
            parts.append(root @ (part - mean.swapaxes(-1, -2) @ first[:, None]))
        return _rejoined(parts, values)

    def push(self, values: NDArray) -> NDArray:
        columns = values.reshape(*values.shape[:2], -1)
        first, rest = self.group.split(columns)
        level, parts = self.bias.swapaxes(-1, -2) @ first, []
        for mean, root, part in zip(self.means, self.own, rest, strict=True):
            weights = root.swapaxes(-1, -2) @ part
            level = level - (mean @ weights).sum(axis=1)
            parts.append(weights)
        return _rejoined([level, *parts], values)

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        """Centred and scaled; the bias rows, which centring clears, are cleared exactly."""
        result = both_sides(self, blocks, out)
        q = self.bias.shape[1]
        result[:, :q, q:] = 0.0
        result[:, q:, :q] = 0.0
        return result


def _rejoined(parts: list[NDArray], like: NDArray) -> NDArray:
    flat = [part.reshape(len(part), -1, part.shape[-1]) for part in parts]
    return numpy.concatenate(flat, axis=1).reshape(like.shape)


@final
@attrs.frozen(eq=False)
class ScaleRoot(GroupRoot):
    """Each coordinate scaled by itself, (U, width); `live` are those that may not be left out."""

    scale: NDArray
    live: NDArray[numpy.bool_]

    def solve(self, values: NDArray) -> NDArray:
        return self.push(self.pull(values))

    def pull(self, values: NDArray) -> NDArray:
        return values * _column(self.scale, values)

    def push(self, values: NDArray) -> NDArray:
        return values * _column(self.scale, values)

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        result = numpy.multiply(blocks, self.scale[:, :, None], out=out)
        result *= self.scale[:, None, :]
        return result


@final
@attrs.frozen(eq=False)
class FactoredRoot(GroupRoot):
    """Blocks whose standardised form T^T A T has the Cholesky factor `lower`; each unit times `factor` (U,).

    A few small ones solve faster from T^T A T itself, `standard`, where that is given.
    """

    base: GroupRoot
    lower: NDArray
    factor: NDArray | None = None
    standard: NDArray | None = None

    @property
    def live(self) -> NDArray[numpy.bool_]:
        return self.base.live if self.factor is None else self.base.live & (self.factor > 0.0)[:, None]

    def solve(self, values: NDArray) -> NDArray:
        if self.standard is None:
            return self.push(self.pull(values))
        columns = self.base.pull(values).reshape(*values.shape[:2], -1)
        return self.base.push(numpy.linalg.solve(self.standard, columns).reshape(values.shape))

    def pull(self, values: NDArray) -> NDArray:
        pulled = self.base.pull(values)
        solved = solve_lower(self.lower, pulled.reshape(*pulled.shape[:2], -1)).reshape(values.shape)
        return self._times(solved)

    def push(self, values: NDArray) -> NDArray:
        columns = values.reshape(*values.shape[:2], -1)
        return self._times(self.base.push(solve_upper(self.lower, columns).reshape(values.shape)))

    def _times(self, values: NDArray) -> NDArray:
        if self.factor is None:
            return values
        return values * self.factor.reshape(-1, *([1] * (values.ndim - 1)))

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        return both_sides(self, blocks, out)


@final
@attrs.frozen(eq=False)
class SpectralRoot(GroupRoot):
    """Blocks given by the eigenvectors (U, n, n) that are kept of T^T A T, each over the root of its eigenvalue."""

    base: GroupRoot
    vectors: NDArray
    scale: NDArray

    @property
    def live(self) -> NDArray[numpy.bool_]:
        return self.scale > 0.0

    def solve(self, values: NDArray) -> NDArray:
        return self.push(self.pull(values))

    def pull(self, values: NDArray) -> NDArray:
        columns = self.base.pull(values).reshape(*values.shape[:2], -1)
        return ((self.vectors.swapaxes(1, 2) @ columns) * self.scale[..., None]).reshape(values.shape)

    def push(self, values: NDArray) -> NDArray:
        columns = values.reshape(*values.shape[:2], -1) * self.scale[..., None]
        return self.base.push((self.vectors @ columns).reshape(values.shape))

    def congruence(self, blocks: NDArray, out: NDArray | None = None) -> NDArray:
        return both_sides(self, blocks, out)


__all__ = [
    "BlockRoot",
    "FactoredRoot",
    "GroupRoot",
    "ScalarRoot",
    "ScaleRoot",
    "SpectralRoot",
    "both_sides",
]
