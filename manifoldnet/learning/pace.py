"""How fast an online metric forgets and from how many samples it begins, by the sizes of units (section 1.3)."""

import math
from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.errors import DeclarationError
from manifoldnet.learning.schedule import Online
from manifoldnet.linalg.units import Whole
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.contributions import whole_rows
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import UnitwiseRule

# A metric without blocks is an average all the same, and one of fewer samples than this is none.
FEWEST = 20


@final
@attrs.frozen
class Pace:
    """The discount factor, how many samples A(0) is averaged over, and after how many steps inverses are recomputed."""

    gamma: float
    n_init: int
    refresh: int


def pace_of(schedule: Online, program: Program, metric: MetricRule) -> Pace:
    """The schedule's pace, checked against the network's units, or one that fits them.

    The paper asks for gamma much smaller than 1/n_k so that inverses can be relied on. A quasi-diagonal or diagonal
    metric inverts next to nothing, but its entries are averages all the same, and n_k of them make a step: of as few
    samples as would make them invertible they are noise (82% instead of 94% on digits). So what is chosen here goes by all
    parameters of a unit, for every metric; what is refused goes by what is inverted.

    Raises DeclarationError for `gamma` of 1/n_k or more, or `n_init` samples that cannot fill the block of a unit.
    """
    size, rank, name = largest_block(program, metric)
    width, width_rank = _averaged(program, metric)
    gamma = 0.1 / width if schedule.gamma is None else schedule.gamma
    n_init = max(FEWEST, math.ceil(1.5 * width / width_rank)) if schedule.n_init is None else schedule.n_init
    if gamma * size >= 1.0:
        raise DeclarationError(
            f"mn.Online(gamma={gamma!r}) forgets too fast for {name}, which has {size} parameters: the average would be "
            f"close to a matrix of low rank. gamma should be much smaller than 1/{size} (section 1.3 of the paper), such "
            f"as {0.1 / size:.2g}, or use a quasi-diagonal metric"
        )
    if n_init * rank < size:
        raise DeclarationError(
            f"mn.Online(n_init={n_init}) is too few samples for {name}, which has {size} parameters: A(0) would be "
            f"singular. n_init should be somewhat larger than {math.ceil(size / rank)}, such as "
            f"{math.ceil(1.5 * size / rank)} (section 1.3 of the paper), or use a quasi-diagonal metric"
        )
    refresh = max(1, math.ceil(0.1 / gamma)) if schedule.refresh is None else schedule.refresh
    return Pace(gamma, n_init, refresh)


def largest_block(program: Program, metric: MetricRule) -> tuple[int, int, str]:
    """The parameters of the largest block that a metric inverts, how many directions of it one sample informs at most,
    and whose it is."""
    if isinstance(metric, Euclidean | AdaGrad | Diagonal):
        return 1, 1, "each parameter"
    if isinstance(metric, QuasiDiagonal | UnitwiseRule):
        return _largest_unit(program, isinstance(metric, QuasiDiagonal))
    rank = max(1, whole_rows(metric).count(program))
    return program.tangent_layout.size, rank, f"the {metric.name} metric on all parameters together"


def _averaged(program: Program, metric: MetricRule) -> tuple[int, int]:
    """The parameters that are stepped by one average together, and how many directions one sample informs."""
    if isinstance(metric, Diagonal | QuasiDiagonal):
        return _largest_unit(program, reduced=False)[:2]
    return largest_block(program, metric)[:2]


def _largest_unit(program: Program, reduced: bool) -> tuple[int, int, str]:
    """Of the reduction a bias and one parent are inverted at a time, except in units that keep their full block."""
    worst = (1, 1, "each parameter")
    for group in program.partition.groups:
        layer = program.unit_name(int(group.index[0].min())).partition("[")[0]
        is_layer = layer in program.lowered.spaces
        name = f"a unit of layer {layer!r}" if is_layer else "the output parameters"
        dim = program.lowered.spaces[layer].dim if is_layer else max(1, sum(program.output_counts().values()))
        if isinstance(group, Whole) or not reduced:
            size = group.width
        else:
            size = group.q + max((part.shape[2] for part in group.parents), default=0)
        if size / dim > worst[0] / worst[1]:
            worst = (size, dim, name)
    return worst
