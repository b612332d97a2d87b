"""Compiling a network: declaration, validated, lowered and probed."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from manifoldnet.compiler.contraction import BlockPlan
from manifoldnet.compiler.engine import Engine, Precision
from manifoldnet.compiler.general import GeneralStage
from manifoldnet.compiler.lowering import Lowered, Lowering, lower
from manifoldnet.compiler.probe import probe_map
from manifoldnet.compiler.program import DEFAULT_MEMORY_LIMIT, Program
from manifoldnet.declare.layer import Declaration
from manifoldnet.declare.maps import Map
from manifoldnet.declare.network import Network
from manifoldnet.errors import CompilationError, ConditioningWarning
from manifoldnet.extras import extra_module

# What each is called, and what computes with what numbers.
BACKENDS: Mapping[str, tuple[str, Precision]] = {
    "autograd": ("autograd", "float64"),
    "jax": ("jax", "float64"),
    "jax:float32": ("jax", "float32"),
}

# What a person who asks for 32 bits is told.
COARSE = (
    'precision="float32" keeps seven digits of each number, and a solution loses as many as the condition number of its '
    "metric has: of blocks with one of 1e5 two digits are left, and parents whose weighted variance is below 5e-4 of their "
    "mean square count as constant. Use a damping of 1e-2 or more, standardised inputs, and compare some steps with "
    'precision="float64"'
)


def compile(
    net: Network | Declaration,
    backend: str = "autograd",
    lowering: Lowering = "auto",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    plans: Mapping[str, BlockPlan] | None = None,
    devices: Literal["all"] | None = None,
    precision: Precision = "float64",
) -> Program:
    """Compile a declared network to a program that gives outputs, losses, differentials and metrics.

    `backend` is "autograd", the reference, or "jax" (extra `jax`; MissingExtraError without it), where
    `devices="all"` cuts batches over all of JAX's devices, and `precision="float32"` (or `backend="jax:float32"`) computes
    in half the bits, warning (ConditioningWarning) of what that does to solutions; programs take and give 64 bits all the
    same.
    `lowering="general"` differentiates affine units automatically too, as a check. `memory_limit`, in bytes, bounds what
    a metric tensor may take.
    `plans={"h1": "dual"}` says how a layer is contracted with its parameters and solved: "dense" (blocks as they are),
    "dual" (by samples) or "gathered" (unit by unit, with the layers that read parents of their own); left alone, what is
    smaller (the backend "jax" gathers nothing that is dense, and its compiled steps choose for themselves). Raises
    CompilationError for a plan that a layer cannot have. Raises
    DeclarationError, GraphError or MapError for whatever is wrong with the network, naming the node and the remedy.

    >>> import numpy, manifoldnet as mn
    >>> net = mn.Network("line")
    >>> y = net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=2)])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> program = mn.compile(net)
    >>> program.output(numpy.array([1.0, 2.0, 3.0]), [[1.0, 1.0]]).tolist()
    [[6.0]]
    """
    if backend not in BACKENDS:
        raise CompilationError(f"no backend is named {backend!r}: there is {', '.join(BACKENDS)}")
    backend, own = BACKENDS[backend]
    precision = precision if own == "float64" else own
    if lowering not in ("auto", "general"):
        raise CompilationError(f"lowering is 'auto' or 'general', received {lowering!r}")
    declaration = net.validated() if isinstance(net, Network) else net
    if backend == "jax" and "gathered" in (plans or {}).values():
        raise CompilationError("plans={...: 'gathered'}: the backend 'jax' gathers what is not dense, and nothing else")
    lowered = lower(declaration, lowering, plans)
    for stage in lowered.stages:
        layer = declaration.layer(stage.slots[0].layer)
        if isinstance(stage, GeneralStage) and isinstance(layer.map, Map):
            probe_map(layer, stage)
    return Program(
        declaration, lowered, backend, memory_limit, engine=_engine(backend, declaration, lowered, devices, precision)
    )


def alike(programs: Sequence[Program]) -> list[Program]:
    """The same programs, made to share compiled functions where networks differ in nothing but which units are linked."""
    if any(program.backend != "jax" for program in programs):
        return list(programs)
    return extra_module("manifoldnet.compiler.backends.jax.building", "jax").alike(programs)


def compute_alone(backend: str) -> None:
    """Let a backend compute in one thread, where its threads are the whole process's: in a worker, before it compiles.

    Steps of small networks are some hundred operations of a microsecond each, and threads that wait for each other make
    them take twice the processor time and longer by the clock. Raises MissingExtraError where the backend is not there.
    """
    if BACKENDS[backend][0] == "jax":
        extra_module("manifoldnet.compiler.backends.jax.threads", "jax").start_with_one_thread()


def _engine(
    backend: str, declaration: Declaration, lowered: Lowered, devices: str | None, precision: str
) -> Engine | None:
    if devices not in (None, "all") or (devices is not None and backend != "jax"):
        raise CompilationError(f"devices= is None, or 'all' on the backend 'jax'; received {devices!r} on {backend!r}")
    if precision not in get_args(Precision) or (precision != "float64" and backend != "jax"):
        raise CompilationError(
            f"precision= is 'float64', or 'float32' on the backend 'jax'; received {precision!r} on {backend!r}"
        )
    if backend == "autograd":
        return None
    module = extra_module("manifoldnet.compiler.backends.jax.building", "jax")
    if precision == "float32":
        _require_flat(lowered)
        warnings.warn(COARSE, ConditioningWarning, stacklevel=3)
    return module.jax_engine(declaration, lowered, devices, precision)


def _require_flat(lowered: Lowered) -> None:
    """Raise CompilationError where parameters, kept in 64 bits, would be off their manifold by what 32 bits leave."""
    curved = {name: space for name, space in lowered.parameter_spaces.items() if not space.manifold.frame_is_identity}
    for name, space in curved.items():
        raise CompilationError(
            f"precision='float32': the parameters of layer {name!r} are points of {space.manifold}, which numbers of 32 "
            "bits miss; compile with precision='float64'"
        )
