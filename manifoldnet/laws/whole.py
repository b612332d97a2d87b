"""The natural and outer product metrics do not know how parameters are shared out among units (after proposition 17)."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.chart import Chart, product_chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.product import Product
from manifoldnet.laws.changes import Change, Pair
from manifoldnet.laws.drawn import curved_charts
from manifoldnet.laws.one_unit import NAME, one_unit, units_mixed
from manifoldnet.laws.promises import is_intrinsic, is_unitwise
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.damping import Intrinsic

DIRECTIONS = 3
EXACT = 1e-7
SEEN = 1e-3
# A chart of all parameters has a Jacobian with so many rows and columns.
PARAMETERS = 500


def mixed_whole(situation: Situation) -> Pair | None:
    """The network as one unit, before and after a smooth chart that mixes the parameters of all its units.

    None for networks that are no single unit, or have more than `PARAMETERS` parameters.
    """
    if situation.program.layout.size > PARAMETERS:
        return None
    try:
        net = one_unit(situation.net)
    except DeclarationError:
        return None
    single = situation.redeclared(net, situation.theta.flat)
    manifold = single.program.lowered.parameter_spaces[NAME].manifold
    point = single.theta[NAME].reshape(-1, *manifold.shape)[:1]
    mixed = units_mixed(net, _chart(manifold, point), seed=situation.seed)
    return Pair(single, Change("mixed units", mixed, bends=True))


def mixed_units(situation: Situation, pair: Pair, rule: MetricRule) -> Check:
    """The norm of a tangent is the same for the network, for it as one unit, and where a smooth chart mixes all of
    its parameters; and so is the gradient of the last two. Promised for natural and outer product metrics only."""
    promised = is_intrinsic(rule) and not is_unitwise(rule)
    statement = Statement("after proposition 17, parameters of all units mixed", rule.name, pair.change.name, promised)
    tensors = [side.tensor(rule) for side in (situation, pair.before, pair.after)]
    worst, where = 0.0, ""
    for drawn in situation.rng(11).standard_normal((DIRECTIONS, tensors[0].size)):
        norms = [tensors[0].norm2(drawn), tensors[1].norm2(drawn), tensors[2].norm2(pair.tangent(drawn))]
        deviation = (max(norms) - min(norms)) / max(max(norms), 1e-300)
        if not deviation <= worst:
            worst, where = deviation, "largest in norms"
    if promised:
        gap = _gradient_gap(pair, rule)
        if not gap <= worst:
            worst, where = gap, "largest in gradients, intrinsic:0.1"
    return statement.measured(worst, EXACT if promised else SEEN, where)


def _gradient_gap(pair: Pair, rule: MetricRule) -> float:
    """How far the gradients before and after the mixing chart are apart, in the damped metric."""
    damping = Intrinsic(0.1)
    before, after = pair.before.direction(rule, damping), pair.after.direction(rule, damping)
    return float(numpy.abs(after - pair.tangent(before)).max() / max(numpy.abs(after).max(), 1e-300))


def _chart(manifold: Manifold, point: NDArray) -> Chart | str:
    """A chart that holds the point, where the manifold has a default one or not."""
    if manifold.default_chart is not None:
        return manifold.default_chart
    if isinstance(manifold, Product):
        return product_chart(
            "held",
            manifold,
            [manifold_chart(f, p) for f, p in zip(manifold.factors, manifold.parts(point), strict=True)],
        )
    return curved_charts(manifold, point)[0]


def manifold_chart(manifold: Manifold, point: NDArray) -> Chart:
    """The default chart, or one that holds the point where there is none."""
    if manifold.default_chart is not None:
        return manifold.chart(manifold.default_chart)
    return curved_charts(manifold, point)[0]
