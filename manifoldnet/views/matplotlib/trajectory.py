"""The same descent in two charts, side by side."""

from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.transport import transport
from manifoldnet.declare.network import Network

Points = Sequence[Parameters]


def plot_trajectory(
    net: Network,
    points: Points,
    other: Network,
    others: Points | None = None,
    coordinates: tuple[int, int] = (0, 1),
    axes: Sequence[Axes] | None = None,
) -> NDArray:
    """Two parameters of a descent in the charts of `net`, and beside them in those of `other`: (2,) axes.

    `points` are in the coordinates of `net`, `others`, if given, those of a descent that was made in `other`. Each panel
    shows both, carried over by `mn.transport`: an intrinsic method leaves one line in each panel, any other method two.
    `coordinates` are two places of `theta.flat`. Raises DeclarationError where the networks differ in more than charts.
    """
    panels = Figure(figsize=(9.6, 4.4), layout="constrained").subplots(1, 2) if axes is None else numpy.asarray(axes)
    made_here = ("descent in the left charts", points, net)
    descents = [made_here] if others is None else [made_here, ("descent in the right charts", others, other)]
    for panel, network, side in zip(panels, (net, other), ("left", "right"), strict=True):
        for number, (label, path, home) in enumerate(descents):
            carried = numpy.array([_in(network, theta, home)[list(coordinates)] for theta in path])
            style = {
                "linestyle": "-" if number == 0 else (0, (2, 2)),
                "color": f"C{number}",
                "linewidth": 3 - 1.4 * number,
            }
            panel.plot(carried[:, 0], carried[:, 1], label=label, **style)
            panel.plot(*carried[0], "o", color=f"C{number}", markersize=7 - 2 * number)
        panel.set_xlabel(_label(points[0], coordinates[0]))
        panel.set_ylabel(_label(points[0], coordinates[1]))
        panel.set_title(f"in the {side} charts")
        panel.grid(alpha=0.3)
    if len(descents) > 1:
        panels[0].legend(frameon=False, fontsize="small")
    return panels


def _in(network: Network, theta: Parameters, home: Network) -> NDArray:
    if network is home:
        return theta.flat
    found = transport(theta, home, network)
    assert isinstance(found, Parameters)
    return found.flat


def _label(theta: Parameters, position: int) -> str:
    """Whose parameter stands at a place of the flat vector."""
    for place in theta.layout:
        if place.offset <= position < place.stop:
            unit, entry = (int(k[0]) for k in numpy.nonzero(place.positions(theta.layout.size) == position))
            return f"{place.name}[{unit}], parameter {entry}"
    return f"parameter {position}"
