"""Where a law is looked at: a network at a point of parameter space, on some data."""

from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.data import Targets
from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.declare.network import Network
from manifoldnet.learning.dataset import chosen
from manifoldnet.linalg.damping import Damping
from manifoldnet.linalg.tensor import MetricTensor


@final
@attrs.frozen(eq=False, slots=False)
class Situation:
    """A network in some charts, compiled, parameters `theta` in them, checked `points` of its inputs, targets by name.

    Points and targets do not depend on charts. `seed` is that of everything drawn: directions, and the targets
    of Monte Carlo metrics, which are the same in all charts.
    """

    net: Network
    program: Program
    theta: Parameters
    points: dict[str, NDArray]
    targets: Targets
    seed: int = 0

    @classmethod
    def of(
        cls, net: Network, theta: Any, inputs: Any, targets: Any, seed: int = 0, backend: str = "autograd"
    ) -> "Situation":
        """A situation from data as people give them; raises DataError where they do not fit."""
        program = compile(net, backend=backend)
        points, checked = program.prepare(inputs, targets)
        return cls(net, program, program.parameters(theta), points, checked, seed)

    def redeclared(self, net: Network, theta: Parameters | NDArray) -> "Situation":
        """Another network, of the same inputs and targets, on the same data."""
        program = compile(net, backend=self.program.backend)
        return attrs.evolve(self, net=net, program=program, theta=program.parameters(theta))

    @property
    def samples(self) -> int:
        return len(next(iter(self.points.values())))

    def rng(self, *keys: int) -> numpy.random.Generator:
        """A stream of its own for each list of keys."""
        return numpy.random.default_rng([self.seed, *keys])

    def at(self, theta: Parameters | NDArray, *keys: int) -> Run:
        """The network at other parameters on the same data; `keys` choose the stream of Monte Carlo targets."""
        return Run(self.program, self.program.parameters(theta), self.points, self.targets, self.rng(*keys))

    @cached_property
    def here(self) -> Run:
        return self.at(self.theta)

    def tensor(self, rule: MetricRule) -> MetricTensor:
        """The metric here; Monte Carlo targets are the same at every call and in all charts."""
        return rule.evaluate(self.at(self.theta))

    @cached_property
    def differential(self) -> NDArray:
        """dL/dtheta here, flat."""
        return self.here.differential().flat

    def direction(self, rule: MetricRule, damping: Damping | None = None) -> NDArray:
        """A^{-1} dL here, a flat tangent: steps go against it."""
        return self.tensor(rule).solve(self.differential, damping)

    def outputs(self, theta: Parameters | NDArray | None = None) -> NDArray:
        """omega on all samples, in reference coordinates, in one flat array."""
        run = self.here if theta is None else self.at(theta)
        return numpy.concatenate([part.reshape(-1) for part in run.outputs().values()])

    def on(self, rows: NDArray[numpy.int_] | slice) -> "Situation":
        """The same on some of the samples."""
        return attrs.evolve(self, points=chosen(self.points, rows), targets=chosen(self.targets, rows))

    def unit(self, position: int) -> str:
        """The unit that owns an entry of a flat tangent, as `h1[3]`."""
        return self.program.unit_name(position)

    @cached_property
    def owners(self) -> NDArray[numpy.int_]:
        """(size,): the first position of the unit that owns each entry of a flat tangent."""
        counts = [count for place in self.program.tangent_layout for count in place.counts]
        starts = numpy.concatenate([[0], numpy.cumsum(counts)[:-1]]).astype(int)
        return numpy.repeat(starts, counts)
