"""Hypothesis strategies: random networks with data, to be compared with the reference."""

from functools import cached_property
from typing import Any

import attrs
import hypothesis.strategies as st
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.geometry.manifold import Manifold
from tests.backends import chosen
from tests.oracles.derivatives import Sample
from tests.oracles.maps import KINDS
from tests.oracles.outputs import MEANINGS
from tests.oracles.recipe import DECLARED_LINKS, LayerOf, OutputOf, Read, Recipe
from tests.oracles.reference import Reference

INPUTS = (
    mn.Real(1), mn.Real(2), mn.Interval(0, 1), mn.Interval(-1, 2), mn.Interval(-1, 1, 2), mn.Positive(1),
    mn.Sphere(1), mn.Sphere(2), mn.Simplex(3), mn.SPD(2), mn.Product(mn.Real(1), mn.Sphere(1)),
)  # fmt: skip
CHARTS: dict[type, tuple[str, ...]] = {
    mn.Real: ("identity", "doubled", "arcsinh", "sinh", "cubic", "mixed", "sheared"),
    mn.Interval: ("identity", "signed", "log-odds", "angle", "mixed"),
    mn.Positive: ("log", "sqrt", "mixed"),
    mn.Simplex: ("log-ratio", "square-root", "mixed"),
    mn.SPD: ("log-cholesky", "log", "mixed"),
    mn.Sphere: ("stereographic-north", "stereographic-south"),
}
AFFINE_CHARTS = ("doubled", "arcsinh", "cubic", "sheared")


@attrs.frozen(eq=False, slots=False, repr=False)
class Case:
    """A network with parameters and data. Its repr declares it again: `Case(Recipe(...), samples=3)`."""

    recipe: Recipe
    samples: int = 3
    backend: str = attrs.field(factory=chosen)

    def __repr__(self) -> str:
        return f"Case({self.recipe!r}, samples={self.samples}, backend={self.backend!r})"

    @cached_property
    def network(self) -> mn.Network:
        return self.recipe.declare()

    @cached_property
    def program(self) -> mn.Program:
        return mn.compile(self.network, self.backend)

    @cached_property
    def general(self) -> mn.Program:
        """The same, with every derivative by automatic differentiation."""
        return mn.compile(self.network, self.backend, lowering="general")

    @cached_property
    def reference(self) -> Reference:
        return Reference.of(self.recipe, self.network)

    def rng(self, *keys: int) -> numpy.random.Generator:
        return numpy.random.default_rng([self.recipe.seed, *keys])

    @cached_property
    def theta(self) -> mn.Parameters:
        """Initial parameters, those of affine units and of interpretations moved away from special values."""
        theta = self.program.initialize(self.rng(1))
        values, noise = numpy.array(theta.flat), 0.2 * self.rng(2).standard_normal(theta.flat.size)
        for owner, place in self.reference.places.items():
            if isinstance(owner, str) or self.recipe.layer(owner[0]).is_affine:
                values[place.stored] += noise[place.stored]
        return theta.replace(values)

    @cached_property
    def points(self) -> dict[str, NDArray]:
        """Input points (samples, units, *shape), by layer."""
        found = {}
        for key, layer in enumerate(layer for layer in self.recipe.layers if layer.map == "input"):
            drawn = layer.manifold.sample(self.rng(3, key), self.samples * layer.size)
            found[layer.name] = drawn.reshape(self.samples, layer.size, *layer.manifold.shape)
        return found

    @cached_property
    def inputs(self) -> Any:
        """The points as a person gives them: one-dimensional units without their axis, no names for one layer."""
        given = {n: p[..., 0] if p.shape[2:] == (1,) else p for n, p in self.points.items()}
        return given if len(given) > 1 else next(iter(given.values()))

    @cached_property
    def named_targets(self) -> dict[str, NDArray]:
        found = {}
        for key, output in enumerate(self.recipe.outputs):
            rng, n = self.rng(4, key), len(self.reference.numbers_read(output))
            found[output.name] = numpy.array([MEANINGS[output.meaning].target(rng, n) for _ in range(self.samples)])
        return found

    @cached_property
    def targets(self) -> Any:
        return self.named_targets if len(self.recipe.outputs) > 1 else next(iter(self.named_targets.values()))

    @cached_property
    def references(self) -> list[Sample]:
        """The reference on each sample."""
        return [
            Sample(self.reference, self.theta.flat, {name: p[s] for name, p in self.points.items()})
            for s in range(self.samples)
        ]

    @property
    def is_well_posed(self) -> bool:
        """Whether no spherical output is nearly zero: there -2 ln|a| keeps only the digits that a has left."""
        numbers = [
            sample.reference.numbers(output, sample.activities)
            for output in self.recipe.outputs
            for sample in self.references
            if output.meaning == "spherical"
        ]
        return all(numpy.abs(z).min() > 1e-2 for z in numbers)

    def target(self, sample: int) -> dict[str, NDArray]:
        return {name: values[sample] for name, values in self.named_targets.items()}


