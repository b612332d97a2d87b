"""Networks, charts, metric tensors and histories as notebooks show them."""

import html
import math

import numpy

from manifoldnet.declare.network import Network
from manifoldnet.errors import ManifoldNetError
from manifoldnet.geometry.chart import Chart
from manifoldnet.learning.history import History
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.shown import html_of, svg_of
from manifoldnet.views.dot import picture_text
from manifoldnet.views.drawing import drawing
from manifoldnet.views.history_chart import history_chart
from manifoldnet.views.line_chart import Series, line_chart
from manifoldnet.views.spectra import UnitSpectrum, unit_spectra
from manifoldnet.views.text import plural

# Blocks of tensors beyond this are not worth the time of a look at them.
LARGEST_BLOCK, LARGEST_TENSOR = 500, 20_000


@svg_of.register
def _network_svg(net: Network) -> str | None:
    try:
        return picture_text(drawing(net))
    except ManifoldNetError:
        # `_repr_html_` tells why
        return None


@html_of.register
def _network_html(net: Network) -> str:
    try:
        return picture_text(drawing(net))
    except ManifoldNetError as error:
        return f"<p>{html.escape(repr(net))}<br/><small>not drawn: {html.escape(str(error))}</small></p>"


@html_of.register
def _history_html(history: History) -> str:
    if not history.records:
        return "<p>a history without records</p>"
    last = history.last
    told = f"{plural(last.step, 'step')} in {last.seconds:.3g} s, loss {last.loss / math.log(2.0):.4g} bits"
    if last.validation_loss is not None:
        told += f", on held-out data {last.validation_loss / math.log(2.0):.4g} bits"
    if last.accuracy is not None:
        told += f", accuracy {last.accuracy:.1%}"
    return f"<div><p>{html.escape(told)}</p>{history_chart(history)}</div>"


@svg_of.register
def _history_svg(history: History) -> str | None:
    return history_chart(history) if history.records else None


@html_of.register
def _chart_html(chart: Chart) -> str:
    kind = "affine: coordinates = scale · hull + shift" if chart.is_affine else "smooth, not affine"
    rows = [("chart", chart.name), ("kind", kind)]
    if chart.is_affine:
        rows += [("scale", _matrix_text(chart.scale)), ("shift", _matrix_text(chart.shift))]
    graph = svg_of(chart) or ""
    return f"<div>{_table(rows)}{graph}</div>"


@svg_of.register
def _chart_svg(chart: Chart) -> str | None:
    """The graph of a chart of one-dimensional points; None for others, which a chart does not tell before it is tried."""
    grid = numpy.linspace(-5.0, 5.0, 401)[:, None]
    if chart.is_affine and chart.scale.shape != (1, 1):
        return None
    try:
        with numpy.errstate(all="ignore"):
            held = numpy.ones(len(grid), dtype=bool) if chart.domain is None else numpy.asarray(chart.domain(grid))
            points = numpy.asarray(chart.to_point(grid[held]))
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return None
    if points.shape != grid[held].shape or not len(points):
        return None
    curve = Series("", points[:, 0], grid[held][:, 0])
    return line_chart(
        [curve], "point", f"{chart.name} coordinate", f"the chart {chart.name}", log=False, size=(420, 240)
    )


@html_of.register
def _tensor_html(tensor: MetricTensor) -> str:
    rows = [("metric tensor", tensor.name), ("structure", type(tensor).__name__), ("parameters", f"{tensor.size:,}")]
    partition = tensor.partition
    if partition is not None:
        rows.append(("units", f"{sum(group.units for group in partition.groups):,}"))
    largest = tensor.size if partition is None else max((group.width for group in partition.groups), default=0)
    if tensor.size <= LARGEST_TENSOR and largest <= LARGEST_BLOCK:
        try:
            rows += _spectral_rows(unit_spectra(tensor))
        except ManifoldNetError as error:
            rows.append(("spectrum", f"not computed: {error}"))
    else:
        rows.append(("spectrum", "not computed for a tensor of this size: manifoldnet.views.spectra.unit_spectra does"))
    return f"<div>{_table(rows)}</div>"


def _spectral_rows(found: list[UnitSpectrum]) -> list[tuple[str, str]]:
    full = [one.condition for one in found if one.rank == one.size]
    rows = [("blocks of full rank", f"{len(full):,} of {len(found):,}")]
    if full:
        rows.append(("their conditions", f"{min(full):.3g} to {max(full):.3g}"))
    largest = max(one.eigenvalues.max(initial=0.0) for one in found)
    return [*rows, ("largest eigenvalue of a block", f"{largest:.4g}")]


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _matrix_text(values: numpy.ndarray) -> str:
    return numpy.array2string(numpy.asarray(values), precision=4, separator=", ", threshold=16)
