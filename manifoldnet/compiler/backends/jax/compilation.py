"""How XLA compiles: `jax.jit` with options that shorten it, where the XLA at hand knows them."""

import os
import warnings
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any, final

import jax

# Code for processors by XLA's older emitters takes half as long to compile, and steps take as long with it. Exponentials of
# eight numbers at once take half the time of four. Code in more parts than there are processors takes longer to compile.
OPTIONS: Mapping[str, bool | int] = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_parallel_codegen_split_count": max(4, os.cpu_count() or 1),
}

# What XLA says of an option that it does not know, in place of a program.
_UNKNOWN = "No such compile option"


@cache
def known(options: tuple[tuple[str, bool | int], ...] = tuple(OPTIONS.items())) -> dict[str, bool | int]:
    """The options, or none with a warning where this XLA does not know one of them: no result depends on it.

    Asked of XLA once, by compiling next to nothing, which starts JAX's client.
    """
    wanted = dict(options)
    try:
        jax.jit(lambda: 0.0, compiler_options=wanted).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if _UNKNOWN not in str(error):
            raise
        warnings.warn(f"compilation takes longer with jax {jax.__version__}, whose XLA says: {error}", stacklevel=2)
        return {}
    return wanted


@final
class Compiled:
    """A pure function that is compiled when it is called, once for each of its static arguments and kinds of arrays."""

    def __init__(self, function: Callable[..., Any], static: tuple[int, ...], donated: tuple[int, ...]) -> None:
        self._function, self._static, self._donated = function, static, donated
        self.__doc__ = function.__doc__

    @cached_property
    def jitted(self) -> Any:
        """What JAX makes of it; not before the first call, since options are asked of a client that has started."""
        return jax.jit(
            self._function,
            static_argnums=self._static,
            donate_argnums=self._donated,
            compiler_options=known(),
        )

    def __call__(self, *arguments: Any) -> Any:
        return self.jitted(*arguments)


def compiled(*static: int, donated: tuple[int, ...] = ()) -> Callable[[Callable[..., Any]], Compiled]:
    """A decorator: the arguments at positions `static` are hashed, those `donated` are used up, all others traced."""
    return lambda function: Compiled(function, static, donated)


__all__ = ["Compiled", "compiled", "known"]
