"""One evaluation of a metric rule: a program, parameters, and data, chunk by chunk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.data import Streams, StreamsApart, Targets, sliced
from manifoldnet.compiler.layout import Covector, Owned, Parameters
from manifoldnet.compiler.once import once
from manifoldnet.compiler.passes import natural_products, summed_differential
from manifoldnet.compiler.trace import Trace
from manifoldnet.errors import MemoryLimitError
from manifoldnet.linalg.tensor import MetricTensor

if TYPE_CHECKING:
    from manifoldnet.compiler.program import Program
    from manifoldnet.compiler.rule import MetricRule


@final
@attrs.frozen(eq=False, slots=False)
class Run:
    """A network at one point of parameter space, on a batch; loss, differential and metrics share its forward pass.

    A program with an engine answers with that; `whole` and `chunks` are the reference's traces all the same.
    """

    program: "Program"
    theta: Parameters
    points: Mapping[str, NDArray]
    targets: Targets | None
    rng: numpy.random.Generator | None

    @once
    def samples(self) -> int:
        return len(next(iter(self.points.values())))

    @property
    def size(self) -> int:
        return self.program.tangent_layout.size

    @once
    def whole(self) -> Trace:
        """All samples in one trace."""
        return self.program.trace(self.theta, self.points)

    def chunks(self, rows: int, extra_bytes: int = 0) -> Iterable[tuple[Trace, Targets]]:
        """Traces of consecutive chunks with their targets (empty where the rule needs none)."""
        size = self.program.chunk_size(rows, extra_bytes)
        return ((self.whole, self.targets or {}),) if self.samples <= size else self._cut(size)

    def _cut(self, size: int) -> Iterator[tuple[Trace, Targets]]:
        for chosen in sliced(self.samples, size):
            targets = {name: values[chosen] for name, values in (self.targets or {}).items()}
            trace = self.program.trace(self.theta, {k: v[chosen] for k, v in self.points.items()})
            yield attrs.evolve(trace, first=chosen.start), targets

    @once
    def streams(self) -> Streams:
        """Random numbers for each interpretation: one stream each, so that splitting a batch changes no draw."""
        if self.rng is None:
            return {}
        names = [output.name for output in self.program.declaration.outputs]
        if len(names) == 1:
            return {names[0]: self.rng}
        return StreamsApart(tuple(names), self.rng)

    @once
    def loss(self) -> float:
        """The average loss per sample in nats, summed over interpretations."""
        if self.program.engine is not None:
            return float(self.losses.sum()) / self.samples
        total = 0.0
        for trace, targets in self.chunks(1):
            total += sum(float(reading.loss(targets[name]).sum()) for name, reading in trace.readings.items())
        return total / self.samples

    @once
    def losses(self) -> NDArray:
        """The loss of each sample in nats, (samples,), summed over interpretations."""
        if self.program.engine is not None:
            return self.program.engine.losses(self)
        parts = []
        for trace, targets in self.chunks(1):
            parts.append(sum(reading.loss(targets[name]) for name, reading in trace.readings.items()))
        return numpy.concatenate(parts)

    def outputs(self) -> dict[str, NDArray]:
        """omega on all samples in the output manifolds' reference coordinates, by interpretation."""
        if self.program.engine is not None:
            return self.program.engine.outputs(self)
        parts: dict[str, list[NDArray]] = {output.name: [] for output in self.program.declaration.outputs}
        for trace, _ in self.chunks(1):
            for name, reading in trace.readings.items():
                parts[name].append(numpy.asarray(reading.point()))
        return {name: numpy.concatenate(values) for name, values in parts.items()}

    def differential(self) -> Covector:
        """dL/dtheta of the average loss."""
        layout = self.program.tangent_layout
        if self.program.engine is not None:
            return Covector(self.program.engine.differential(self), layout=layout)
        total: NDArray | None = None
        for trace, targets in self.chunks(1):
            part = summed_differential(trace, targets, 1.0 / self.samples)
            total = part if total is None else numpy.add(total, part, out=total)
        assert total is not None
        return Covector(Owned(total), layout=layout)

    def natural_norm2(self, tangent: NDArray) -> float:
        """The squared length of a flat tangent in the natural metric (eq. 64), by one pass forward and no matrix."""
        return float(self.natural_products([tangent])[0, 0])

    def natural_products(self, tangents: Sequence[NDArray]) -> NDArray:
        """The inner products of k flat tangents in the natural metric (eq. 64), (k, k), by k passes forward."""
        if self.program.engine is not None:
            return self.program.engine.natural_products(self, tangents)
        parts = [natural_products(trace, tangents) for trace, _ in self.chunks(1)]
        return numpy.sum(parts, axis=0) / self.samples

    def metric(self, rule: "MetricRule") -> MetricTensor:
        """The metric tensor of a rule here."""
        return rule.evaluate(self)

    def check_memory(self, bytes_needed: int, what: str) -> None:
        """Raise MemoryLimitError if `what` would take more than the program allows, before allocating it."""
        limit = self.program.memory_limit
        if bytes_needed > limit:
            raise MemoryLimitError(
                f"{what} would take {bytes_needed / 2**20:,.0f} MiB for {self.samples} samples and {self.size} "
                f"parameters; the limit is {limit / 2**20:,.0f} MiB. Use a unitwise or quasi-diagonal "
                "metric, fewer samples, or mn.compile(net, memory_limit=...)"
            )
