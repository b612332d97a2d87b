"""What affine units read, times covectors and moduli on their pre-activations: products over samples, by unit."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, final

import attrs
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from manifoldnet.compiler.backends.jax.affine import AffineShape

Array = Any


class WeightedReads(NamedTuple):
    """Blocks that are not formed: weights (samples, units) of each sample's readings (samples, width)."""

    weights: Array
    reads: Array


@final
@attrs.frozen(eq=False, slots=False)
class AffineProducts:
    """The design matrix of a stage of affine units, of which each reads some columns: all the same where it is `dense`.

    `numbers` are the stage's wiring.
    """

    shape: "AffineShape"
    numbers: dict
    design: Array

    @cached_property
    def turned(self) -> Array:
        """The design matrix with samples last: turned once, where products over samples would each do it more slowly."""
        return lax.optimization_barrier(self.design.T)

    def by_unit(self, matrix: Array) -> list[Array]:
        """Of a matrix (columns, units * n), what each unit has, (units, parents, e * n), by width."""
        n, found, start = matrix.shape[1] // self.shape.units, [], 0
        if self.shape.dense:
            ordered = matrix[self.numbers["columns_in_order"]] if "rows" in self.numbers else matrix
            for parents, e in self.shape.blocks:
                part = ordered[start : start + parents * e].reshape(parents, e, self.shape.units, n)
                found.append(part.transpose(2, 0, 1, 3).reshape(self.shape.units, parents, e * n))
                start += parents * e
            return found
        rows = jnp.concatenate([matrix, jnp.zeros((1, matrix.shape[1]))])
        by_unit = rows.reshape(-1, self.shape.units, n)
        for (parents, e), columns in zip(self.shape.blocks, self.numbers["columns"], strict=True):
            part = by_unit[columns, jnp.arange(self.shape.units)[:, None, None]]
            found.append(part.reshape(self.shape.units, parents, e * n))
        return found

    def of_rows(self, products: Array) -> list[Array]:
        """The same as `by_unit` of the transpose, for units that all read the same: of (units, columns)."""
        ordered = products[:, self.numbers["columns_in_order"]] if "rows" in self.numbers else products
        found, start = [], 0
        for parents, e in self.shape.blocks:
            found.append(ordered[:, start : start + parents * e].reshape(self.shape.units, parents, e))
            start += parents * e
        return found

    def gathered(self) -> Array:
        """What each unit reads, bias first, (samples, units or 1, 1 + fan-in)."""
        units = 1 if self.shape.dense else self.shape.units
        padded = jnp.concatenate([self.design, jnp.zeros((len(self.design), 1))], axis=1)
        parts = [padded[:, columns].reshape(len(self.design), units, -1) for columns in self.numbers["columns"]]
        return jnp.concatenate([jnp.ones((len(self.design), units, 1)), *parts], axis=2)

    def gradient(self, inner: Array) -> Array:
        """sum_x (da/dtheta)^T b for covectors b (samples, units, q), (units, width)."""
        flat = inner.reshape(len(inner), -1)
        parts = [part.reshape(len(part), -1) for part in self._summed(flat)]
        return jnp.concatenate([inner.sum(axis=0), *parts], axis=1)

    def _summed(self, weights: Array, squared: bool = False) -> list[Array]:
        """Sums over samples of what is read, or its squares, times weights (samples, units n), by unit and width."""
        if self.shape.dense and weights.shape[1] == self.shape.units:
            # the weights are fewer than the readings, and cheaper to turn; nor has the result to be turned
            products = lax.optimization_barrier(weights.T) @ (self.design * self.design if squared else self.design)
            return self.of_rows(products)
        return self.by_unit((self.turned * self.turned if squared else self.turned) @ weights)

    def rows(self, inner: Array) -> Array:
        """(da/dtheta)^T b of each sample, (k, samples, units, width)."""
        outer = self.gathered()[None, ..., :, None] * inner[..., None, :]
        return outer.reshape(*inner.shape[:3], -1)

    def block(self, modulus: Array) -> Array:
        """sum_x (da/dtheta)^T m (da/dtheta) for moduli m (samples, units, q, q), (units, width, width)."""
        units, q = self.shape.units, self.shape.inner_dim
        read = self.gathered().swapaxes(0, 1)
        weights = modulus.reshape(len(modulus), units, q * q).transpose(1, 2, 0)
        # (units, q q, reads, samples) @ (units or 1, 1, samples, reads)
        weighted = read.swapaxes(1, 2)[:, None] * weights[:, :, None, :]
        products = weighted @ read[:, None]
        count = read.shape[2]
        by_pair = products.reshape(units, q, q, count, count)
        return by_pair.transpose(0, 3, 1, 4, 2).reshape(units, count * q, count * q)

    def weighted_reads(self, modulus: Array) -> WeightedReads:
        """What the blocks of units that read the same numbers are made of."""
        return WeightedReads(modulus[:, :, 0, 0], self.gathered()[:, 0])

    def quasi(self, modulus: Array) -> tuple[Array, tuple, tuple]:
        """A_00, and A_0i and A_ii of each width of parent."""
        cross, own = self._scalar_entries(modulus) if self.shape.is_scalar else self._matrix_entries(modulus)
        return modulus.sum(axis=0), tuple(cross), tuple(own)

    def _scalar_entries(self, modulus: Array) -> tuple[list[Array], list[Array]]:
        weights = modulus[:, :, 0, 0]
        first, second = self._summed(weights), self._summed(weights, squared=True)
        return [part[..., None] for part in first], [part[..., None] for part in second]

    def _matrix_entries(self, modulus: Array) -> tuple[list[Array], list[Array]]:
        units, q, cross, own = self.shape.units, self.shape.inner_dim, [], []
        padded = jnp.concatenate([self.design, jnp.zeros((len(self.design), 1))], axis=1)
        for (parents, e), columns in zip(self.shape.blocks, self.numbers["columns"], strict=True):
            read = jnp.broadcast_to(padded[:, columns], (len(padded), units, parents, e))
            first = jnp.einsum("suqr,supe->upqer", modulus, read)
            pairs = (read[..., :, None] * read[..., None, :]).reshape(len(padded), units, parents * e * e)
            second = jnp.einsum("suqr,sun->unqr", modulus, pairs).reshape(units, parents, e, e, q, q)
            cross.append(first.reshape(units, parents, q, e * q))
            own.append(second.transpose(0, 1, 2, 4, 3, 5).reshape(units, parents, e * q, e * q))
        return cross, own

    def diagonal(self, modulus: Array) -> Array:
        """The diagonal of the block, (units, width)."""
        bias, _, own = self.quasi(modulus)
        parts = [jnp.diagonal(part, axis1=-2, axis2=-1).reshape(len(part), -1) for part in (bias, *own)]
        return jnp.concatenate(parts, axis=1)


__all__ = ["AffineProducts", "WeightedReads"]
