"""How many operations a metric takes: the orders of the paper's sections 1 and 2, with the numbers of a network."""

from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.maps import Affine
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.rows import FisherRows
from manifoldnet.metrics.unitwise_rules import (
    Backpropagated,
    UnitwiseMonteCarloNatural,
    UnitwiseNatural,
    UnitwiseOuterProduct,
    UnitwiseRule,
)


@final
@attrs.frozen
class Sizes:
    """The numbers that costs depend on.

    `links` counts the entries of all Jacobians of units, n d for n affine units of d parents; `parameters`
    those of all units; `squares` the entries of their blocks, n d^2; `rows` the covectors that the natural
    metric pulls back for each sample, n_out or so.
    """

    links: int
    parameters: int
    squares: int
    rows: int


def operations_per_sample(program: Program, metric: MetricRule, samples: int) -> int:
    """Multiplications per sample for the gradient and the entries of a metric on so many samples at once.

    Three passes over the links for the gradient, one for each covector or modulus that is pulled back, then
    the entries: O(nd) for quasi-diagonal backpropagated, O(n d^2) for blocks, O(n d n_out + ...) for natural
    ones. The whole natural metric counts what is done here, where it forms a matrix or, of fewer samples
    than parameters, products of rows: O(n^2 d^2 n_out) at most. Solving comes once a step and is left out.

    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> y = net.layer("y", size=3, map=mn.Affine(), parents=[net.input("x", size=9)])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> program = mn.compile(net)
    >>> [operations_per_sample(program, rule, 64) for rule in (mn.Euclidean(), mn.Backpropagated())]
    [90, 420]
    """
    sizes = sizes_of(program)
    return 3 * sizes.links + _pulled(metric, sizes) * sizes.links + _entries(metric, sizes, samples)


def sizes_of(program: Program) -> Sizes:
    """The sizes of a compiled network."""
    declaration, layout = program.declaration, program.tangent_layout
    counts = {place.name: place.counts for place in layout}
    links = sum(_links(declaration, layer, counts.get(layer.name, ())) for layer in declaration.layers)
    squares = sum(p * p for entries in counts.values() for p in entries)
    return Sizes(links, layout.size, squares, FisherRows().count(program))


def _links(declaration: Declaration, layer: Layer, counts: tuple[int, ...]) -> int:
    if isinstance(layer.map, Affine):
        return sum(counts)
    read = sum(int(edge.mask.sum()) * declaration.layer(edge.parent).manifold.size for edge in layer.edges)
    return layer.manifold.dim * (sum(counts) + read)


def _pulled(metric: MetricRule, sizes: Sizes) -> int:
    """How many covectors or moduli go backwards beside the gradient's own."""
    rule = metric.metric if isinstance(metric, QuasiDiagonal | Diagonal) else metric
    if isinstance(rule, Natural | UnitwiseNatural):
        return sizes.rows
    if isinstance(rule, MonteCarloNatural | UnitwiseMonteCarloNatural):
        return rule.samples
    if isinstance(rule, Backpropagated):
        return 1
    if isinstance(rule, Euclidean | AdaGrad | OuterProduct | UnitwiseOuterProduct):
        return 0
    raise TypeError(f"no cost is known of {metric!r}")


def _entries(metric: MetricRule, sizes: Sizes, samples: int) -> int:
    """Multiplications for the entries, once moduli or rows stand at the units."""
    if isinstance(metric, Euclidean):
        return 0
    if isinstance(metric, Diagonal | AdaGrad):
        return sizes.parameters
    if isinstance(metric, QuasiDiagonal):
        return 2 * sizes.parameters
    if isinstance(metric, UnitwiseRule):
        return sizes.squares
    rows = max(1, _pulled(metric, sizes))
    return rows * sizes.parameters * min(sizes.parameters, rows * samples)
