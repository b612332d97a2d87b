"""A network on drawn data, where a test has none of its own."""

from typing import Any

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.data import checked_targets
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.run import Run
from manifoldnet.declare.network import Network
from manifoldnet.errors import DataError, DeclarationError
from manifoldnet.laws.situation import Situation

SAMPLES = 24


def drawn_situation(
    net: Network,
    theta: Any = None,
    inputs: Any = None,
    targets: Any = None,
    samples: int = SAMPLES,
    seed: int = 0,
    backend: str = "autograd",
) -> Situation:
    """The network where the caller says, and at drawn parameters, inputs and targets where he does not.

    Inputs are random points of the input manifolds, parameters are initial ones, targets are drawn from what the
    network puts out. Raises DataError for targets that cannot be drawn, because omega is no distribution.
    """
    program = compile(net, backend=backend)
    rng = numpy.random.default_rng(seed)
    points = _points(program, rng, samples) if inputs is None else program.points(inputs)
    start = program.initialize(rng) if theta is None else program.parameters(theta)
    if targets is not None:
        count = len(next(iter(points.values())))
        checked = checked_targets(program.declaration, program.output_counts(), targets, count)
    else:
        checked = _targets(Run(program, start, points, None, None), rng)
    return Situation(net, program, start, points, checked, seed)


def _points(program: Program, rng: numpy.random.Generator, samples: int) -> dict[str, NDArray]:
    """Random points of every input layer, (samples, units, size)."""
    layers = [layer for layer in program.declaration.layers if layer.is_input]
    return {
        layer.name: layer.manifold.sample(rng, samples * layer.size).reshape(samples, layer.size, -1)
        for layer in layers
    }


def _targets(run: Run, rng: numpy.random.Generator) -> dict[str, NDArray]:
    try:
        return {name: reading.sample(rng, 1)[0] for name, reading in run.whole.readings.items()}
    except DeclarationError as error:
        raise DataError(f"no targets can be drawn ({error}): give targets=...") from error
