"""How pictures look: letters, colours, the shape of a node by its manifold, and text that Graphviz takes as it is."""

from typing import final

import attrs
import graphviz

from manifoldnet.geometry.manifold import Manifold

FONT = "Helvetica"
INK, FAINT, LINE = "#2b2b2b", "#6a6a6a", "#8a94a0"

# A box stands for R^n and for manifolds of a user's own; "rounded" is a box with round corners.
SHAPES = {
    "Interval": "rounded",
    "Positive": "house",
    "Simplex": "hexagon",
    "Sphere": "ellipse",
    "SPD": "octagon",
    "Product": "box3d",
}


@final
@attrs.frozen
class Style:
    """How one kind of node looks."""

    fill: str
    line: str
    look: str = "filled"

    def attributes(self, shape: str) -> dict[str, str]:
        """As a node of some shape."""
        colours = {"fillcolor": self.fill, "color": self.line}
        if shape == "rounded":
            return {**colours, "shape": "box", "style": f"{self.look},rounded"}
        return {**colours, "shape": shape, "style": self.look}


INPUT = Style("#f3f1ec", "#9a9284")
LAYER = Style("#eaf1f8", "#5b7fa6")
INTERPRETATION = Style("#ffffff", "#5b7fa6", "filled,dashed")


def shape_of(manifold: Manifold) -> str:
    """The shape of units on a manifold."""
    return SHAPES.get(type(manifold).__name__, "box")


def identifier(name: str) -> str:
    """A name as a node has it."""
    # in the ends of an edge a colon starts a port, and <...> is HTML
    return quoted(name.translate(str.maketrans(":<>", "∶‹›")))


def quoted(text: str) -> str:
    """Text that Graphviz takes literally: no escapes, not HTML."""
    return graphviz.nohtml(graphviz.escape(text))
