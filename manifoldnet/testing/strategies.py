"""Strategies for hypothesis (extra `testing`) that draw networks, charts, and changes of charts.

>>> from hypothesis import given, settings
>>> import manifoldnet as mn
>>> from manifoldnet.testing import assert_invariant
>>> @settings(max_examples=3, database=None, deadline=None)
... @given(networks())
... def test_it_does_not_matter(net):
...     assert_invariant(net, mn.Backpropagated(), charts=["affine"])
>>> test_it_does_not_matter()
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies

from manifoldnet.declare.handles import Handle
from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.declare.links import Link, identity, logistic, softplus, tanh
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.declare.wiring import fan_in
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.mixing import mixing_chart
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.real import Real
from manifoldnet.geometry.sphere import Sphere

INPUTS: tuple[Manifold, ...] = (Real(1), Real(2), Interval(0, 1), Interval(-1, 1), Positive(1), Sphere(2))
HIDDEN: tuple[Link, ...] = (logistic, tanh, softplus, identity)
OUTPUTS: tuple[tuple[Link, Interpretation, int], ...] = (
    (logistic, Bernoulli(), 2),
    (identity, Softmax(), 3),
    (identity, SquareLoss(), 2),
    (tanh, SquareLoss(), 1),
)


@strategies.composite
def networks(draw: strategies.DrawFn, most_layers: int = 3, most_units: int = 4) -> Network:
    """A network of one or two inputs on any of several manifolds, hidden layers with skips, and one interpretation."""
    net = Network("drawn", seed=draw(strategies.integers(0, 10**6)))
    handles: list[Handle] = []
    for number in range(draw(strategies.integers(1, 2))):
        size = draw(strategies.integers(1, most_units))
        handles.append(net.input(f"x{number}", size=size, manifold=draw(strategies.sampled_from(INPUTS))))
    for number in range(draw(strategies.integers(0, most_layers))):
        size, link = draw(strategies.integers(1, most_units)), draw(strategies.sampled_from(HIDDEN))
        parents = [draw(_wired(net, handle)) for handle in _chosen(draw, handles)]
        handles.append(net.layer(f"h{number}", size=size, map=Affine(link), parents=parents))
    link, interpretation, size = draw(strategies.sampled_from(OUTPUTS))
    unread = [handle for handle in handles if not _is_read(net, handle)]
    rest = [handle for handle in _chosen(draw, handles) if handle.layer not in {other.layer for other in unread}]
    output = net.layer("y", size=size, map=Affine(link), parents=[*unread, *rest])
    net.interpret(interpretation, parents=[output])
    return net


def _chosen(draw: strategies.DrawFn, handles: Sequence[Handle]) -> list[Handle]:
    """Some of the layers, the last one among them."""
    return [handle for handle in handles[:-1] if draw(strategies.booleans())] + [handles[-1]]


def _is_read(net: Network, handle: Handle) -> bool:
    return any(edge.parent == handle.layer for layer in net.snapshot().layers for edge in layer.edges)


def _wired(net: Network, handle: Handle) -> strategies.SearchStrategy[Any]:
    """A parent read whole, or an input by a few random links a unit, which may leave some of its units out."""
    if not net.snapshot().layer(handle.layer).is_input:
        return strategies.just(handle)
    sparse = strategies.integers(1, len(handle.units)).map(lambda links: (handle, fan_in(links)))
    return strategies.one_of(strategies.just(handle), sparse)


def charts(manifold: Manifold) -> strategies.SearchStrategy[Chart]:
    """A chart of the atlas of a manifold, or a smooth one that mixes its coordinates, where it has a default chart."""
    named = strategies.sampled_from([manifold.chart(name) for name in list(manifold.atlas)[:12]])
    if manifold.default_chart is None:
        return named
    mixed = strategies.integers(0, 10**6).map(lambda seed: mixing_chart(manifold, bend=0.3, seed=seed))
    return strategies.one_of(named, mixed)


@strategies.composite
def chart_changes(draw: strategies.DrawFn, net: Network) -> Network:
    """The network in other charts: an affine one for any of its layers that has one, and for any pre-activation."""
    changes: dict[str, Chart | str] = {}
    for layer in net.snapshot().layers:
        if layer.chart is not None and layer.chart.is_affine and draw(strategies.booleans()):
            changes[layer.name] = draw(_affine_charts(layer.manifold))
        if isinstance(layer.map, Affine) and draw(strategies.booleans()):
            changes[f"{layer.name}/pre-activation"] = draw(_affine_charts(Real(layer.manifold.dim)))
    return net.with_charts(changes)


def _affine_charts(manifold: Manifold) -> strategies.SearchStrategy[Chart]:
    factors = strategies.floats(0.25, 4.0).flatmap(lambda size: strategies.sampled_from([size, -size]))
    return strategies.builds(
        lambda scale, shift: Chart.affine("drawn", manifold, scale, shift), factors, strategies.floats(-2.0, 2.0)
    )
