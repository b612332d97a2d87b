"""Proposition 31: unitwise steps do not depend on how the signals into a unit are combined; reduced ones do."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.declare.apart import unit_name, units_apart
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.recombining import recombined
from manifoldnet.errors import DeclarationError, SingularMetricError
from manifoldnet.laws.promises import is_intrinsic
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.damping import Damping, Floor
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal as QuasiDiagonalTensor
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Group, Partition, Units, Whole
from manifoldnet.metrics.reductions import QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import Backpropagated

LENGTH = 0.05
TOLERANCE = 1e-7
SEEN = 1e-3
# So many units of each layer are considered.
UNITS = 4


@final
@attrs.frozen(eq=False, slots=False)
class Recombination:
    """A situation, and the same where the units of one layer read matrix s + shift instead of their signals s."""

    before: Situation
    after: Situation
    layer: str

    @classmethod
    def of(
        cls, situation: Situation, layer: str, matrix: NDArray, shift: NDArray, together: bool = True
    ) -> "Recombination":
        """Redeclare the layer; its parameters are the dual inverse transforms of the old ones."""
        net = recombined(situation.net, layer, matrix, shift, together)
        flat = recombined_parameters(situation, layer, matrix, shift)
        return cls(situation, situation.redeclared(net, flat), layer)

    def change_of_outputs(self, before: NDArray, after: NDArray) -> tuple[NDArray, NDArray]:
        """The outputs on both sides after a step of the layer alone along flat tangents."""
        sides = ((self.before, before), (self.after, after))
        found = []
        for situation, tangent in sides:
            place = situation.program.tangent_layout[self.layer]
            own = numpy.zeros(len(tangent))
            own[place.offset : place.stop] = tangent[place.offset : place.stop]
            found.append(situation.outputs(situation.program.step(situation.theta, own)))
        return found[0], found[1]


def recombined_parameters(situation: Situation, layer: str, matrix: NDArray, shift: NDArray) -> NDArray:
    """The flat parameters at which the recombined network computes the same: weights by matrix^-T, biases less shifts."""
    flat, place = numpy.array(situation.theta.flat), situation.program.layout[layer]
    q = situation.net.snapshot().layer(layer).manifold.dim
    rows = flat[place.offset : place.stop].reshape(place.units, place.width)
    weights = rows[:, q:].reshape(place.units, len(shift), q)
    moved = numpy.linalg.solve(matrix.T, weights)
    rows[:, :q] -= numpy.einsum("unq,n->uq", moved, shift)
    rows[:, q:] = moved.reshape(place.units, -1)
    return flat


def recombination(pair: Recombination, rule: MetricRule, damping: Damping | None = None) -> Check:
    """Proposition 31: a step of one unit's parameters does the same if its signals are recombined by a random matrix.

    The recombined signals are scalar units of their own, which changes moduli upstream, so that only the unit itself
    is stepped. Quasi-diagonal metrics do not promise it and must be seen to fail it; nor does Intrinsic damping.
    """
    promised = is_intrinsic(rule) and not isinstance(rule, QuasiDiagonal) and _keeps_signals(damping)
    name = "proposition 31, recombined signals" + (f", {damping.text}" if damping is not None else "")
    statement = Statement(name, rule.name, "recombination", promised)
    tolerance = TOLERANCE if promised else SEEN
    try:
        return _measured(statement, pair, rule, damping, tolerance)
    except (SingularMetricError, DeclarationError) as error:
        return statement.untestable(str(error).partition(";")[0], tolerance)


def _measured(
    statement: Statement, pair: Recombination, rule: MetricRule, damping: Damping | None, tolerance: float
) -> Check:
    steps = [_own_step(side, pair.layer, rule, damping) for side in (pair.before, pair.after)]
    length = numpy.sqrt(pair.before.here.natural_norm2(steps[0]))
    if not length > 0.0:
        return statement.untestable("the differential of the loss vanishes at the unit", tolerance)
    rate = min(1.0, LENGTH / length)
    before, after = pair.change_of_outputs(-rate * steps[0], -rate * steps[1])
    moved = numpy.abs(before - pair.before.outputs()).max()
    deviation = float(numpy.abs(after - before).max() / moved)
    if deviation <= tolerance and isinstance(rule, QuasiDiagonal) and _reads_one_signal(pair, rule):
        return statement.untestable(
            "all signals into the unit are multiples of one: the reduction loses nothing", tolerance
        )
    return statement.measured(deviation, tolerance, f"of unit {pair.layer}")


def _reads_one_signal(pair: Recombination, rule: QuasiDiagonal) -> bool:
    """Whether the whole block of the unit knows its bias and one direction of its weights, and no more."""
    block = unit_tensor(pair.before, pair.before.tensor(rule.metric), pair.layer).as_matrix()
    scale = numpy.sqrt(numpy.maximum(numpy.diagonal(block), 1e-300))
    rank = int(numpy.sum(numpy.linalg.eigvalsh(block / scale / scale[:, None]) > 1e-10 * len(block)))
    return rank <= 2 * pair.before.net.snapshot().layer(pair.layer).manifold.dim


def _own_step(situation: Situation, layer: str, rule: MetricRule, damping: Damping | None) -> NDArray:
    """A^{-1} dL of the only unit of a layer, with the block that the metric has there; zero elsewhere."""
    place, step = situation.program.tangent_layout[layer], numpy.zeros(situation.program.tangent_layout.size)
    own = slice(place.offset, place.stop)
    step[own] = unit_tensor(situation, situation.tensor(rule), layer).solve(situation.differential[own], damping)
    return step


def unit_tensor(situation: Situation, tensor: MetricTensor, layer: str) -> MetricTensor:
    """The block that a tensor has for the only unit of a layer, as a tensor of its own, with its floor."""
    floor = tensor.floor
    part = _part(situation, tensor, layer)
    return part if floor is None else attrs.evolve(part, floor=_part(situation, floor, layer))


def _part(situation: Situation, tensor: MetricTensor, layer: str) -> MetricTensor:
    partition, place = situation.program.partition, situation.program.tangent_layout[layer]
    for group, entries, blocks in zip(
        partition.groups, tensor.unit_entries(partition), tensor.unit_blocks(partition), strict=True
    ):
        rows = numpy.flatnonzero((group.index == place.offset).any(axis=1))
        if not rows.size:
            continue
        row = slice(int(rows[0]), int(rows[0]) + 1)
        own = _alone(group.only(row.start, row.stop), place.offset, place.stop, partition.size)
        if isinstance(tensor, QuasiDiagonalTensor) and isinstance(entries, Entries):
            return QuasiDiagonalTensor(own, [entries.only(row)])
        return Blocks(own, [blocks[row]])
    raise AssertionError(f"no group of the partition holds layer {layer!r}")


def _alone(group: Group, start: int, stop: int, size: int) -> Partition:
    """The partition of one unit whose positions were start:stop of a longer vector."""

    def moved(positions: NDArray) -> NDArray:
        return numpy.where(positions == size, stop - start, positions - start)

    if isinstance(group, Units):
        return Partition(stop - start, [Units(moved(group.bias), [moved(part) for part in group.parents])])
    return Partition(stop - start, [Whole(moved(group.index))])


def _keeps_signals(damping: Damping | None) -> bool:
    """Whether a damping does not look at single signals."""
    return damping is None or all(isinstance(part, Floor) for part in damping.parts)


def drawn_recombination(situation: Situation) -> Recombination | None:
    """A unit whose block is far from singular, with its signals recombined by a random matrix.

    None where no unit is affine and reads two signals or more.
    """
    best: tuple[float, str, int, int] | None = None
    tensor = Backpropagated().evaluate(situation.here)
    for layer in situation.net.snapshot().layers:
        if not isinstance(layer.map, Affine) or layer.parameter_chart is not None:
            continue
        place, q = situation.program.tangent_layout[layer.name], layer.manifold.dim
        for unit in range(min(UNITS, layer.size)):
            start = place.offset + sum(place.counts[:unit])
            n = place.counts[unit] // q - 1
            if n >= 2:
                least = _least_eigenvalue(situation, tensor, start)
                best = (least, layer.name, unit, n) if best is None or least > best[0] else best
    if best is None:
        return None
    rng, (_, layer_name, unit, n) = situation.rng(10), best
    turn, _ = numpy.linalg.qr(rng.standard_normal((n, n)))
    apart = situation.redeclared(units_apart(situation.net, layer_name), situation.theta.flat)
    name = unit_name(layer_name, unit)
    return Recombination.of(apart, name, turn * rng.uniform(0.5, 2.0, n), rng.uniform(-1.0, 1.0, n), together=False)


def _least_eigenvalue(situation: Situation, tensor: MetricTensor, start: int) -> float:
    """Of the block of the unit that starts there, with coordinates scaled by its diagonal."""
    partition = situation.program.partition
    for group, blocks in zip(partition.groups, tensor.unit_blocks(partition), strict=True):
        rows = numpy.flatnonzero((group.index == start).any(axis=1))
        if rows.size:
            kept = group.index[rows[0]] != partition.size
            block = blocks[rows[0]][numpy.ix_(kept, kept)]
            scale = numpy.sqrt(numpy.maximum(numpy.diagonal(block), 1e-300))
            return float(numpy.linalg.eigvalsh(block / scale / scale[:, None])[0])
    return 0.0
