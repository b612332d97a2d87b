"""The natural metric: the pull-back of Omega to the whole parameter space (definition 21, proposition 27)."""

from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.floor import with_floor
from manifoldnet.metrics.full import full_bytes, full_memory, full_tensor
from manifoldnet.metrics.rows import FisherRows


@final
@attrs.frozen
class Natural(MetricRule):
    """E_x (domega/dtheta)^T Omega (domega/dtheta), cross terms between all units included (eqs. 64, 102)."""

    @property
    def name(self) -> str:
        return "natural"

    def evaluate(self, run: Run) -> MetricTensor:
        return with_floor(full_tensor(FisherRows(), run, self.name), run)

    def memory(self, program: Program, samples: int) -> int:
        rows = FisherRows()
        return full_memory(rows, program, samples) + full_bytes(rows, program, samples)
