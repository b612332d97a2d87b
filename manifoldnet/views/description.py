"""What a network is made of, as plain data: for the command line, pictures and reports."""

from collections.abc import Mapping
from typing import Any

from manifoldnet.compiler.affine_like import affine_link
from manifoldnet.compiler.contraction import Contraction
from manifoldnet.compiler.general import GeneralStage
from manifoldnet.compiler.layout import Layout
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.stage import Stage
from manifoldnet.declare.layer import Edge, Layer, Output
from manifoldnet.metrics.names import METRICS
from manifoldnet.views.operations import operations_per_sample
from manifoldnet.views.text import manifold_text, units_text


def describe(program: Program, samples: int) -> dict[str, Any]:
    """Name, layers, interpretations, parameters, stages, and what each metric takes on so many samples.

    Everything in it is text, numbers, lists and dictionaries.

    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> y = net.layer("y", size=3, map=mn.Affine(mn.tanh), parents=[net.input("x", size=9)])
    >>> net.interpret(mn.SquareLoss(), parents=[y])
    >>> found = describe(mn.compile(net), samples=64)
    >>> found["parameters"], found["layers"][1]["manifold"], found["stages"][0]["units"]
    (30, 'Interval(-1, 1)', 3)
    """
    declaration, layout = program.declaration, program.tangent_layout
    return {
        "name": declaration.name,
        "layers": [layer_facts(layer, layout) for layer in declaration.layers],
        "interpretations": [output_facts(output, layout) for output in declaration.outputs],
        "parameters": layout.size,
        "stages": [_stage_facts(stage) for stage in program.lowered.stages],
        "blocks": [_block_facts(program, contraction, samples) for contraction in program.lowered.contractions],
        "samples": samples,
        "metrics": [_metric_facts(program, name, samples) for name in METRICS],
    }


def layer_facts(layer: Layer, layout: Layout) -> dict[str, Any]:
    """One layer; `map` is None for inputs, `chart` for coordinates centred at each point."""
    return {
        "name": layer.name,
        "units": layer.size,
        "manifold": manifold_text(layer.manifold),
        "chart": None if layer.chart is None else layer.chart.name,
        "map": None if layer.map is None else layer.map.name,
        "parameters": parameter_count(layout, layer.name),
        "reads": [edge_facts(edge) for edge in layer.edges],
        "preactivation_chart": layer.preactivation_chart and layer.preactivation_chart.name,
        "parameter_chart": layer.parameter_chart and layer.parameter_chart.name,
    }


def edge_facts(edge: Edge) -> dict[str, Any]:
    """One edge: from which layer, which of its units, how wired, and how many links there are."""
    return {
        "layer": edge.parent,
        "units": units_text(edge.units),
        "wiring": edge.wiring.name,
        "links": int(edge.mask.sum()),
    }


def output_facts(output: Output, layout: Layout) -> dict[str, Any]:
    """One interpretation, with the units that it reads and its output parameters."""
    return {
        "name": output.name,
        "interpretation": type(output.interpretation).__name__,
        "reads": [{"layer": s.layer, "units": units_text(s.units)} for s in output.sources],
        "parameters": parameter_count(layout, output.name),
    }


def parameter_count(layout: Layout, name: str) -> int:
    """How many parameters a layer or an interpretation has: dimensions, summed over its units."""
    return sum(layout[name].counts) if name in layout else 0


def _stage_facts(stage: Stage) -> dict[str, Any]:
    layers = list(dict.fromkeys(slot.layer for slot in stage.slots))
    return {"layers": layers, "units": stage.units, "plan": stage.describe() + _hint(stage)}


def _hint(stage: Stage) -> str:
    """What would serve a general stage better."""
    link = affine_link(stage) if isinstance(stage, GeneralStage) else None
    if link is None:
        return ""
    return f"; it is {link}(affine): mn.Affine(mn.{link}) takes a fraction of the time and memory"


def _block_facts(program: Program, contraction: Contraction, samples: int) -> dict[str, Any]:
    """How the blocks of unitwise metrics are made for stages taken together, and why."""
    stages = program.lowered.stages
    taken = contraction.indices
    layers = dict.fromkeys(slot.layer for index in taken for slot in stages[index].slots)
    return {"layers": list(layers), "plan": contraction.describe(stages, samples)}


def _metric_facts(program: Program, name: str, samples: int) -> Mapping[str, Any]:
    rule = METRICS[name]()
    return {
        "name": name,
        "memory_bytes": rule.memory(program, samples),
        "operations_per_sample": operations_per_sample(program, rule, samples),
    }
