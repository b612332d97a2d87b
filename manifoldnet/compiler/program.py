"""Programs: what a declaration compiles to, and what a person asks of it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.apart import border_of
from manifoldnet.compiler.data import Targets, checked_inputs, checked_targets
from manifoldnet.compiler.engine import Engine
from manifoldnet.compiler.initialisation import initial_flat
from manifoldnet.compiler.inside import check_inside, check_parameters
from manifoldnet.compiler.layout import Covector, Layout, Owned, Parameters, Tangent
from manifoldnet.compiler.lines import StageLines
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.compiler.trace import Activities, Trace
from manifoldnet.declare.layer import Declaration
from manifoldnet.errors import DataError
from manifoldnet.linalg.border import Border
from manifoldnet.linalg.tensor import MetricTensor, flat
from manifoldnet.linalg.units import Partition

Values = NDArray | Mapping[str, NDArray]

DEFAULT_MEMORY_LIMIT = 4 * 2**30
WORKSPACE = 128 * 2**20


@final
@attrs.frozen(eq=False, slots=False)
class Program:
    """A compiled network. Averages over samples, losses in nats, differentials (not their negatives)."""

    declaration: Declaration
    lowered: Lowered
    backend: str = "autograd"
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    workspace: int = WORKSPACE
    engine: Engine | None = None

    @property
    def layout(self) -> Layout:
        """Where parameters stand in `theta.flat`."""
        return self.lowered.stored

    @property
    def tangent_layout(self) -> Layout:
        """Where tangents and covectors stand; differs from `layout` where parameters are points of curved manifolds."""
        return self.lowered.tangents

    @property
    def partition(self) -> Partition:
        """The unit structure of tangent vectors."""
        return self.lowered.partition

    def initialize(self, rng: numpy.random.Generator) -> Parameters:
        """Draw initial parameters, in reference coordinates, so that charts do not change the initial network."""
        return Parameters(initial_flat(self.declaration, self.lowered, rng), layout=self.layout)

    def parameters(self, values: Parameters | NDArray) -> Parameters:
        """Parameters of this network from a flat vector; raises ShapeError if the length differs."""
        if self.engine is not None:
            self.engine.refuse_traced(values)
        if isinstance(values, Parameters) and (values.layout is self.lowered.stored or values.layout == self.layout):
            return values
        return Parameters(flat(values, self.layout.size), layout=self.layout)

    def tangent(self, values: Any) -> Tangent:
        """A tangent of this network from a flat vector."""
        return Tangent(flat(values, self.tangent_layout.size), layout=self.tangent_layout)

    def step(self, theta: Parameters | NDArray, tangent: Any) -> Parameters:
        """The point reached from `theta` along a tangent: by addition, or by a retraction on curved spaces."""
        theta = self.parameters(theta)
        move = flat(tangent, self.lowered.tangents.size, "tangent")
        if not self.lowered.parameter_spaces:
            return Parameters(Owned(theta.flat + move), layout=self.lowered.stored)
        return theta.replace(_stepped(self.lowered, theta.flat, move))

    def output(self, theta: Parameters | NDArray, inputs: Any) -> Values:
        """omega(theta, x) in the output manifold's reference coordinates, (samples, ...); by name if several."""
        run = Run(self, self.parameters(theta), self._inputs(inputs), None, None)
        found = run.outputs()
        return next(iter(found.values())) if len(found) == 1 else found

    def losses(self, theta: Parameters | NDArray, inputs: Any, targets: Any) -> NDArray:
        """The loss of each sample in nats, (samples,), summed over interpretations."""
        return self.at(theta, inputs, targets).losses

    def loss(self, theta: Parameters | NDArray, inputs: Any, targets: Any) -> float:
        """The average loss per sample in nats, summed over interpretations."""
        return self.at(theta, inputs, targets).loss

    def differential(self, theta: Parameters | NDArray, inputs: Any, targets: Any) -> Covector:
        """dL/dtheta of the average loss: G of eqs. 8 and 19 is its negative."""
        return self.at(theta, inputs, targets).differential()

    def at(
        self, theta: Parameters | NDArray, inputs: Any, targets: Any, rng: numpy.random.Generator | None = None
    ) -> Run:
        """The network at one point on checked data: its loss, differential and metrics share one forward pass."""
        return Run(self, self.parameters(theta), *self.prepare(inputs, targets), rng)

    def points(self, inputs: Any) -> dict[str, NDArray]:
        """Points of the input layers by name, (samples, units, size), once checked."""
        return self._inputs(inputs)

    def prepare(self, inputs: Any, targets: Any) -> tuple[dict[str, NDArray], Targets]:
        """Points of the input layers and targets of the interpretations, by name, once checked."""
        points = self._inputs(inputs)
        return points, checked_targets(self.declaration, self.output_counts(), targets, _samples(points))

    def metric(
        self,
        metric: MetricRule,
        theta: Parameters | NDArray,
        inputs: Any,
        targets: Any = None,
        rng: numpy.random.Generator | None = None,
    ) -> MetricTensor:
        """The metric tensor of a rule at these parameters, averaged over these inputs.

        Outer-product rules need `targets`, Monte Carlo rules need `rng`. Raises MemoryLimitError with
        the predicted size before anything is allocated.
        """
        if not isinstance(metric, MetricRule):
            raise TypeError(f"metric= takes a rule such as mn.Backpropagated(), received {metric!r}")
        points = self._inputs(inputs)
        wanted = None
        if metric.needs_targets:
            if targets is None:
                raise DataError(f"{metric.name} is made of losses: give the targets too")
            wanted = checked_targets(self.declaration, self.output_counts(), targets, _samples(points))
        if metric.needs_rng and rng is None:
            raise DataError(f"{metric.name} draws targets: give rng=numpy.random.default_rng(seed)")
        return metric.evaluate(Run(self, self.parameters(theta), points, wanted, rng))

    def _inputs(self, inputs: Any) -> dict[str, NDArray]:
        if self.engine is not None:
            self.engine.refuse_traced(inputs)
        return checked_inputs(self.declaration, inputs)

    def unit_name(self, position: int) -> str:
        """The unit that owns an entry of a flat tangent, as `h1[3]`; output parameters are named like their
        interpretation. Raises IndexError for an entry that there is not."""
        for place in self.tangent_layout:
            if place.offset <= position < place.stop:
                unit = int(numpy.searchsorted(numpy.cumsum(place.counts), position - place.offset, side="right"))
                is_layer = any(layer.name == place.name for layer in self.declaration.layers)
                return f"{place.name}[{unit}]" if is_layer else place.name
        raise IndexError(f"a tangent of this network has {self.tangent_layout.size} entries, not {position}")

    def output_counts(self) -> dict[str, int]:
        """How many numbers each interpretation reads."""
        return self._output_counts

    @cached_property
    def border(self) -> Border | None:
        """How the rows of the natural metric divide the units, where output units have rows of their own."""
        return border_of(self.declaration, self.lowered)

    @cached_property
    def row_bytes(self) -> int:
        """What one row of one sample takes on its way back, where it takes most."""
        return self.lowered.row_bytes()

    @cached_property
    def fisher_row_bytes(self) -> int:
        """The same of the Fisher metric's: those of outputs whose rows have one entry each are never arrays."""
        whole, counts = self.lowered.whole_outputs, self.output_counts()
        outputs = [o for o in self.declaration.outputs if o.name in whole]
        return self.lowered.row_bytes({whole[o.name] for o in outputs if o.interpretation.has_diagonal(counts[o.name])})

    @cached_property
    def _output_counts(self) -> dict[str, int]:
        spaces = self.lowered.spaces
        return {
            output.name: sum(spaces[s.layer].size * len(s.units) for s in output.sources)
            for output in self.declaration.outputs
        }

    def chunk_size(self, rows: int = 1, extra_bytes: int = 0) -> int:
        """How many samples fit the workspace, for `rows` covectors and `extra_bytes` each."""
        # while a chunk is linearised the one before is still there
        per_sample = 2 * self.lowered.bytes_per_sample + rows * self.lowered.pull_bytes_per_sample + extra_bytes
        return self.workspace // (per_sample or 1) or 1

    def pass_bytes(self, samples: int, rows: int = 1, extra_bytes: int = 0) -> int:
        """What a forward pass, and one back with `rows` covectors a sample, take at most, chunks considered.

        The forward pass that loss and gradient share with a metric is counted too, and a few vectors as long as the
        parameters.
        """
        lowered, vectors = self.lowered, 4 * 8 * self.tangent_layout.size
        # weight matrices of joint stages, and what their products are written to
        buffers = 0 if lowered.joint is None else 2 * 8 * lowered.joint.size
        kept = min(samples, self.chunk_size()) * lowered.bytes_per_sample
        chunk = self.chunk_size(rows, extra_bytes)
        traced = 0 if samples <= chunk else 2 * chunk * lowered.bytes_per_sample
        pulled = min(samples, chunk) * (rows * lowered.pull_bytes_per_sample + extra_bytes)
        return vectors + buffers + kept + traced + pulled

    def trace(self, theta: Parameters | NDArray, points: Mapping[str, NDArray]) -> Trace:
        """The network linearised on checked points of its inputs; raises NumericalError for parameters off their manifold."""
        vector = self.parameters(theta).flat
        if self.lowered.parameter_spaces:
            check_parameters(self.lowered, vector)
        joint, chain = self.lowered.joint, self.lowered.chain
        gathered = {} if joint is None else joint.weights(vector)
        if chain is not None:
            together = chain.at(vector, points, gathered)
            return Trace(
                self.declaration, self.lowered, vector, Activities(dict(points), together, chain.layers), together
            )
        lines = StageLines()
        found = Activities(dict(points), lines, {})
        whole_slots, read = self.lowered.whole_slots, self.lowered.read
        for index, stage in enumerate(self.lowered.stages):
            line = stage.linearise(vector, found.known, gathered.get(index))
            if stage.may_leave:
                check_inside(stage, line.points, self.lowered)
            lines.append(line)
            whole = whole_slots[index]
            if whole is None:
                for slot in stage.slots:
                    found.place(slot, line.points, self.declaration.layer(slot.layer).size)
            elif whole in read:
                found.known[whole] = line.points
            else:
                found.later[whole] = index
        return Trace(self.declaration, self.lowered, vector, found, lines)


def _samples(points: Mapping[str, NDArray]) -> int:
    return len(next(iter(points.values())))


def _stepped(lowered: Lowered, stored: NDArray, move: NDArray) -> NDArray:
    after = numpy.array(stored)
    for place in lowered.stored:
        here, there = place, lowered.tangents[place.name]
        part, tangent = stored[here.offset : here.stop], move[there.offset : there.stop]
        space = lowered.parameter_spaces.get(place.name)
        if space is None:
            after[here.offset : here.stop] = part + tangent
        else:
            shaped = space.step(part.reshape(here.units, -1), tangent.reshape(there.units, -1))
            after[here.offset : here.stop] = shaped.reshape(-1)
    return after
