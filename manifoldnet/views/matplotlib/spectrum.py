"""The spectrum and the condition of every unit's block of a metric tensor."""

from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes

from manifoldnet.compiler.layout import Layout
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.views.matplotlib.history import new_axes
from manifoldnet.views.spectra import RELATIVE, UnitSpectrum, unit_spectra


def plot_spectrum(
    tensor: MetricTensor, axes: Axes | None = None, layout: Layout | None = None, standard: bool = False
) -> Axes:
    """The eigenvalues of every unit's block, one column of marks a unit, one colour a layer.

    As the block stands in its coordinates; with `standard` once parents are centred and scaled by the block's own
    entries, which tells the same in all affine charts. `layout=program.tangent_layout` names the layers. What rounding
    leaves of a singular direction is drawn at 1e-16 of the largest.

    >>> from manifoldnet.linalg.dense import Dense
    >>> plot_spectrum(Dense([[1.0, 0.0], [0.0, 4.0]])).collections[0].get_offsets()[:, 1].tolist()
    [4.0, 1.0]
    """
    panel, found = new_axes() if axes is None else axes, unit_spectra(tensor, layout)
    values = [one.standard if standard else one.eigenvalues for one in found]
    least = 1e-16 * max(part.max(initial=0.0) for part in values) or 1e-300
    for colour, (name, columns) in enumerate(_by_layer(found).items()):
        places = numpy.concatenate([numpy.full(found[k].size, float(k)) for k in columns])
        heights = numpy.concatenate([values[k] for k in columns]).clip(min=least)
        panel.scatter(places, heights, s=10, color=f"C{colour}", label=name, alpha=0.7, linewidths=0)
    what = "eigenvalues of the standardised block" if standard else "eigenvalues of the block"
    return _finished(panel, found, what, tensor.name)


def plot_condition(tensor: MetricTensor, axes: Axes | None = None, layout: Layout | None = None) -> Axes:
    """The condition of every unit's standardised block, the largest eigenvalue over the least; no affine chart alters it.

    Units whose block is singular are crosses at the bound 1e10 above which a block counts as singular.
    """
    panel, found = new_axes() if axes is None else axes, unit_spectra(tensor, layout)
    for colour, (name, columns) in enumerate(_by_layer(found).items()):
        whole = [k for k in columns if found[k].rank == found[k].size]
        panel.scatter(whole, [found[k].condition for k in whole], s=16, color=f"C{colour}", label=name)
        singular = [k for k in columns if k not in whole]
        if singular:
            label = f"{name}, singular"
            panel.scatter(singular, [1.0 / RELATIVE] * len(singular), marker="x", s=22, color=f"C{colour}", label=label)
    return _finished(panel, found, "condition of the standardised block", tensor.name)


def _by_layer(found: Sequence[UnitSpectrum]) -> dict[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for number, one in enumerate(found):
        columns.setdefault(one.name, []).append(number)
    return columns


def _finished(panel: Axes, found: Sequence[UnitSpectrum], what: str, name: str) -> Axes:
    panel.set_yscale("log")
    panel.set_xlabel(f"unit, of {len(found)}")
    panel.set_ylabel(what)
    panel.set_title(name)
    panel.grid(axis="y", alpha=0.3)
    if len(_by_layer(found)) > 1:
        panel.legend(frameon=False, fontsize="small")
    return panel
