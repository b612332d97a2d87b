"""From a declaration to stages in topological order."""

from collections.abc import Collection, Hashable, Mapping
from functools import cached_property
from typing import Literal, final, get_args

import attrs
import numpy

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.chains import chains_of
from manifoldnet.compiler.contraction import BlockPlan, Contraction, OfStage
from manifoldnet.compiler.joint import Joint
from manifoldnet.compiler.layout import Layout, layout_of
from manifoldnet.compiler.lines import Chain, chain_of
from manifoldnet.compiler.lower_affine import lower_affine, lower_recharted
from manifoldnet.compiler.lower_general import lower_affine_generally, lower_map
from manifoldnet.compiler.lower_joint import joint_of
from manifoldnet.compiler.recharted import RechartedStage
from manifoldnet.compiler.spaces import ActivitySpace, ParameterSpace, StoredCoordinates, StoredPoints
from manifoldnet.compiler.stage import Stage
from manifoldnet.declare.layer import Declaration, Layer, parameter_counts
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.errors import CompilationError
from manifoldnet.linalg.units import Group, Partition, Whole

Lowering = Literal["auto", "general"]


@final
@attrs.frozen(eq=False, slots=False)
class Lowered:
    """Stages, spaces and layouts of a network; `stored` places parameters, `tangents` their tangents.

    `contractions` give values for the groups of the partition one after another, those of output parameters excepted,
    which stand last; `joint` is the one of them that takes several stages together. `inputs` names the layers that
    nothing computes, and `whole_outputs` gives the stage whose units an interpretation reads all, in order. `chains` are
    the stages again, those that follow one another as `chains_of` says taken together.
    """

    stages: tuple[Stage, ...]
    spaces: dict[str, ActivitySpace]
    parameter_spaces: dict[str, ParameterSpace]
    stored: Layout
    tangents: Layout
    partition: Partition
    contractions: tuple[Contraction, ...]
    joint: Joint | None
    inputs: frozenset[str]
    whole_outputs: dict[str, int]
    chains: tuple[tuple[int, ...], ...]

    @cached_property
    def whole_slots(self) -> tuple[str | None, ...]:
        """For each stage the layer that it computes all by itself, in order; None if it does not."""
        return tuple(_whole_slot(stage, self.stages) for stage in self.stages)

    @cached_property
    def chain(self) -> Chain | None:
        """All stages, if they are one chain without charts."""
        return chain_of(self.stages, self.chains, self.whole_slots)

    @cached_property
    def singles(self) -> tuple[tuple[int, ...], ...]:
        """Each stage by itself."""
        return tuple((index,) for index in range(len(self.stages)))

    @cached_property
    def output_groups(self) -> tuple[Group, ...]:
        """The groups of output parameters, which no contraction gives values for: the partition's last."""
        return self.partition.groups[sum(len(each.groups) for each in self.contractions) :]

    @cached_property
    def has_recharted(self) -> bool:
        """Whether some affine units have a chart of their parameters that is not affine."""
        return any(isinstance(stage, RechartedStage) for stage in self.stages)

    @cached_property
    def read(self) -> frozenset[str]:
        """The layers that stages read."""
        return frozenset(name for stage in self.stages for name in stage.parent_layers)

    @cached_property
    def feeds(self) -> tuple[bool, ...]:
        """For each stage whether it reads anything but inputs."""
        return tuple(any(name not in self.inputs for name in stage.parent_layers) for stage in self.stages)

    @cached_property
    def bytes_per_sample(self) -> int:
        """The memory that one sample's trace takes."""
        return sum(stage.bytes_per_sample() for stage in self.stages)

    @cached_property
    def block_bytes_per_sample(self) -> int:
        """The memory that one sample takes while blocks are contracted."""
        return sum(contraction.bytes_per_sample(self.stages) for contraction in self.contractions)

    @cached_property
    def entry_bytes_per_sample(self) -> int:
        """The memory that one sample takes while quasi-diagonal entries or diagonals are contracted."""
        return sum(contraction.entry_bytes_per_sample(self.stages) for contraction in self.contractions)

    @cached_property
    def pull_bytes_per_sample(self) -> int:
        """The memory that one covector of one sample takes on its way back: at the widest stage, and where it ends."""
        fed = [stage.pull_bytes_per_sample() for stage, feeds in zip(self.stages, self.feeds, strict=True) if feeds]
        return max(fed, default=0) + 8 * self.inner_size

    def row_bytes(self, diagonal: Collection[int] = ()) -> int:
        """What one row of one sample takes on its way back where it takes most; at `diagonal` stages it has one entry."""
        found = [
            stage.pull_bytes_per_sample() - (8 * stage.units * stage.inner_dim if index in diagonal else 0)
            for index, stage in enumerate(self.stages)
            if self.feeds[index]
        ]
        return max(found, default=0)

    @cached_property
    def moduli_bytes_per_sample(self) -> int:
        """The memory that the moduli of one sample take."""
        return 8 * sum(stage.units * stage.inner_dim**2 for stage in self.stages)

    @cached_property
    def inner_size(self) -> int:
        """How many numbers one covector at all units has."""
        return sum(stage.units * stage.inner_dim for stage in self.stages)


