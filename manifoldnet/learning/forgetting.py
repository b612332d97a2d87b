"""A metric that forgets: A <- (1 - gamma) A + gamma A(x_t), with whatever solving it needs (eqs. 36, 37)."""

from collections.abc import Sequence
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.errors import DataError
from manifoldnet.learning.pace import Pace
from manifoldnet.learning.trainer import Arrays
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.conversion import matrix_of
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.kept import TOLERABLE, KeptInverse, kept_inverse
from manifoldnet.linalg.partition_roots import one_unit
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal as QuasiDiagonalTensor
from manifoldnet.linalg.stored import tensor_arrays, tensor_from
from manifoldnet.linalg.tensor import Damping, MetricTensor
from manifoldnet.linalg.units import Partition
from manifoldnet.metrics.accumulate import averaged_blocks, averaged_entries, floor_blocks, floor_entries
from manifoldnet.metrics.contributions import unit_contribution, whole_contribution
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import QuasiDiagonal
from manifoldnet.metrics.reference import with_reference
from manifoldnet.metrics.unitwise_rules import UnitwiseRule

# So often the kept inverses are looked at, for two products with each.
CHECK_EVERY = 64


@final
@attrs.frozen(eq=False)
class Forgetting:
    """The averaged tensor, or the kept inverses of its blocks; the averaged moduli, and the floor made with them.

    The floor E[c] E[a~ a~^T] is averaged as samples come, each weighed by the average c of then: one sample's own c
    would give A(x) again. `age` counts steps since the inverses were computed.
    """

    tensor: MetricTensor | None = None
    inverse: KeptInverse | None = None
    weights: tuple[NDArray, ...] = ()
    floor: MetricTensor | None = None
    age: int = 0

    def solve(self, slope: NDArray, damping: Damping | None) -> NDArray:
        """(A^(t))^{-1} of a covector, damped."""
        if self.inverse is not None:
            return self.inverse.solve(slope)
        assert self.tensor is not None
        return self.tensor.solve(slope, damping)


def forgetting(run: Run, metric: MetricRule, damping: Damping | None) -> Forgetting:
    """A(0), averaged over the samples of `run` (eq. 36); raises SingularMetricError as solving does."""
    floored = damping is not None and damping.wants_floor
    weights: Sequence[NDArray] = ()
    tensor = metric.evaluate(run).without_floor()
    floor: MetricTensor | None = None
    if floored and isinstance(metric, UnitwiseRule):
        weights = averaged_blocks(metric.modulus, run)[1]()
        floor = Blocks(run.program.partition, floor_blocks(run, weights))
    elif floored and isinstance(metric, QuasiDiagonal):
        weights = averaged_entries(metric.metric.modulus, run)[1]()
        floor = QuasiDiagonalTensor(run.program.partition, floor_entries(run, weights))
    begun = Forgetting(tensor, None, tuple(weights), floor)
    return begun if _is_direct(metric) else _inverted(begun, run, metric, damping)


def renewed(
    old: Forgetting, run: Run, metric: MetricRule, damping: Damping | None, pace: Pace, slope: NDArray
) -> Forgetting:
    """The average with one sample more (eq. 37); inverses are recomputed when it is time, or when they are off."""
    if old.inverse is None:
        return _averaged(old, run, metric, pace)
    unitwise = metric.modulus if isinstance(metric, UnitwiseRule) else None
    added = whole_contribution(metric, run) if unitwise is None else unit_contribution(unitwise, run)
    inverse = old.inverse.updated(added.rows, pace.gamma)
    weights, floor = old.weights, old.floor
    if floor is not None and unitwise is not None:
        weights = _mixed(weights, added.weights, pace.gamma)
        floor = floor.average(Blocks(run.program.partition, floor_blocks(run, weights)), pace.gamma)
    new = Forgetting(None, inverse, weights, floor, old.age + 1)
    is_off = new.age % CHECK_EVERY == 0 and not inverse.residual(slope) <= TOLERABLE
    if new.age >= pace.refresh or is_off:
        return _inverted(attrs.evolve(new, tensor=_tensor(new, run, metric)), run, metric, damping)
    return new


def _averaged(old: Forgetting, run: Run, metric: MetricRule, pace: Pace) -> Forgetting:
    """Without inverses to keep: entries or diagonals."""
    assert old.tensor is not None
    weights, floor = old.weights, old.floor
    if floor is not None and isinstance(metric, QuasiDiagonal):
        entries, moduli = averaged_entries(metric.metric.modulus, run)
        tensor: MetricTensor = QuasiDiagonalTensor(run.program.partition, entries, name=old.tensor.name)
        weights = _mixed(weights, moduli(), pace.gamma)
        floor = floor.average(QuasiDiagonalTensor(run.program.partition, floor_entries(run, weights)), pace.gamma)
    else:
        tensor = metric.evaluate(run).without_floor()
    mixed = attrs.evolve(old.tensor, floor=None).average(tensor, pace.gamma)
    return Forgetting(_placed(mixed, floor, run), None, weights, floor)


def _mixed(old: Sequence[NDArray], new: Sequence[NDArray], gamma: float) -> tuple[NDArray, ...]:
    return tuple((1.0 - gamma) * a + gamma * b for a, b in zip(old, new, strict=True))


def _placed(tensor: MetricTensor, floor: MetricTensor | None, run: Run) -> MetricTensor:
    """The tensor with what dampings need to know, as it is at these parameters."""
    # an older reference would hold on to its samples, and to every one since
    tensor = attrs.evolve(tensor, floor=floor, reference=None)
    return tensor if isinstance(tensor, Diagonal) else with_reference(tensor, run)


