"""Engines of lowered networks, and those of several networks that share what is compiled."""

from collections.abc import Sequence

import attrs
import jax

from manifoldnet.compiler.backends.jax.engine import JaxEngine
from manifoldnet.compiler.backends.jax.mesh import Devices, all_devices, held
from manifoldnet.compiler.backends.jax.padding import widest
from manifoldnet.compiler.backends.jax.structure import Network, network_of
from manifoldnet.compiler.engine import Precision
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.program import Program
from manifoldnet.declare.layer import Declaration
from manifoldnet.errors import CompilationError


def jax_engine(
    declaration: Declaration, lowered: Lowered, devices: str | None = None, precision: Precision = "float64"
) -> JaxEngine:
    """The engine of a lowered network; on `devices="all"` batches are cut over all devices of all processes.

    Raises CompilationError for a version of JAX that cannot serve.
    """
    if not hasattr(jax, "enable_x64"):
        raise CompilationError(f"the JAX backend needs jax 0.8 or newer, found {jax.__version__}: upgrade it")
    shared = all_devices(precision) if devices == "all" else None
    return JaxEngine(_placed(network_of(declaration, lowered, precision=precision), shared), shared)


def _placed(network: Network, devices: Devices | None) -> Network:
    """With arrays where they are used; several devices take those that every process has in NumPy."""
    return network if devices is not None else attrs.evolve(network, arrays=held(network.arrays, network.precision))


def alike(programs: Sequence[Program]) -> list[Program]:
    """The programs with rows of one length, so that those of other seeds share what is compiled."""
    engines = [program.engine for program in programs if isinstance(program.engine, JaxEngine)]
    room = widest([engine.network.room for engine in engines]) if len(engines) == len(programs) else None
    if room is None:
        return list(programs)
    found = []
    for program, engine in zip(programs, engines, strict=True):
        network = _placed(
            network_of(program.declaration, program.lowered, room, engine.network.precision), engine.devices
        )
        found.append(attrs.evolve(program, engine=attrs.evolve(engine, network=network)))
    return found


__all__ = ["alike", "jax_engine"]
