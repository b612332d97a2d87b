"""The outer product metric: squared gain of each sample (definition 14, eq. 61)."""

from typing import final

import attrs

from manifoldnet.compiler.program import Program
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.metrics.floor import with_floor
from manifoldnet.metrics.full import full_bytes, full_memory, full_tensor
from manifoldnet.metrics.rows import OuterProductRows


@final
@attrs.frozen
class OuterProduct(MetricRule):
    """E_x (dl/dtheta)^T (dl/dtheta) on the true targets (eqs. 61-62)."""

    @property
    def name(self) -> str:
        return "outer-product"

    @property
    def needs_targets(self) -> bool:
        return True

    def evaluate(self, run: Run) -> MetricTensor:
        return with_floor(full_tensor(OuterProductRows(), run, self.name), run)

    def memory(self, program: Program, samples: int) -> int:
        rows = OuterProductRows()
        return full_memory(rows, program, samples) + full_bytes(rows, program, samples)