def _inverted(found: Forgetting, run: Run, metric: MetricRule, damping: Damping | None) -> Forgetting:
    assert found.tensor is not None
    placed = _placed(matrix_of(found.tensor), found.floor, run)
    inverse = kept_inverse(placed, kept_partition(run.program, metric), damping)
    return attrs.evolve(found, tensor=None, inverse=inverse, age=0)


def _tensor(found: Forgetting, run: Run, metric: MetricRule) -> MetricTensor:
    assert found.inverse is not None
    partition, name = run.program.partition, f"the {metric.name} metric"
    if isinstance(metric, UnitwiseRule):
        return Blocks(partition, found.inverse.blocks, name=name)
    return Dense(found.inverse.blocks[0][0], name=name, partition=partition)


def _is_direct(metric: MetricRule) -> bool:
    """Whether the metric is solved entry by entry, without an inverse to be kept."""
    return not isinstance(metric, UnitwiseRule | Natural | OuterProduct | MonteCarloNatural)


def kept_partition(program: Program, metric: MetricRule) -> Partition:
    """The groups whose inverses are kept: units, or all parameters as one."""
    return program.partition if isinstance(metric, UnitwiseRule) else one_unit(program.tangent_layout.size)


def averages_of(found: Forgetting) -> dict[str, tuple]:
    """What compiled runs keep of an average, by group of units."""
    reduced = isinstance(found.tensor, QuasiDiagonalTensor)
    kept = found.inverse
    return {
        "blocks": () if kept is None else kept.blocks,
        "damped": () if kept is None else kept.damped,
        "inverses": () if kept is None else kept.inverses,
        "entries": _scalars(found.tensor) if reduced else (),
        "weights": found.weights,
        "floor": () if found.floor is None else _scalars(found.floor) if reduced else _blocks_of(found.floor),
    }


def with_averages(old: Forgetting, kept: Any, steps: int, program: Program, metric: MetricRule) -> Forgetting:
    """The average that compiled runs came to from an older one, after so many steps."""
    partition, name = program.partition, f"the {metric.name} metric"
    if old.inverse is not None:
        inverse = KeptInverse(old.inverse.partition, kept.blocks, kept.damped, kept.inverses)
        floor = old.floor and Blocks(partition, kept.floor)
        return Forgetting(None, inverse, tuple(kept.weights), floor, old.age + steps)
    floor = old.floor and _of_scalars(old.floor, kept.floor)
    return Forgetting(
        attrs.evolve(_of_scalars(old.tensor, kept.entries), floor=floor, name=name), None, kept.weights, floor
    )


def _scalars(tensor: Any) -> tuple:
    return tuple(part.scalars for part in tensor.entries)


def _blocks_of(floor: Any) -> tuple:
    return tuple(floor.blocks)


def _of_scalars(old: Any, found: Sequence[tuple]) -> QuasiDiagonalTensor:
    entries = []
    for part, (bias, cross, own) in zip(old.entries, found, strict=True):
        cuts = numpy.cumsum([each.shape[1] for each in part.cross])[:-1]
        entries.append(
            type(part)(
                bias[:, None, None],
                [each[..., None, None] for each in numpy.split(cross, cuts, axis=1)],
                [each[..., None, None] for each in numpy.split(own, cuts, axis=1)],
            )
        )
    return QuasiDiagonalTensor(old.partition, entries, name=old.name)


def forgetting_arrays(found: Forgetting | None) -> Arrays:
    """All that an average holds as arrays by name."""
    if found is None:
        return {}
    arrays: dict[str, NDArray] = {"age": numpy.array(found.age)}
    arrays.update({f"weights.{i}": part for i, part in enumerate(found.weights)})
    if found.floor is not None:
        arrays.update({f"under.{key}": part for key, part in tensor_arrays(found.floor).items()})
    if found.tensor is not None:
        bare = attrs.evolve(found.tensor, floor=None)
        arrays.update({f"tensor.{key}": part for key, part in tensor_arrays(bare).items()})
    if found.inverse is not None:
        for kind in ("blocks", "damped", "inverses"):
            arrays.update({f"{kind}.{i}": part for i, part in enumerate(getattr(found.inverse, kind))})
    return arrays


def forgetting_from(arrays: Arrays, program: Program, metric: MetricRule) -> Forgetting | None:
    """The average that `forgetting_arrays` made arrays of; raises DataError where they do not fit."""
    if not arrays:
        return None
    name, partition = f"the {metric.name} metric", program.partition
    under, own = _named(arrays, "under."), _named(arrays, "tensor.")
    weights = tuple(_listed(arrays, "weights", None))
    floor = tensor_from(under, partition, f"the floor of {name}") if under else None
    if _is_direct(metric):
        return Forgetting(tensor_from(own, partition, name), None, weights, floor)
    held = kept_partition(program, metric)
    shapes = [(group.units, group.width, group.width) for group in held.groups]
    blocks, damped, inverses = (tuple(_listed(arrays, kind, shapes)) for kind in ("blocks", "damped", "inverses"))
    return Forgetting(None, KeptInverse(held, blocks, damped, inverses), weights, floor, int(arrays["age"]))


def _named(arrays: Arrays, start: str) -> dict[str, Any]:
    return {key.removeprefix(start): part for key, part in arrays.items() if key.startswith(start)}


def _listed(arrays: Arrays, kind: str, shapes: Sequence[tuple[int, ...]] | None) -> list[NDArray]:
    found = _named(arrays, f"{kind}.")
    parts = [found[str(i)] for i in range(len(found)) if str(i) in found]
    if shapes is not None and [part.shape for part in parts] != list(shapes):
        raise DataError(f"the metric's {kind} do not fit the network: expected shapes {list(shapes)}")
    return parts
