"""What happened during training, step by step."""

from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.shown import html_of, svg_of


@final
@attrs.frozen
class Record:
    """One step: the loss it ended at (nats), its rate, seconds since the start, and whether it was kept.

    `validation_loss` (nats) and `accuracy` are None between validations. `trouble` says what was not finite, and at
    which unit it began, where the step was cancelled or shortened for that. `remark`, of the last step alone, says that
    training ended worse than it began.
    """

    step: int
    loss: float
    rate: float
    seconds: float
    accepted: bool = True
    validation_loss: float | None = None
    accuracy: float | None = None
    trouble: str | None = None
    remark: str | None = None


@final
@attrs.frozen
class History:
    """The records of a run, first to last."""

    records: tuple[Record, ...]

    def column(self, name: str) -> NDArray:
        """One field of every record, NaN where it is None."""
        values = [getattr(record, name) for record in self.records]
        return numpy.array([numpy.nan if value is None else value for value in values], dtype=numpy.float64)

    def _repr_html_(self) -> str | None:
        """How it ended, and its curves."""
        return html_of(self)

    def _repr_svg_(self) -> str | None:
        return svg_of(self)

    @property
    def last(self) -> Record:
        return self.records[-1]
