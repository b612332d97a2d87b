"""A map broadcasts, is pure, stays on its manifold, and has the derivatives that it is differentiated to."""

from collections.abc import Sequence

import numpy

from manifoldnet import numpy as np
from manifoldnet.compiler.compile import compile
from manifoldnet.declare.interpretations.output_map import OutputMap
from manifoldnet.declare.maps import Map
from manifoldnet.declare.network import Network
from manifoldnet.errors import CompilationError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.real import Real
from manifoldnet.laws.record import Check
from manifoldnet.metrics.unitwise_rules import Backpropagated
from manifoldnet.numpy.dispatch import Array
from manifoldnet.testing.invariance import assert_invariant
from manifoldnet.testing.situations import SAMPLES

# Ways to change charts that say something of maps which need not be affine.
CHARTS = ("affine", "activities", "parameters")


def check_map(
    map: Map, parents: Sequence[Manifold | tuple[Manifold, int]], units: int = 2, seed: int = 0
) -> list[Check]:
    """Raise AssertionError unless a map can be a unit: with parents on these manifolds, so many units of each.

    What compiling checks (result shape, one sample and one unit at a time as in a batch, Jacobian against central
    differences, twice for purity, results on the manifold), and then that the backpropagated metric of `units` such units
    is the same in other charts. Returns what was measured.
    """
    if map.activity is None:
        raise AssertionError(f"map {map.name!r} names no manifold of its activity")
    net = Network("checked map", seed=seed)
    handles = []
    for number, parent in enumerate(parents):
        manifold, count = parent if isinstance(parent, tuple) else (parent, 1)
        handles.append(net.input(f"parent {number}", size=count, manifold=manifold))
    size = units * map.activity.size
    layer = net.layer("units", size=units, map=map, parents=handles)
    net.interpret(OutputMap(lambda outputs: outputs, Real(size), _distance), parents=[layer])
    try:
        compile(net)
    except CompilationError as error:
        raise AssertionError(str(error)) from error
    targets = numpy.zeros((SAMPLES, size))
    return assert_invariant(net, Backpropagated(), targets=targets, charts=CHARTS, seed=seed)


def _distance(point: Array, target: Array) -> Array:
    return 0.5 * np.sum((point - target) ** 2, axis=-1)
