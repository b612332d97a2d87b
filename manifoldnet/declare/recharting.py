"""The same network in other charts."""

from collections.abc import Mapping

import attrs

from manifoldnet.declare.interpretations.charted import Charted
from manifoldnet.declare.layer import Declaration, Layer, Output, parameter_counts
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.errors import ChartError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.real import Real


def rechart(declaration: Declaration, charts: Mapping[str, Chart | str]) -> Declaration:
    """The declaration with other charts.

    Keys name a layer ("h1": the chart of its activities), the pre-activation of an affine one
    ("h1/pre-activation"), a parameter space ("h1/parameters") or an interpretation ("out": the chart of its
    output manifold, in which its metric is written then); values are charts or their names.
    Raises ChartError for an unknown key or chart, or a pre-activation chart that is not affine.
    """
    known = {layer.name: layer for layer in declaration.layers}
    changed, outputs = dict(known), {output.name: output for output in declaration.outputs}
    for key, chart in charts.items():
        name, _, part = key.partition("/")
        if key in outputs:
            outputs[key] = _output_in_chart(outputs[key], chart, known)
            continue
        if name not in known or part not in ("", "pre-activation", "parameters"):
            raise ChartError(
                f"no chart is called {key!r}: keys are a layer ({', '.join(known)}), a layer followed by "
                f"'/pre-activation' or '/parameters', or an interpretation ({', '.join(outputs) or 'none'})"
            )
        changed[name] = _with_chart(changed[name], part, chart, known)
    layers = tuple(changed[layer.name] for layer in declaration.layers)
    return attrs.evolve(declaration, layers=layers, outputs=tuple(outputs.values()))


def _output_in_chart(output: Output, chart: Chart | str, layers: Mapping[str, Layer]) -> Output:
    read = output.interpretation
    inner = read.interpretation if isinstance(read, Charted) else read
    n = sum(layers[source.layer].manifold.size * len(source.units) for source in output.sources)
    try:
        return attrs.evolve(output, interpretation=Charted(inner, inner.output_manifold(n).chart(chart)))
    except ChartError as error:
        raise ChartError(f"interpretation {output.name!r}: {error}") from error


def _with_chart(layer: Layer, part: str, chart: Chart | str, layers: Mapping[str, Layer]) -> Layer:
    try:
        if part == "pre-activation":
            return attrs.evolve(layer, preactivation_chart=_preactivation(layer, chart))
        if part == "parameters":
            return attrs.evolve(layer, parameter_chart=parameter_manifold(layer, layers).chart(chart))
        return attrs.evolve(layer, chart=layer.manifold.chart(chart))
    except ChartError as error:
        raise ChartError(f"layer {layer.name!r}: {error}") from error


def _preactivation(layer: Layer, chart: Chart | str) -> Chart:
    if not isinstance(layer.map, Affine):
        raise ChartError(f"only affine units have a pre-activation; {layer.name!r} is not affine")
    chosen = Real(layer.manifold.dim).chart(chart)
    if not chosen.is_affine:
        raise ChartError(
            f"a pre-activation chart must be affine, because the unit's parameter is an affine function; "
            f"{chosen.name!r} is not"
        )
    return chosen


def parameter_manifold(layer: Layer, layers: Mapping[str, Layer]) -> Manifold:
    """Theta_k of the units of a layer; raises ChartError where they have none, or not all the same."""
    if isinstance(layer.map, Map) and layer.map.parameters is not None:
        return layer.map.parameters
    if isinstance(layer.map, Affine):
        counts = parameter_counts(layer, {name: other.manifold for name, other in layers.items()})
        if len(set(counts)) > 1:
            raise ChartError(
                f"a chart of the parameters of affine units needs units with equally many, but they have {min(counts)} "
                f"to {max(counts)}: wire them with fan_in, or declare them as several layers"
            )
        return Real(counts[0])
    raise ChartError(f"layer {layer.name!r} has no parameters that could be re-charted")
