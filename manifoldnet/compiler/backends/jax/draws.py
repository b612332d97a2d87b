"""Random numbers for compiled steps, drawn by NumPy's generator as the reference draws them, and handed in as arrays."""

from collections.abc import Callable, Sequence
from typing import Any, final

import attrs
import jax.numpy as jnp
import numpy
from numpy.typing import NDArray

Array = Any
# Of one step, or of several one after another: an array for each request.
Draws = tuple[NDArray, ...]


@final
@attrs.frozen
class Request:
    """One call of a generator's method."""

    method: str
    arguments: tuple
    options: tuple[tuple[str, Any], ...]

    def drawn(self, rng: numpy.random.Generator) -> NDArray:
        """What the call gives."""
        return numpy.asarray(getattr(rng, self.method)(*self.arguments, **dict(self.options)))


@final
class Recorder:
    """Stands in for a generator while shapes are found out, and notes what is asked of it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __getattr__(self, method: str) -> Callable[..., Array]:
        def call(*arguments: Any, **options: Any) -> Array:
            request = Request(method, arguments, tuple(options.items()))
            drawn = request.drawn(numpy.random.default_rng(0))
            self.requests.append(request)
            return jnp.asarray(drawn)

        return call


@final
class Tape:
    """Stands in for a generator inside a compiled function: gives what was drawn before, in the same order."""

    def __init__(self, drawn: Sequence[Array]) -> None:
        self._drawn = iter(drawn)

    def __getattr__(self, method: str) -> Callable[..., Array]:
        return lambda *arguments, **options: next(self._drawn)


def drawn_for(requests: Sequence[Request], rng: numpy.random.Generator) -> Draws:
    """The draws of one step, one for each request."""
    return tuple(request.drawn(rng) for request in requests)


def filled_up(draws: Sequence[Draws], length: int) -> Draws:
    """The draws of steps one after another, (length, ...) for each request; zero after the last step."""
    found = tuple(numpy.zeros((length, *first.shape), dtype=first.dtype) for first in draws[0])
    for place, one in zip(found, zip(*draws, strict=True), strict=True):
        place[: len(draws)] = one
    return found
