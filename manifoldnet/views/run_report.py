"""The report of a run: its network, its curves, its blocks, its certificate and its settings on one page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import attrs

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.declare.network import Network
from manifoldnet.laws.record import Check
from manifoldnet.learning.history import History
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.views.certificate import certificate
from manifoldnet.views.description import describe
from manifoldnet.views.drawing import drawing
from manifoldnet.views.history_chart import history_chart
from manifoldnet.views.line_chart import Series, line_chart
from manifoldnet.views.page import Section, facts, folded, number, page, paragraph, table, words
from manifoldnet.views.page_picture import page_picture
from manifoldnet.views.spectra import UnitSpectrum, unit_spectra
from manifoldnet.views.text import plural
from manifoldnet.views.unit_drawing import unit_drawing
from manifoldnet.views.unit_values import UnitValues

BIT = math.log(2.0)
# A picture of more units would take a page of megabytes, and eigenvalues of larger blocks minutes.
MOST_UNITS, LARGEST_BLOCK = 1000, 1500
WHERE = (
    "Laws are those of `manifoldnet verify`, on up to 60 samples. Steps, trajectories and descent begin where training "
    "began: where it ended there may be nothing left to step along but rounding."
)
# Charts whose letters can still be read on a phone.
SIZE = (480, 290)


@final
@attrs.frozen(eq=False)
class RunFacts:
    """All that a report tells. `tensor` is the metric at `theta`, `measured` says on what.

    `checks`, by where they were made, may be empty.

    `settings` are shown as they are, `summary` is what `train --json` prints, None while a run goes on.
    """

    title: str
    net: Network
    program: Program
    theta: Parameters
    origin: str
    history: History
    values: UnitValues
    tensor: MetricTensor
    measured: str
    samples: int
    checks: Mapping[str, Sequence[Check]]
    settings: Mapping[str, str]
    summary: Mapping[str, Any] | None
    spec: str


def run_report(facts_: RunFacts, made: str) -> str:
    """The page as HTML text; `made` is the time that its foot gives."""
    described = describe(facts_.program, facts_.samples)
    sections = [
        Section("network", "The network", _network(facts_, described)),
        Section("curves", "Curves", _curves(facts_.history)),
        Section("metrics", "Methods and what they cost", _methods(facts_, described)),
        Section("blocks", "Spectrum and rank of every unit", _blocks(facts_)),
        Section("certificate", "Invariance certificate", _certificate(facts_.checks)),
        Section("settings", "Settings", _settings(facts_)),
    ]
    lead = (
        f"{facts_.program.declaration.name}: {plural(facts_.program.tangent_layout.size, 'parameter')}, {facts_.origin}"
    )
    return page(facts_.title, lead, _key(facts_), sections, made)


def _key(facts_: RunFacts) -> dict[str, str]:
    """The few numbers that matter."""
    found = {"metric": facts_.settings.get("metric", "–")}
    if facts_.summary is None:
        steps = facts_.history.records[-1].step if facts_.history.records else 0
        return {**found, "steps so far": f"{steps:,}"}
    loss = facts_.summary.get("loss_bits")
    found |= {"steps": f"{facts_.summary['steps']:,}", "seconds": f"{facts_.summary['seconds']:,.3g}"}
    found["loss"] = "not finite" if loss is None else f"{loss:.4g} bits"
    held = facts_.summary.get("validation")
    if held:
        found["held-out loss"] = "not finite" if held["loss_bits"] is None else f"{held['loss_bits']:.4g} bits"
        if held.get("accuracy") is not None:
            found["held-out accuracy"] = f"{held['accuracy']:.1%}"
    return found


def _network(facts_: RunFacts, described: Mapping[str, Any]) -> str:
    layers = described["layers"]
    sentence = "; ".join(
        f"{layer['name']}, {plural(layer['units'], 'unit')} on {layer['manifold']}"
        + (f", reads {', '.join(edge['layer'] for edge in layer['reads'])}" if layer["reads"] else "")
        for layer in layers
    )
    parts = [
        page_picture(
            drawing(facts_.net),
            "layers",
            sentence,
            "Layers; the shape of a node is that of its manifold, thick links are dense.",
        )
    ]
    units = sum(layer["units"] for layer in layers)
    if units <= MOST_UNITS:
        graph = unit_drawing(facts_.net, facts_.program, facts_.values, facts_.origin)
        told = f"{units} units, coloured by {facts_.values.kind}; the table of layers says the same in numbers"
        caption = f"Units, darker for a larger {facts_.values.kind}. Point at, tap or step through them for numbers."
        parts.append(page_picture(graph, "units", told, caption))
    else:
        parts.append(paragraph(f"{units:,} units are not drawn one by one: at most {MOST_UNITS:,} are.", "note"))
    return "".join([*parts, _layers(facts_, layers)])


def _layers(facts_: RunFacts, layers: Sequence[Mapping[str, Any]]) -> str:
    moduli, rows = facts_.values.moduli, []
    for layer in layers:
        known = moduli.get(layer["name"])
        rows.append(
            [
                words(layer["name"]),
                number(layer["units"], ","),
                words(layer["manifold"]),
                words(layer["chart"] or "centred"),
                words(layer["map"] or "input"),
                number(layer["parameters"], ","),
                number(None if known is None else float(known.min()), ".3g"),
                number(None if known is None else float(known.max()), ".3g"),
            ]
        )
    kind = facts_.values.kind
    headings = ("layer", "units", "manifold", "chart", "map", "parameters", "least modulus", "largest modulus")
    caption = f"Layers, with the {kind} of their units, averaged over {plural(facts_.values.samples, 'sample')}"
    return table(headings, rows, caption)


def _curves(history: History) -> str:
    if not history.records:
        return paragraph("There are no records of steps.")
    rate = line_chart(
        [Series("", history.column("step"), history.column("rate"))], "step", "rate", "rate against steps", size=SIZE
    )
    charts = [history_chart(history, size=SIZE), history_chart(history, "seconds", SIZE), rate]
    parts = [f"<figure>{chart}</figure>" for chart in charts]
    cancelled = sum(not record.accepted for record in history.records)
    told = (
        f"{plural(len(history.records), 'record')}; {plural(cancelled, 'step')} of them cancelled." if cancelled else ""
    )
    return f'<div class="pair">{"".join(parts)}</div>' + (paragraph(told, "note") if told else "")


def _methods(facts_: RunFacts, described: Mapping[str, Any]) -> str:
    used, names = facts_.settings.get("metric"), [one["name"] for one in described["metrics"]]
    rows = [
        [
            words(one["name"] + (" (this run)" if one["name"] == used else "")),
            number(one["memory_bytes"] / 2**20, ",.3g"),
            number(one["operations_per_sample"], ","),
        ]
        for one in described["metrics"]
    ]
    caption = f"Metrics by name, with memory and multiplications on {plural(described['samples'], 'sample')} at a time"
    chosen = names.index(used) if used in names else None
    return table(("metric", "MiB", "multiplications per sample"), rows, caption, chosen)


def _blocks(facts_: RunFacts) -> str:
    partition = facts_.tensor.partition
    largest = 0 if partition is None else max((group.width for group in partition.groups), default=0)
    if partition is None or largest > LARGEST_BLOCK:
        told = f"Blocks of {largest:,} parameters are too large for their eigenvalues to be computed here."
        return paragraph(told if largest else "The metric knows of no units.")
    found = unit_spectra(facts_.tensor, facts_.program.tangent_layout)
    names = list(dict.fromkeys(one.name for one in found))
    by_layer = {name: [(k, one) for k, one in enumerate(found) if one.name == name] for name in names}
    series = [_marks(name, members) for name, members in by_layer.items()]
    chart = line_chart(series, "unit", "eigenvalue", "eigenvalues of every unit's standardised block", size=SIZE)
    rows = [_layer_row(name, [one for _, one in members]) for name, members in by_layer.items()]
    headings = ("layer", "units", "size", "least rank", "of full rank", "conditions", "largest eigenvalue")
    each = [
        [
            words(f"{one.name}[{one.unit}]"),
            number(one.size, ","),
            number(one.rank, ","),
            number(one.condition if math.isfinite(one.condition) else None, ".3g"),
            number(float(one.eigenvalues.max(initial=0.0)), ".3g"),
        ]
        for one in found
    ]
    singles = table(("unit", "size", "rank", "condition", "largest eigenvalue"), each, "Every unit; a dash: singular")
    return (
        paragraph(f"{facts_.measured} Ranks and conditions are those of blocks whose parents are centred and scaled, which no "
                  "affine chart alters; the largest eigenvalue is that of the block in its own coordinates.")
        + f"<figure>{chart}</figure>"
        + table(headings, rows, "Blocks by layer")
        + folded(f"all {len(found):,} units", singles)
    )  # fmt: skip


def _marks(name: str, members: Sequence[tuple[int, UnitSpectrum]]) -> Series:
    """At most so many marks of each unit that thousands of units stay a page of reasonable size."""
    kept = max(2, 4000 // max(1, len(members)))
    x, y = [], []
    for place, one in members:
        shown = one.standard[one.standard > 1e-16 * one.standard.max(initial=0.0)]
        rows = range(len(shown)) if len(shown) <= kept else [*range(kept - 1), len(shown) - 1]
        x += [float(place)] * len(rows)
        y += [float(shown[row]) for row in rows]
    return Series(name, x, y, dots=True)


def _layer_row(name: str, units: Sequence[UnitSpectrum]) -> list:
    full = [one.condition for one in units if one.rank == one.size]
    sizes = sorted({one.size for one in units})
    return [
        words(name),
        number(len(units), ","),
        words(str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"),
        number(min(one.rank for one in units), ","),
        number(len(full), ","),
        words(f"{min(full):.3g} to {max(full):.3g}" if full else "all singular"),
        number(max(float(one.eigenvalues.max(initial=0.0)) for one in units), ".3g"),
    ]


def _certificate(checks: Mapping[str, Sequence[Check]]) -> str:
    if not any(checks.values()):
        return certificate([])
    parts = [f"<h3>{_escaped(where)}</h3>{certificate(found)}" for where, found in checks.items() if found]
    return paragraph(WHERE, "note") + "".join(parts)


def _settings(facts_: RunFacts) -> str:
    spec = f'<pre tabindex="0"><code>{_escaped(facts_.spec)}</code></pre>' if facts_.spec else ""
    return facts(facts_.settings, "How it was trained") + (folded("the spec as it was", spec) if spec else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
