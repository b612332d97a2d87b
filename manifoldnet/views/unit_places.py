"""Where units stand in a picture: layers as blocks from left to right, units of a block in rows."""

import math
from collections.abc import Mapping, Sequence
from typing import final

import attrs
import networkx

from manifoldnet.declare.layer import Declaration

# Units of so many or fewer stand in one column.
COLUMN = 16
# Links that skip blocks of so many rows or fewer lead around them.
BENT_AROUND = 3
SPACE, STACKED, HEADING = 110.0, 34.0, 34.0


@final
@attrs.frozen
class Block:
    """One layer's units in rows of `columns`, in points: the upper left unit at (left, top), `pitch` apart."""

    size: int
    columns: int
    pitch: float
    left: float = 0.0
    top: float = 0.0
    level: int = 0

    @property
    def rows(self) -> int:
        return math.ceil(self.size / self.columns)

    @property
    def width(self) -> float:
        return self.pitch * (self.columns - 1)

    @property
    def height(self) -> float:
        return self.pitch * (self.rows - 1)

    @property
    def diameter(self) -> float:
        return 0.68 * self.pitch

    @property
    def middle(self) -> float:
        return self.left + self.width / 2.0

    def place(self, unit: int) -> tuple[float, float]:
        """(x, y) of a unit, y upwards."""
        row, column = divmod(unit, self.columns)
        return self.left + self.pitch * column, self.top - self.pitch * row


def block_of(size: int) -> Block:
    """The block of so many units: one column, a square where it comes out even (an image), else somewhat taller than wide.

    >>> [(block_of(n).columns, block_of(n).rows) for n in (1, 16, 64, 500)]
    [(1, 1), (1, 16), (8, 8), (18, 28)]
    """
    if size <= COLUMN:
        return Block(size, 1, 32.0)
    root = math.isqrt(size)
    columns = root if root * root == size else max(2, round(math.sqrt(0.65 * size)))
    return Block(size, columns, 22.0 if size <= 120 else 15.0)


def placed(declaration: Declaration, graph: networkx.DiGraph) -> dict[str, Block]:
    """The blocks of all layers and interpretations: everything stands to the right of what it reads."""
    sizes = {layer.name: layer.size for layer in declaration.layers} | {o.name: 1 for o in declaration.outputs}
    levels: dict[int, list[str]] = {}
    for name in networkx.topological_sort(graph):
        levels.setdefault(_level(graph, name), []).append(name)
    found: dict[str, Block] = {}
    left = 0.0
    for level in sorted(levels):
        blocks = {name: block_of(sizes[name]) for name in levels[level]}
        width = max(block.width for block in blocks.values())
        tall = max(_height(blocks), _height({n: found[n] for n in levels.get(level - 1, [])}))
        left += max(SPACE, 0.35 * tall) if level else 0.0
        found |= _stacked(blocks, left, width, level)
        left += width
    return found


def _level(graph: networkx.DiGraph, name: str) -> int:
    above = networkx.ancestors(graph, name) | {name}
    return networkx.dag_longest_path_length(graph.subgraph(above))


def _height(blocks: Mapping[str, Block]) -> float:
    return sum(block.height for block in blocks.values()) + (len(blocks) - 1) * (STACKED + HEADING) if blocks else 0.0


def _stacked(blocks: Mapping[str, Block], left: float, width: float, level: int) -> dict[str, Block]:
    top, found = _height(blocks) / 2.0, {}
    for name, block in blocks.items():
        found[name] = attrs.evolve(block, left=left + (width - block.width) / 2.0, top=top, level=level)
        top -= block.height + STACKED + HEADING
    return found


def curve(start: tuple[float, float], end: tuple[float, float], between: Sequence[Block]) -> str:
    """A line as Graphviz has it: four points of a Bezier curve, straight where nothing stands in between.

    Around low blocks in between it bends downwards, away from their names, by more the more of them there are, so that
    links which skip layers lie beside each other. Behind high blocks it stays straight.
    """
    (x0, y0), (x3, y3) = start, end
    bend = 0.0
    if between and max(block.rows for block in between) <= BENT_AROUND:
        below = max(block.height / 2.0 for block in between) + 14.0 + 10.0 * len({block.level for block in between})
        # a Bezier curve reaches three quarters of the way to its control points
        bend = -below / 0.75
    thirds = (2.0 * y0 + y3) / 3.0 + bend, (y0 + 2.0 * y3) / 3.0 + bend
    points = [start, (x0 + (x3 - x0) / 3.0, thirds[0]), (x0 + 2.0 * (x3 - x0) / 3.0, thirds[1]), end]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
