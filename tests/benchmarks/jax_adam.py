"""Adam (Kingma and Ba, 2015) on one hidden layer of tanh units and a softmax, by hand with JAX: runs of steps are one scan."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy
from jax import lax
from numpy.typing import NDArray

Array = Any
# As many as the compiled trainer takes together.
LENGTH = 64


def _loss(theta: tuple[Array, Array], x: Array, y: Array) -> Array:
    first, second = theta
    hidden = jnp.tanh(x @ first[1:] + first[0])
    logits = hidden @ second[1:] + second[0]
    picked = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - picked).mean()


@jax.jit
def _run(state: tuple, x: Array, y: Array, rows: Array, rate: Array) -> tuple:
    def body(carried: tuple, batch: Array) -> tuple:
        theta, first, second, steps = carried
        here = (part.at[batch].get(mode="promise_in_bounds") for part in (x, y))
        slope, steps = jax.grad(_loss)(theta, *here), steps + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slope)
        by, under = rate / (1.0 - 0.9**steps), 1.0 - 0.999**steps
        theta = jax.tree.map(lambda t, m, v: t - by * m / (jnp.sqrt(v / under) + 1e-8), theta, first, second)
        return (theta, first, second, steps), theta

    return lax.scan(body, state, rows)


def adam_points(
    flat: NDArray, sizes: tuple[int, int, int], x: NDArray, y: NDArray, batches: Sequence[NDArray], rate: float
) -> Iterator[NDArray]:
    """Flat parameters after every step; units have their bias first, then their weights."""
    inputs, hidden, outputs = sizes
    cut = hidden * (1 + inputs)
    theta = flat[:cut].reshape(hidden, -1).T, flat[cut:].reshape(outputs, -1).T
    zeros = tuple(numpy.zeros(part.shape) for part in theta)
    state: Any = theta, zeros, zeros, numpy.float64(0.0)
    with jax.enable_x64(True):
        held = jax.device_put((x, y))
    for start in range(0, len(batches), LENGTH):
        rows = numpy.stack([batches[min(step, len(batches) - 1)] for step in range(start, start + LENGTH)])
        with jax.enable_x64(True):
            state, log = _run(state, *held, rows.astype(numpy.int32), numpy.float64(rate))
        first, second = (numpy.asarray(part) for part in log)
        for one, other in zip(first[: len(batches) - start], second, strict=False):
            yield numpy.concatenate([one.T.reshape(-1), other.T.reshape(-1)])
