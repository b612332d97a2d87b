"""A history of training as curves."""

import math
from collections.abc import Mapping

import numpy

from manifoldnet.learning.history import History
from manifoldnet.views.line_chart import Series, line_chart

BIT = math.log(2.0)


def history_chart(
    history: History | Mapping[str, History], against: str = "step", size: tuple[int, int] = (640, 320)
) -> str:
    """Loss in bits against steps or seconds, as <svg>; what was seen on held-out data stands beside it.

    Several histories are given by name. Steps that were cancelled keep the loss that they came from.
    """
    named = {"": history} if isinstance(history, History) else history
    series = []
    for number, (name, one) in enumerate(named.items()):
        x = one.column(against)
        series.append(Series(name or "training", x, one.column("loss") / BIT, style=2 * number))
        held = one.column("validation_loss") / BIT
        if numpy.isfinite(held).any():
            series.append(Series(f"{name}, held out" if name else "held out", x, held, style=2 * number + 1))
    title = f"loss against {'seconds' if against == 'seconds' else 'steps'}"
    return line_chart(series, against, "loss per sample (bits)", title, size=size)
