"""The Monte Carlo natural metric: outer products on targets drawn from the network's own outputs (eq. 100)."""

from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.floor import with_floor
from manifoldnet.metrics.full import full_bytes, full_memory, full_tensor
from manifoldnet.metrics.rows import MonteCarloRows


@final
@attrs.frozen
class MonteCarloNatural(MetricRule):
    """E_x 1/K sum_k of the outer product of dl on y_k ~ omega(x), drawn afresh at every evaluation (eq. 100)."""

    samples: int = attrs.field(default=1, validator=lambda _, __, value: MonteCarloRows(value) and None)

    @property
    def name(self) -> str:
        return "monte-carlo-natural"

    @property
    def needs_rng(self) -> bool:
        return True

    def evaluate(self, run: Run) -> MetricTensor:
        return with_floor(full_tensor(MonteCarloRows(self.samples), run, self.name), run)

    def memory(self, program: Program, samples: int) -> int:
        rows = MonteCarloRows(self.samples)
        return full_memory(rows, program, samples) + full_bytes(rows, program, samples)