# -------------------------------------------------------------------- strategies


@st.composite
def recipes(draw: st.DrawFn, meanings: tuple[str, ...] = tuple(MEANINGS)) -> Recipe:
    """A random network: inputs, hidden layers that skip as they like, an output layer "y" that reads whatever
    nobody else reads, perhaps another output "z" that reads "y", and perhaps a second interpretation."""
    seed = draw(st.integers(0, 10_000))
    layers = [
        LayerOf(f"x{i}", draw(st.integers(1, 2)), "input", draw(st.sampled_from(INPUTS)))
        for i in range(draw(st.integers(1, 2)))
    ]
    for i in range(draw(st.sampled_from([0, 1, 2, 2, 3, 3]))):
        layers.append(draw(hidden(f"h{i}", tuple(layers)) | alike(f"h{i}", tuple(layers))))
    meaning = draw(st.sampled_from(meanings))
    layers += draw(last_layers(tuple(layers), meaning, seed))
    names = [layer.name for layer in layers]
    reads = [draw(output_read(layers, name, meaning)) for name in ("y", "z") if name in names]
    if reads[0].units is None and draw(st.booleans()):
        size = next(layer.size for layer in layers if layer.name == "y")
        reads = [Read("y", tuple(range(1, size))), *reads[1:], Read("y", (0,))]
    outputs = [OutputOf("out", meaning, tuple(draw(st.permutations(reads))))]
    other = draw(second(tuple(layers)))
    charts = draw(chart_choices(tuple(layers), seed))
    return Recipe(tuple(layers), (*outputs, *other), charts, seed)


@st.composite
def alike(draw: st.DrawFn, name: str, earlier: tuple[LayerOf, ...]) -> LayerOf:
    """A layer that reads like the last hidden one and has its map, so that both can be evaluated together."""
    twin = earlier[-1]
    if twin.map == "input" or any(type(read.wiring) is tuple and read.wiring[0] != "fan_in" for read in twin.reads):
        return draw(hidden(name, earlier))
    return attrs.evolve(twin, name=name, size=draw(st.integers(1, 3)))


@st.composite
def hidden(draw: st.DrawFn, name: str, earlier: tuple[LayerOf, ...]) -> LayerOf:
    size = draw(st.integers(1, 3))
    if draw(st.booleans()):
        kind = draw(st.sampled_from(sorted(KINDS)))
        return LayerOf(name, size, kind, KINDS[kind].activity, draw(reads(earlier, size, every=True)))
    link = draw(st.sampled_from(sorted(DECLARED_LINKS)))
    return LayerOf(name, size, link, draw(image(link)), draw(reads(earlier, size)))


@st.composite
def image(draw: st.DrawFn, link: str) -> Manifold:
    """The manifold of a link's values, of one or two dimensions, or a larger one."""
    n = draw(st.sampled_from([1, 1, 2]))
    natural = DECLARED_LINKS[link].image(n) if isinstance(DECLARED_LINKS[link], mn.Link) else mn.Interval(-1, 1, n)
    return draw(st.sampled_from([natural, natural, mn.Real(n), mn.Interval(-2, 2, n)])) if link == "tanh" else natural


@st.composite
def reads(draw: st.DrawFn, earlier: tuple[LayerOf, ...], size: int, every: bool = False) -> tuple[Read, ...]:
    """One to three edges to different earlier layers; the first, or with `every` each, reaches all units.

    With `every` (for maps) two edges may also come from the same layer.
    """
    count = draw(st.integers(1, min(3, len(earlier))))
    chosen = draw(st.permutations(earlier))[:count]
    if every and draw(st.booleans()):
        chosen = [*chosen, chosen[0]][:3]
    return tuple(draw(read(layer, size, reaching=every or i == 0)) for i, layer in enumerate(chosen))


@st.composite
def read(draw: st.DrawFn, layer: LayerOf, size: int, reaching: bool) -> Read:
    units = draw(st.none() | st.lists(st.integers(0, layer.size - 1), min_size=1, unique=True).map(tuple))
    count = len(units) if units else layer.size
    choices: list = ["dense", "dense", ("fan_in", draw(st.integers(1, count)), draw(st.booleans()))]
    if not reaching:
        row = st.lists(st.integers(0, 1), min_size=count, max_size=count).map(tuple)
        rows = draw(st.lists(row, min_size=size, max_size=size).filter(lambda rows: any(map(any, rows))))
        choices += [("fan_out", draw(st.integers(1, size)), draw(st.booleans())), tuple(rows)]
    return Read(layer.name, units, draw(st.sampled_from(choices)))


