"""Many symmetric positive systems at once: small ones entry by entry, others by one batched Cholesky after another."""

from typing import Any

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.sharding import Mesh

from manifoldnet.compiler.backends.jax.mesh import by_units

Array = Any

# Up to this size, entry by entry takes a few microseconds for a hundred systems, LAPACK's calls several times as long.
# Code grows with the cube, and so does the time to compile it.
UNROLLED = 6


def solved(matrices: list[Array], values: list[Array], mesh: Mesh | None) -> tuple[list[Array], Array]:
    """The solutions for (units, n, n) matrices with about unit diagonals and (units, n) values; and the least pivot.

    Independent batched factorisations in one executable can wait for each other without end where there are few
    threads: here each waits for the one before it. On a mesh each device factorises a part of the units.
    """
    found, least, after = [], jnp.array(jnp.inf), 0.0
    for matrix, value in zip(matrices, values, strict=True):
        if matrix.shape[1] <= UNROLLED:
            solution, pivots = _unrolled(matrix, value)
        else:
            # zero times what was found before: floating point numbers do not let this be simplified away
            solution, pivots = by_units(mesh, _factorised, matrix + 0.0 * after, value)
            after = solution[0, 0]
        found.append(solution)
        least = jnp.minimum(least, jnp.where(jnp.isnan(pivots).any(), -jnp.inf, pivots.min()))
    return found, least


def _factorised(matrix: Array, value: Array) -> tuple[Array, Array]:
    lower = jnp.linalg.cholesky(matrix)
    half = solve_triangular(lower, value[..., None], lower=True)
    return solve_triangular(lower, half, lower=True, trans=1)[..., 0], jnp.diagonal(lower, axis1=1, axis2=2) ** 2


def _unrolled(matrix: Array, value: Array) -> tuple[Array, Array]:
    """Cholesky written out: each operation is one long run over the units."""
    n = matrix.shape[1]
    lower: list[list[Array]] = [[None] * n for _ in range(n)]
    pivots = []
    for j in range(n):
        pivot = matrix[:, j, j] - sum((lower[j][k] ** 2 for k in range(j)), jnp.zeros(()))
        pivots.append(pivot)
        # the diagonal holds its inverses
        lower[j][j] = 1.0 / jnp.sqrt(pivot)
        for i in range(j + 1, n):
            rest = matrix[:, i, j] - sum((lower[i][k] * lower[j][k] for k in range(j)), jnp.zeros(()))
            lower[i][j] = rest * lower[j][j]
    half: list[Array] = []
    for i in range(n):
        half.append((value[:, i] - sum((lower[i][k] * half[k] for k in range(i)), jnp.zeros(()))) * lower[i][i])
    found: list[Array] = [None] * n
    for i in reversed(range(n)):
        found[i] = (half[i] - sum((lower[k][i] * found[k] for k in range(i + 1, n)), jnp.zeros(()))) * lower[i][i]
    return jnp.stack(found, axis=1), jnp.stack(pivots, axis=1)
