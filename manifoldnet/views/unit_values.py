"""What is shown of every unit and link: moduli averaged over data, and weights."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.lower_affine import first_weights
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.quantities import backpropagated_moduli, fisher_moduli
from manifoldnet.compiler.run import Run
from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Affine
from manifoldnet.errors import DataError
from manifoldnet.learning.dataset import chosen, count

Colour = Literal["fisher", "backpropagated"]
MODULI: Mapping[str, Callable[[Run], dict[str, NDArray]]] = {
    "fisher": fisher_moduli,
    "backpropagated": backpropagated_moduli,
}


@final
@attrs.frozen(eq=False)
class Weights:
    """The weight of each link of an edge, (units, parents), NaN where there is none; or, not `signed`, of units of
    several dimensions the Frobenius norm of its block."""

    values: NDArray
    signed: bool


@final
@attrs.frozen(eq=False)
class UnitValues:
    """Numbers of one network at one point of parameter space.

    `moduli[layer]` (units,) is the trace of a unit's modulus divided by its dimension, averaged over `samples` (eqs. 14-17
    or 26-27), in the chart of its activity; inputs have none. `weights[layer]` has for each edge what its links weigh;
    for layers that are not affine there is no entry.
    """

    colour: Colour
    samples: int
    moduli: Mapping[str, NDArray]
    weights: Mapping[str, tuple[Weights, ...]]

    @property
    def kind(self) -> str:
        return "Fisher modulus" if self.colour == "fisher" else "backpropagated modulus"


def unit_values(program: Program, theta: Parameters, inputs: Any, colour: Colour = "fisher") -> UnitValues:
    """Moduli and weights at these parameters, averaged over these inputs.

    Raises DataError where the modulus has another name.

    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> y = net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=2)])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> program = mn.compile(net)
    >>> found = unit_values(program, program.parameters([0.5, 1.0, -2.0]), [[0.0, 1.0], [1.0, 1.0]])
    >>> found.moduli["y"].tolist(), found.weights["y"][0].values.tolist()
    ([1.0], [[1.0, -2.0]])
    """
    if colour not in MODULI:
        raise DataError(f"no modulus is called {colour!r}: there are {', '.join(MODULI)}")
    theta, samples = program.parameters(theta), count(inputs)
    total: dict[str, NDArray] = {}
    # moduli of all units at once take samples x units x dim^2 numbers, and n_out times as many on the way
    for start in range(0, samples, 100):
        part = chosen(inputs, slice(start, start + 100))
        run = Run(program, theta, program.points(part), None, None)
        for name, blocks in MODULI[colour](run).items():
            traces = numpy.trace(blocks, axis1=-2, axis2=-1).sum(axis=0) / blocks.shape[-1]
            total[name] = total[name] + traces if name in total else traces
    weights = {layer.name: _weights(program, layer, theta) for layer in program.declaration.layers if _is_affine(layer)}
    return UnitValues(colour, samples, {name: values / samples for name, values in total.items()}, weights)


def _is_affine(layer: Layer) -> bool:
    return isinstance(layer.map, Affine) and layer.parameter_chart is None


def _weights(program: Program, layer: Layer, theta: Parameters) -> tuple[Weights, ...]:
    spaces, found = program.lowered.spaces, []
    firsts = first_weights(layer, dict(spaces), program.layout)
    for edge, first in zip(layer.edges, firsts, strict=True):
        width = layer.manifold.dim * spaces[edge.parent].manifold.hull_dim
        blocks = theta.flat[numpy.where(edge.mask, first, 0)[..., None] + numpy.arange(width)]
        sizes = blocks[..., 0] if width == 1 else numpy.sqrt((blocks**2).sum(axis=-1))
        found.append(Weights(numpy.where(edge.mask, sizes, numpy.nan), width == 1))
    return tuple(found)
