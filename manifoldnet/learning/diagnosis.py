"""Where numbers stopped being finite: at which unit it began, and what the metric's block there looks like."""

from collections.abc import Iterator
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.passes import pull_back_covectors
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.stage import Stage
from manifoldnet.compiler.trace import Trace
from manifoldnet.errors import ManifoldNetError, NumericalError
from manifoldnet.linalg.tensor import MetricTensor

# Blocks wider than this are not decomposed for a message.
WIDEST = 2000


@final
@attrs.frozen
class Block:
    """The block of one unit in a metric: how many directions it measures of how many, and its condition number."""

    unit: str
    rank: int
    size: int
    condition: float
    is_finite: bool = True

    def __str__(self) -> str:
        if not self.is_finite:
            return f"the metric's block of {self.unit} is not finite"
        return f"the metric's block of {self.unit} has rank {self.rank} of {self.size}, condition {self.condition:.1e}"


def where_it_began(run: Run) -> str | None:
    """The first thing that is not finite, forwards through the network and back again; None if all is."""
    with numpy.errstate(all="ignore"):
        try:
            trace = run.whole
            return _forward(run, trace) or _backward(run, trace)
        except NumericalError as error:
            return str(error)


def loss_or_why(run: Run) -> tuple[float, str | None]:
    """The loss; where it is not finite infinity, and at which unit that begins."""
    try:
        loss = run.loss
    except NumericalError as error:
        return numpy.inf, str(error)
    if numpy.isfinite(loss) and numpy.isfinite(run.theta.flat).all():
        return loss, None
    return numpy.inf, where_it_began(run) or "the parameters that the step leads to are not finite"


def _forward(run: Run, trace: Trace) -> str | None:
    for stage, linearisation in zip(trace.lowered.stages, trace.linearisations, strict=True):
        place = _first(stage, linearisation.points)
        if place is not None:
            return f"the activity of unit {place}"
    for name, reading in trace.readings.items():
        targets = (run.targets or {}).get(name)
        bad = ~numpy.isfinite(reading.z).all(axis=1) if targets is None else ~numpy.isfinite(reading.loss(targets))
        if bad.any():
            return f"the loss of {name!r} is not finite on sample {int(numpy.argmax(bad))}"
    return None


def _backward(run: Run, trace: Trace) -> str | None:
    if run.targets is None:
        return None
    seeds = {name: reading.score(run.targets[name]).outputs[None] for name, reading in trace.readings.items()}
    for name, rows in seeds.items():
        if not numpy.isfinite(rows).all():
            sample = int(numpy.argwhere(~numpy.isfinite(rows[0]))[0, 0])
            return f"the derivative of the loss of {name!r} is not finite on sample {sample}"
    inner = pull_back_covectors(trace, seeds)
    for stage, values in reversed(list(zip(trace.lowered.stages, inner, strict=True))):
        place = _first(stage, values[0])
        if place is not None:
            return f"the derivative of the loss at unit {place}"
    return None


def _first(stage: Stage, values: NDArray) -> str | None:
    """The first unit of (samples, units, ...) values that are not finite, and on which sample."""
    bad = ~numpy.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=2)
    if not bad.any():
        return None
    sample, unit = (int(i) for i in numpy.argwhere(bad)[0])
    return f"{unit_name(stage, unit)} is not finite on sample {sample}"


def unit_name(stage: Stage, unit: int) -> str:
    """A stage's unit by the name of its layer, such as h[3]."""
    slot = next(slot for slot in stage.slots if slot.start <= unit < slot.stop)
    return f"{slot.layer}[{slot.units[unit - slot.start]}]"


def worst_block(run: Run, tensor: MetricTensor) -> Block | None:
    """The unit whose block is not finite, or else the one with the worst condition number; None without units."""
    worst: Block | None = None
    with numpy.errstate(all="ignore"):
        for name, matrix in _blocks(run, tensor):
            if not numpy.isfinite(matrix).all():
                return Block(name, 0, len(matrix), numpy.inf, False)
            if len(matrix) > WIDEST:
                continue
            values = numpy.linalg.eigvalsh(matrix)
            rank = int((values > 1e-12 * values[-1]).sum()) if values[-1] > 0.0 else 0
            condition = float(values[-1] / values[0]) if values[0] > 0.0 else numpy.inf
            if worst is None or condition > worst.condition or (rank / len(matrix) < worst.rank / worst.size):
                worst = Block(name, rank, len(matrix), condition)
    return worst


def _blocks(run: Run, tensor: MetricTensor) -> Iterator[tuple[str, NDArray]]:
    """Every unit's name and block."""
    program, partition = run.program, run.program.partition
    layers = {layer.name for layer in program.declaration.layers}
    for group, blocks in zip(partition.groups, tensor.unit_blocks(partition), strict=True):
        for unit, block in enumerate(blocks):
            there = group.index[unit] != partition.size
            name = program.unit_name(int(group.index[unit].min()))
            is_unit = name.partition("[")[0] in layers
            yield f"unit {name}" if is_unit else f"output parameters {name!r}", block[there][:, there]


def diagnosed(run: Run, metric: MetricRule, error: ManifoldNetError | None = None) -> str:
    """What is wrong at these parameters on these data: where it began, and the metric's worst block."""
    began = where_it_began(run)
    parts = [str(error)] if error is not None and began is None else []
    parts += [began] if began is not None else []
    try:
        with numpy.errstate(all="ignore"):
            block = worst_block(run, metric.evaluate(run))
    except (ManifoldNetError, numpy.linalg.LinAlgError) as failed:
        parts.append(f"the {metric.name} metric cannot be evaluated there ({failed})")
    else:
        parts += [] if block is None else [str(block)]
    return "; ".join(parts)
