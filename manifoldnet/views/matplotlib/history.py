"""A history of training, or several, as curves."""

import math
from collections.abc import Mapping

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from manifoldnet.learning.history import History

BIT = math.log(2.0)


def plot_history(history: History | Mapping[str, History], axes: Axes | None = None, against: str = "step") -> Axes:
    """Loss in bits against "step" or "seconds", dashed what was seen on held-out data; the scale is logarithmic.

    Several histories are given by name. Without `axes` a new figure is made, which belongs to no window:
    `axes.figure.savefig(path)`. The scale is linear where a loss is not positive.

    >>> from manifoldnet.learning.history import Record
    >>> axes = plot_history(History((Record(1, 0.7, 0.1, 0.0), Record(2, 0.35, 0.1, 0.0))))
    >>> axes.lines[0].get_ydata().round(3).tolist(), axes.get_yscale()
    ([1.01, 0.505], 'log')
    """
    panel = new_axes() if axes is None else axes
    named = {"": history} if isinstance(history, History) else history
    for number, (name, one) in enumerate(named.items()):
        x, colour = one.column(against), f"C{number}"
        panel.plot(x, one.column("loss") / BIT, color=colour, linewidth=1.5, label=name or "training")
        held = one.column("validation_loss") / BIT
        if numpy.isfinite(held).any():
            seen = numpy.isfinite(held)
            label = f"{name}, held out" if name else "held out"
            panel.plot(x[seen], held[seen], "--", color=colour, linewidth=1.2, label=label)
    drawn = numpy.concatenate([line.get_ydata() for line in panel.lines])
    panel.set_yscale("log" if (drawn[numpy.isfinite(drawn)] > 0.0).all() else "linear")
    panel.set_xlabel(against)
    panel.set_ylabel("loss per sample (bits)")
    panel.grid(alpha=0.3)
    if len(panel.lines) > 1:
        panel.legend(frameon=False)
    return panel


def new_axes(width: float = 6.4, height: float = 4.0) -> Axes:
    """The axes of a figure of its own."""
    return Figure(figsize=(width, height), layout="constrained").subplots()
