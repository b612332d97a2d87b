"""What a law returns: one row of the table that `manifoldnet verify` prints."""

import math
from typing import Literal, final

import attrs

Outcome = Literal["pass", "fail", "not testable", "deviates"]


@final
@attrs.frozen
class Check:
    """What was measured of one statement, with one metric, in one change of charts.

    `name`: the statement, with its number in the paper. `promised`: whether the theory promises that `deviation`
    vanishes; where it does not, the row is a control, which must be SEEN to deviate. `deviation`: the largest relative
    deviation found (NaN where nothing could be measured). `tolerance`: how much rounding may leave of a promise,
    or how much a control must show. `detail`: where the largest deviation is, or why nothing could be tested.
    """

    name: str
    metric: str
    charts: str
    promised: bool
    deviation: float
    tolerance: float
    outcome: Outcome
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "fail"


@final
@attrs.frozen
class Statement:
    """What is claimed: which law, of which metric, in which charts, and whether the theory promises it."""

    name: str
    metric: str
    charts: str = "-"
    promised: bool = True

    def measured(self, deviation: float, tolerance: float, detail: str = "") -> Check:
        """Judge a deviation: at most `tolerance` where it is promised to vanish, more than it where not.

        >>> Statement("norms", "euclidean", promised=False).measured(0.5, 1e-3).outcome
        'deviates'
        """
        if self.promised:
            outcome: Outcome = "pass" if deviation <= tolerance else "fail"
        else:
            outcome = "deviates" if deviation > tolerance else "fail"
        value = float(deviation)
        return Check(self.name, self.metric, self.charts, self.promised, value, tolerance, outcome, detail)

    def untestable(self, why: str, tolerance: float = math.nan) -> Check:
        """Nothing could be measured: the metric is singular, the units are not affine, and so on."""
        return Check(self.name, self.metric, self.charts, self.promised, math.nan, tolerance, "not testable", why)