@st.composite
def last_layers(draw: st.DrawFn, layers: tuple[LayerOf, ...], meaning: str, seed: int) -> list[LayerOf]:
    """Outputs that the interpretation can read, the first of them reading every unit that nobody reads."""
    links = {
        "bernoulli": ["logistic", "tanh", "scaled_tanh", "bent"],
        "spherical": ["logistic", "softplus", "identity"],
    }.get(meaning, ["identity", "tanh", "softplus"])
    size = 2 if meaning == "heteroscedastic" else draw(st.integers(2, 3))
    must = unread(layers, seed) or (Read(layers[-1].name),)
    link = draw(st.sampled_from(links))
    found = [LayerOf("y", size, link, draw(image_of_output(link)), must)]
    if draw(st.booleans()):
        link = draw(st.sampled_from(links))
        also = draw(reads(layers, 2))
        units = draw(st.sampled_from([None, (0,), (size - 1, 0)]))
        found.append(LayerOf("z", 2, link, draw(image_of_output(link)), (Read("y", units), *also)))
    return found


@st.composite
def output_read(draw: st.DrawFn, layers: list[LayerOf], name: str, meaning: str) -> Read:
    """All units in some order; of "y", where "z" reads all of it, perhaps only one."""
    last, size = layers[-1], next(layer.size for layer in layers if layer.name == name)
    choices: list = [None, tuple(reversed(range(size)))]
    if name == "y" and last.name == "z" and last.reads[0].units is None and meaning != "heteroscedastic":
        choices += [(0,), (size - 1,)]
    return Read(name, draw(st.sampled_from(choices)))


def image_of_output(link: str) -> st.SearchStrategy[Manifold]:
    one = DECLARED_LINKS[link].image(1) if isinstance(DECLARED_LINKS[link], mn.Link) else mn.Interval(-1, 1)
    return st.just(one)


def unread(layers: tuple[LayerOf, ...], seed: int) -> tuple[Read, ...]:
    """Hidden units (and inputs, where a whole layer is left) that no unit reads yet."""
    read_by_some = {k for edges in undressed(layers, seed).wires.values() for edge in edges for k in edge}
    found = []
    for layer in layers:
        left = tuple(u for u in range(layer.size) if (layer.name, u) not in read_by_some)
        if left and (layer.map != "input" or len(left) == layer.size):
            found.append(Read(layer.name, left))
    return tuple(found)


def undressed(layers: tuple[LayerOf, ...], seed: int) -> Reference:
    """The reference before there are interpretations and charts."""
    recipe = Recipe(layers, (), (), seed)
    return Reference.of(recipe, recipe.declare())


def equal_counts(layers: tuple[LayerOf, ...], layer: LayerOf, seed: int) -> bool:
    """Whether the units of a layer have equally many parameters, as a chart of these demands."""
    places = undressed(layers, seed).places
    counts = {places[layer.name, u].stored.stop - places[layer.name, u].stored.start for u in range(layer.size)}
    return len(counts) == 1


@st.composite
def second(draw: st.DrawFn, layers: tuple[LayerOf, ...]) -> tuple[OutputOf, ...]:
    """None, or another interpretation of any layer: hidden, already read by the first, or an input."""
    fitting = [layer for layer in layers if 2 <= layer.size * layer.manifold.size <= 4]
    if not fitting or draw(st.booleans()):
        return ()
    meaning = draw(st.sampled_from(["square-loss", "gaussian", "gaussian-shared", "softmax", "density", "aimed"]))
    return (OutputOf("other", meaning, (Read(draw(st.sampled_from(fitting)).name),)),)


@st.composite
def chart_choices(draw: st.DrawFn, layers: tuple[LayerOf, ...], seed: int) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for layer in layers:
        kind = KINDS.get(layer.map)
        choices = {layer.name: CHARTS.get(type(layer.manifold), ())}
        if layer.is_affine:
            choices[f"{layer.name}/pre-activation"] = ("doubled", "mixed")
            choices[f"{layer.name}/parameters"] = AFFINE_CHARTS if equal_counts(layers, layer, seed) else ()
        if kind is not None and kind.parameters is not None:
            choices[f"{layer.name}/parameters"] = kind.charts
        found += [(k, draw(st.sampled_from(c))) for k, c in choices.items() if c and draw(st.integers(0, 3)) == 3]
    return tuple(found)


def cases(meanings: tuple[str, ...] = tuple(MEANINGS), backend: str | None = None) -> st.SearchStrategy[Case]:
    """Cases on the chosen backend, or on another."""
    return st.builds(Case, recipes(meanings), st.integers(1, 5), st.just(backend or chosen())).filter(
        lambda case: case.is_well_posed
    )