def _whole_slot(stage: Stage, stages: tuple[Stage, ...]) -> str | None:
    if len(stage.slots) != 1:
        return None
    (slot,) = stage.slots
    others = sum(other_slot.layer == slot.layer for other in stages for other_slot in other.slots)
    is_ordered = numpy.array_equal(slot.units, numpy.arange(stage.units))
    return slot.layer if others == 1 and is_ordered else None


def lower(
    declaration: Declaration, lowering: Lowering = "auto", plans: Mapping[str, BlockPlan] | None = None
) -> Lowered:
    """Lower a validated declaration. `lowering="general"` traces affine units too, as a check of the closed form.

    `plans` says for layers, by name, how their blocks are kept, where the choice by shapes is not wanted.
    """
    spaces = {
        layer.name: ActivitySpace(layer.manifold, layer.chart, layer.name, layer.is_input)
        for layer in declaration.layers
    }
    parameter_spaces = {layer.name: _parameter_space(layer) for layer in declaration.layers if _has_manifold(layer)}
    stored, tangents = _layouts(declaration, spaces, parameter_spaces)
    sizes = {layer.name: layer.size for layer in declaration.layers}
    stages: list[Stage] = []
    for members in _groups(declaration):
        first = members[0]
        if isinstance(first.map, Map):
            stages += lower_map(members, spaces, parameter_spaces.get(first.name), sizes, stored, tangents)
        elif first.parameter_chart is not None:
            stages += [lower_recharted(layer, spaces, sizes, stored, tangents) for layer in members]
        elif lowering == "general":
            stages += lower_affine_generally(members, spaces, sizes, stored, tangents)
        else:
            stages.append(lower_affine(members, spaces, sizes, stored, tangents))
    wanted = _plans(declaration, stages, plans or {})
    joint = joint_of(stages, [plan == "gathered" for plan in wanted], tangents.size)
    contractions: list[Contraction] = [] if joint is None else [joint]
    taken = () if joint is None else joint.indices
    contractions += [
        OfStage(i, s.group, wanted[i]) for i, s in enumerate(stages) if s.group is not None and i not in taken
    ]
    groups = [group for contraction in contractions for group in contraction.groups]
    groups += [_output_group(output.name, tangents) for output in declaration.outputs if output.name in tangents]
    return Lowered(
        tuple(stages),
        spaces,
        parameter_spaces,
        stored,
        tangents,
        Partition(tangents.size, tuple(groups)),
        tuple(contractions),
        joint,
        frozenset(layer.name for layer in declaration.layers if layer.is_input),
        _whole_outputs(declaration, tuple(stages)),
        _chains(declaration, tuple(stages)),
    )


def _plans(declaration: Declaration, stages: list[Stage], plans: Mapping[str, BlockPlan]) -> list[BlockPlan]:
    """The plan of each stage; raises CompilationError for a layer or a plan that there is not."""
    found: list[BlockPlan] = ["auto"] * len(stages)
    names = [layer.name for layer in declaration.layers]
    for name, plan in plans.items():
        owners = [i for i, stage in enumerate(stages) if any(slot.layer == name for slot in stage.slots)]
        if plan not in get_args(BlockPlan) or not owners:
            raise CompilationError(
                f"plans={{{name!r}: {plan!r}}}: expected a layer that is computed, of {', '.join(names)}, and one of "
                f"{', '.join(get_args(BlockPlan))}"
            )
        for index in owners:
            _require_possible(name, plan, stages[index])
            found[index] = plan
    return found


