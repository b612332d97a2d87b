"""The steps of the paper's auto-encoder (W1) written by hand with jax.jit: what a person would write for it alone.

Weights are dense matrices with a mask, all layers logistic, outputs Bernoulli. One step moves, finds the loss there,
keeps or cancels, and finds the next direction; Tikhonov damping is added to blocks and to quasi-diagonal entries.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy
from jax import lax
from jax.scipy.linalg import solve_triangular

Array = Any
EPS = 1e-4


def forward(theta: Sequence[tuple[Array, Array]], x: Array) -> list[Array]:
    """Activities layer by layer, and the last pre-activation at the end."""
    found = [x]
    for weights, bias in theta[:-1]:
        found.append(jax.nn.sigmoid(found[-1] @ weights + bias))
    weights, bias = theta[-1]
    return [*found, found[-1] @ weights + bias]


def loss_of(z: Array, y: Array) -> Array:
    return (jax.nn.softplus(z) - y * z).sum(axis=1).mean()


def gradients(theta: Sequence, acts: list[Array], y: Array) -> list[tuple[Array, Array]]:
    samples, b, found = len(y), jax.nn.sigmoid(acts[-1]) - y, []
    for layer in reversed(range(len(theta))):
        found.append((acts[layer].T @ b / samples, b.sum(axis=0) / samples))
        if layer:
            b = (b @ theta[layer][0].T) * acts[layer] * (1.0 - acts[layer])
    return found[::-1]


def backpropagated(theta: Sequence, acts: list[Array]) -> list[Array]:
    """r^2 m of every unit."""
    p = jax.nn.sigmoid(acts[-1])
    m, found = p * (1.0 - p), []
    for layer in reversed(range(len(theta))):
        found.append(m)
        if layer:
            weights, a = theta[layer][0], acts[layer]
            m = (m @ (weights * weights).T) * (a * (1.0 - a)) ** 2
    return found[::-1]


def fisher(theta: Sequence, acts: list[Array]) -> list[Array]:
    """r^2 Phi of every unit: one row for each output, which starts on its unit alone."""
    p = jax.nn.sigmoid(acts[-1])
    root = jnp.sqrt(p * (1.0 - p))
    a, found = acts[-2], [root * root]
    rows = root.T[:, :, None] * theta[-1][0].T[:, None, :] * (a * (1.0 - a))
    for layer in reversed(range(len(theta) - 1)):
        found.append((rows * rows).sum(axis=0))
        if layer:
            a = acts[layer]
            rows = (rows @ theta[layer][0].T) * (a * (1.0 - a))
    return found[::-1]


def quasi(acts: list[Array], weights: list[Array], slope: list, masks: list[Array]) -> list[tuple[Array, Array]]:
    """Eqs. 89 and 90 on whole matrices of weights."""
    samples, found = len(acts[0]), []
    for a, c, (of_weights, of_bias), mask in zip(acts, weights, slope, masks, strict=False):
        a00 = c.sum(axis=0) / samples + EPS
        a0i = a.T @ c / samples * mask
        aii = (a * a).T @ c / samples + EPS
        step = (of_weights - a0i * (of_bias / a00)) / (aii - a0i * a0i / a00) * mask
        found.append((step, of_bias / a00 - (a0i / a00 * step).sum(axis=0)))
    return found


def blocks(acts: list[Array], weights: list[Array], slope: list, wiring: list[dict]) -> list[tuple[Array, Array]]:
    """All units of the same kind of layer side by side: one padded factorisation for wide rows, one for narrow ones."""
    samples, found = len(acts[0]), [None] * len(wiring)
    for group in ((0, 1), (2, 3)):
        width = max(wiring[layer]["columns"].shape[1] for layer in group)
        matrices, values = [], []
        for layer in group:
            columns, real = wiring[layer]["columns"], wiring[layer]["real"]
            padded = jnp.concatenate([acts[layer], jnp.zeros((samples, 1))], axis=1)
            read = padded[:, columns].transpose(1, 0, 2)
            read = jnp.concatenate([jnp.ones((*read.shape[:2], 1)), read], axis=2)
            block = (read * weights[layer].T[:, :, None]).swapaxes(1, 2) @ read / samples
            of_weights = jnp.concatenate([slope[layer][0], jnp.zeros((1, slope[layer][0].shape[1]))])
            value = of_weights[columns, jnp.arange(len(columns))[:, None]] * real
            value = jnp.concatenate([slope[layer][1][:, None], value], axis=1)
            extra = width + 1 - block.shape[1]
            matrices.append(jnp.pad(block, ((0, 0), (0, extra), (0, extra))))
            values.append(jnp.pad(value, ((0, 0), (0, extra))))
        matrix = jnp.concatenate(matrices) + EPS * jnp.eye(width + 1)
        lower = jnp.linalg.cholesky(matrix)
        half = solve_triangular(lower, jnp.concatenate(values)[..., None], lower=True)
        solved = solve_triangular(lower, half, lower=True, trans=1)[..., 0]
        start = 0
        for layer in group:
            columns = wiring[layer]["columns"]
            own = solved[start : start + len(columns)]
            rows = slope[layer][0].shape[0]
            step = (
                jnp.zeros((rows + 1, len(columns)))
                .at[columns, jnp.arange(len(columns))[:, None]]
                .add(own[:, 1 : 1 + columns.shape[1]])
            )
            found[layer] = (step[:-1] * wiring[layer]["mask"], own[:, 0])
            start += len(columns)
    return found  # type: ignore[return-value]


def direction(method: str, theta: Sequence, acts: list[Array], y: Array, wiring: list[dict]) -> list:
    masks = [part["mask"] for part in wiring]
    slope = [(w * mask, b) for (w, b), mask in zip(gradients(theta, acts, y), masks, strict=True)]
    if method == "gradient":
        return slope
    weights = fisher(theta, acts) if method.endswith("fisher") else backpropagated(theta, acts)
    if method.startswith("quasi"):
        return quasi(acts[:-1], weights, slope, masks)
    return blocks(acts[:-1], weights, slope, wiring)


State = tuple[Any, Array, Array, Any]


def _step(method: str, state: State, x: Array, y: Array, wiring: list[dict]) -> State:
    theta, loss, rate, slope = state
    ahead = jax.tree.map(lambda part, along: part - rate * along, theta, slope)
    acts = forward(ahead, x)
    reached = loss_of(acts[-1], y)
    kept = reached <= loss
    grown = jnp.where(reached < loss, 1.1 * rate, rate)
    slope = lax.cond(kept, lambda: direction(method, ahead, acts, y, wiring), lambda: slope)
    theta = jax.tree.map(lambda new, old: jnp.where(kept, new, old), ahead, theta)
    return theta, jnp.where(kept, reached, loss), jnp.where(kept, grown, 0.5 * rate), slope


@partial(jax.jit, static_argnums=0)
def step(method: str, state: State, x: Array, y: Array, wiring: list[dict]) -> State:
    """One step."""
    return _step(method, state, x, y, wiring)


@partial(jax.jit, static_argnums=(0, 1))
def steps(method: str, count: int, state: State, x: Array, y: Array, wiring: list[dict]) -> State:
    """Many steps in one call."""
    return lax.scan(lambda at, _: (_step(method, at, x, y, wiring), None), state, None, length=count)[0]


def start(method: str, matrices: Sequence[tuple], x: Array, y: Array, wiring: list[dict], rate: float) -> State:
    """The state at weights and biases."""
    theta = [(jnp.asarray(w), jnp.asarray(b)) for w, b in matrices]
    acts = forward(theta, x)
    slope = direction(method, theta, acts, y, wiring)
    return theta, loss_of(acts[-1], y), jnp.asarray(rate), slope


def wiring_of(masks: Sequence[numpy.ndarray]) -> list[dict]:
    """For each layer, its mask (parents, units) and the parents of each unit, padded."""
    found = []
    for mask in masks:
        width = int(mask.sum(axis=0).max())
        columns = numpy.argsort(~mask.astype(bool), axis=0, kind="stable")[:width].T
        real = numpy.take_along_axis(mask.T.astype(bool), columns, axis=1)
        columns = numpy.where(real, columns, len(mask)).astype(numpy.int32)
        found.append({"mask": mask.astype(float), "columns": columns, "real": real.astype(float)})
    return found


Stepper = Callable[[], None]
