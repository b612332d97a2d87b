"""One plain network for each interpretation."""

import manifoldnet as mn
from tests.oracles.networks import Case
from tests.oracles.recipe import LayerOf, OutputOf, Read, Recipe


def small_case(*meanings: str, charts: tuple[tuple[str, str], ...] = ()) -> Case:
    """Two inputs, two hidden units and a layer of two outputs for each interpretation."""
    layers = [
        LayerOf("x", 2, "input", mn.Real(1)),
        LayerOf("h", 2, "tanh", mn.Interval(-1, 1), (Read("x"),)),
    ]
    outputs = []
    for number, meaning in enumerate(meanings):
        link = "logistic" if meaning in ("bernoulli", "spherical") else "identity"
        manifold = mn.Interval(0, 1) if link == "logistic" else mn.Real(1)
        layers.append(LayerOf(f"y{number}", 2, link, manifold, (Read("h"),)))
        outputs.append(OutputOf(f"out{number}", meaning, (Read(f"y{number}"),)))
    return Case(Recipe(tuple(layers), tuple(outputs), charts, seed=5), samples=2)