def _require_possible(name: str, plan: BlockPlan, stage: Stage) -> None:
    """Raise CompilationError for a plan that cannot be followed at a stage, saying which can."""
    is_scalar = isinstance(stage, AffineStage) and stage.is_scalar
    is_shared = isinstance(stage, AffineStage) and stage.shares_reads
    can = ["auto", *(["gathered"] if is_scalar else []), *(["dense", "dual"] if is_shared else [])]
    if plan in can:
        return
    what = {
        "dense": "only affine layers whose units all read the same one-dimensional parents have a dense plan",
        "dual": "only affine layers whose units all read the same one-dimensional parents can be solved by their samples",
        "gathered": "only affine layers of one-dimensional units with one-dimensional parents, in affine coordinates, are "
        "gathered",
    }
    raise CompilationError(
        f"plans={{{name!r}: {plan!r}}}: {what[plan]}; this layer's stage is {stage.describe()}, which can be "
        f"{' or '.join(can)}"
    )


def _whole_outputs(declaration: Declaration, stages: tuple[Stage, ...]) -> dict[str, int]:
    found = {}
    for output in declaration.outputs:
        if len(output.sources) == 1:
            (source,) = output.sources
            for index, stage in enumerate(stages):
                in_order = tuple(source.units) == tuple(range(stage.units))
                if in_order and _whole_slot(stage, stages) == source.layer:
                    found[output.name] = index
    return found


def _chains(declaration: Declaration, stages: tuple[Stage, ...]) -> tuple[tuple[int, ...], ...]:
    outputs = {source.layer for output in declaration.outputs for source in output.sources}
    return chains_of(stages, [_whole_slot(stage, stages) for stage in stages], outputs)


def _output_group(name: str, tangents: Layout) -> Whole:
    return Whole(tangents[name].positions(tangents.size), name=name)


def _has_manifold(layer: Layer) -> bool:
    return isinstance(layer.map, Map) and layer.map.parameters is not None


def _parameter_space(layer: Layer) -> ParameterSpace:
    assert isinstance(layer.map, Map) and layer.map.parameters is not None
    manifold = layer.map.parameters
    if layer.parameter_chart is None:
        return StoredPoints(manifold)
    return StoredCoordinates(manifold, layer.parameter_chart)


def _layouts(
    declaration: Declaration, spaces: dict[str, ActivitySpace], parameter_spaces: dict[str, ParameterSpace]
) -> tuple[Layout, Layout]:
    stored, tangents = [], []
    for layer in declaration.layers:
        space = parameter_spaces.get(layer.name)
        if isinstance(layer.map, Affine):
            counts = parameter_counts(layer, {name: space.manifold for name, space in spaces.items()})
            stored.append((layer.name, counts))
            tangents.append((layer.name, counts))
        elif space is not None:
            stored.append((layer.name, (space.stored,) * layer.size))
            tangents.append((layer.name, (space.dim,) * layer.size))
    for output in declaration.outputs:
        n = sum(spaces[s.layer].size * len(s.units) for s in output.sources)
        count = output.interpretation.parameters(n)
        if count:
            stored.append((output.name, (count,)))
            tangents.append((output.name, (count,)))
    return layout_of(stored), layout_of(tangents)


def _groups(declaration: Declaration) -> list[list[Layer]]:
    """Layers that can be evaluated together: one level, one map, one manifold and chart."""
    levels: dict[str, int] = {}
    groups: dict[tuple[int, Hashable], list[Layer]] = {}
    # a network only grows, so declaration order is already topological
    for layer in declaration.layers:
        levels[layer.name] = 1 + max((levels[edge.parent] for edge in layer.edges), default=-1)
        if layer.map is not None:
            groups.setdefault((levels[layer.name], _key(layer)), []).append(layer)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _key(layer: Layer) -> Hashable:
    charts = tuple(
        "identity" if chart is not None and chart.is_identity else id(chart)
        for chart in (layer.chart, layer.preactivation_chart, layer.parameter_chart)
    )
    parents = tuple(edge.parent for edge in layer.edges)
    if isinstance(layer.map, Affine):
        shared = layer.size > 1 and all(edge.is_dense for edge in layer.edges)
        reads = tuple((edge.parent, edge.units) for edge in layer.edges) if shared else None
        return ("affine", layer.map.link.name, id(layer.map.link.function), layer.manifold, charts, reads)
    return ("map", id(layer.map), layer.manifold, charts, parents)
