"""What a network is made of, as text that JSON and GraphML can hold, and back.

Nothing that is read is run: a text names one of the constructors listed here, with numbers for its arguments. What
has no text (functions, charts, manifolds and interpretations of a user's own) is written as `{"named": name}`, and
read from the mapping of such things that the caller gives.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, final

import attrs
import numpy

from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.charted import Charted
from manifoldnet.declare.interpretations.gaussian import Gaussian, HeteroscedasticGaussian
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.interpretations.spherical import Spherical
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.declare.links import NAMED_LINKS
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.wiring import Adjacency, Dense, FanIn, FanOut, Wiring, as_wiring
from manifoldnet.errors import ChartError, GraphError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.product import Product
from manifoldnet.geometry.real import Real
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.geometry.spd import SPD
from manifoldnet.geometry.sphere import Sphere

MANIFOLDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (Real, Interval, Positive, Simplex, Sphere, SPD, Product)
}
INTERPRETATIONS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (SquareLoss, Bernoulli, Softmax, Spherical, Gaussian, HeteroscedasticGaussian)
}
WIRINGS: dict[str, Callable[..., Any]] = {"fan_in": FanIn, "fan_out": FanOut}
AFFINE = "affine, "


# -------------------------------------------------------------------- writing


@final
@attrs.define
class Written:
    """Collects, while a network is written, the things that have no text, by the names they are written under."""

    named: dict[str, Any] = attrs.field(factory=dict)

    def name(self, wanted: str, thing: Any) -> dict[str, str]:
        """`{"named": name}`; raises GraphError where two different things would get one name."""
        if self.named.setdefault(wanted, thing) is not thing:
            raise GraphError(
                f"two different things are called {wanted!r}, and a text can only name them: give their functions or "
                "charts names of their own"
            )
        return {"named": wanted}

    def manifold(self, manifold: Manifold) -> Any:
        """A manifold as its declaration, `Interval(-1.0, 1.0)`."""
        text = manifold_text(manifold)
        return self.name(type(manifold).__name__, manifold) if text is None else text

    def chart(self, chart: Chart | None, manifold: Manifold) -> Any:
        """A chart of the atlas as its name, an affine one by its scale and shift."""
        if chart is None or _is_of_the_atlas(chart, manifold):
            return None if chart is None else chart.name
        if chart.is_affine:
            return {"name": chart.name, "scale": chart.scale.tolist(), "shift": chart.shift.tolist()}
        return self.name(chart.name, chart)

    def map(self, map: Affine | Map) -> Any:
        """`affine, tanh`; a map of one's own by the name of its function, with its manifolds."""
        if isinstance(map, Affine):
            link = map.link
            if NAMED_LINKS.get(link.name) is link:
                return f"{AFFINE}{link.name}"
            return {"affine": self.name(link.name, link)["named"]}
        found = {"function": self.function(map.function), "activity": None, "parameters": None}
        for key in ("activity", "parameters"):
            manifold = getattr(map, key)
            found[key] = None if manifold is None else self.manifold(manifold)
        if map.initial is not None:
            found["initial"] = self.function(map.initial)
        return {key: value for key, value in found.items() if value is not None}

    def function(self, function: Callable) -> str:
        """A function by its name."""
        return self.name(getattr(function, "__name__", type(function).__name__), function)["named"]

    def interpretation(self, interpretation: Interpretation, node: str) -> Any:
        """`Softmax(coefficients=True)`; one made of functions by the name of its node."""
        if isinstance(interpretation, Charted):
            inner = self.interpretation(interpretation.interpretation, node)
            return {"read": inner, "chart": self.output_chart(interpretation.chart)}
        kind = type(interpretation).__name__
        if INTERPRETATIONS.get(kind) is not type(interpretation):
            return self.name(node, interpretation)
        return call_text(kind, _fields(interpretation))

    def output_chart(self, chart: Chart) -> Any:
        """A chart of an output manifold, whose atlas is only known once a network is there."""
        if chart.is_affine:
            return {"name": chart.name, "scale": chart.scale.tolist(), "shift": chart.shift.tolist()}
        return self.name(chart.name, chart)


def manifold_text(manifold: Manifold) -> str | None:
    """A manifold as a person would declare it; None for one that is not of this package.

    >>> manifold_text(Interval(-1, 1)), manifold_text(Real(3)), manifold_text(Product(Real(1), Sphere(2)))
    ('Interval(-1, 1)', 'Real(3)', 'Product(Real(1), Sphere(2))')
    """
    kind = type(manifold).__name__
    if MANIFOLDS.get(kind) is not type(manifold):
        return None
    if isinstance(manifold, Product):
        parts = [manifold_text(factor) for factor in manifold.factors]
        return None if None in parts else f"{kind}({', '.join(map(str, parts))})"
    values = _fields(manifold)
    if len(values) > 1 and values.get("n") == 1:
        del values["n"]
    return f"{kind}({', '.join(_number(value) for value in values.values())})"


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A call with keyword arguments.

    >>> call_text("Gaussian", {"shared": True, "log_scale": 0.0})
    'Gaussian(shared=True, log_scale=0.0)'
    """
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _fields(thing: Any) -> dict[str, Any]:
    return {field.name: getattr(thing, field.name) for field in attrs.fields(type(thing)) if field.init}


def _number(value: Any) -> str:
    """As few digits as lead back to the number."""
    short = f"{value:g}" if isinstance(value, float) else repr(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def _is_of_the_atlas(chart: Chart, manifold: Manifold) -> bool:
    """Whether the manifold's chart of that name is this one, or cannot be told from it on points."""
    try:
        known = manifold.chart(chart.name)
    except ChartError:
        return False
    if known is chart:
        return True
    points = manifold.sample(numpy.random.default_rng(0), 5)
    return numpy.array_equal(known.to_coordinates(points), chart.to_coordinates(points))


# -------------------------------------------------------------------- reading


@final
@attrs.frozen
class Reader:
    """Reads texts, and takes what they only name from `named`. Whatever is no text or mapping is left as it is."""

    named: Mapping[str, Any]

    def thing(self, name: object, expected: str) -> Any:
        """What goes by a name; raises GraphError that says what to give."""
        if not isinstance(name, str) or name not in self.named:
            raise GraphError(
                f"the graph names a {expected} {name!r}: give from_graph(graph, functions={{{name!r}: ...}})"
            )
        return self.named[name]

    def manifold(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.thing(value.get("named"), "manifold")
        return constructed(value, MANIFOLDS, "a manifold") if isinstance(value, str) else value

    def chart(self, value: Any, manifold: Manifold) -> Any:
        if not isinstance(value, Mapping):
            return value
        if "named" in value:
            return self.thing(value["named"], "chart")
        return Chart.affine(value["name"], manifold, numpy.asarray(value["scale"]), numpy.asarray(value["shift"]))

    def map(self, value: Any) -> Any:
        if isinstance(value, str):
            name = value.removeprefix(AFFINE)
            if value.startswith(AFFINE) and value not in self.named:
                return Affine(NAMED_LINKS[name] if name in NAMED_LINKS else self.thing(name, "function"))
            return self.thing(value, "function")
        if not isinstance(value, Mapping):
            return value
        if "affine" in value:
            return Affine(self.thing(value["affine"], "function"))
        initial = value.get("initial")
        return Map(
            self.thing(value.get("function"), "function"),
            parameters=self.manifold(value.get("parameters")),
            activity=self.manifold(value.get("activity")),
            initial=None if initial is None else self.thing(initial, "function"),
        )

    def encode(self, value: Any) -> Any:
        return self.thing(value, "function") if isinstance(value, str) else value

    def interpretation(self, value: Any, numbers: int) -> Any:
        """`numbers` is how many it reads, on which the charts of its output manifold depend."""
        if isinstance(value, str):
            return constructed(value, INTERPRETATIONS, "an interpretation")
        if not isinstance(value, Mapping):
            return value
        if "named" in value:
            return self.thing(value["named"], "interpretation")
        inner = self.interpretation(value.get("read"), numbers)
        manifold = inner.output_manifold(numbers)
        return Charted(inner, manifold.chart(self.chart(value.get("chart"), manifold)))

    def wiring(self, record: Mapping[str, Any], units: int) -> Any:
        """The links of an edge that reads so many units: drawn ones keep the name of the rule that drew them."""
        given, links = record.get("wiring"), record.get("adjacency", record.get("links"))
        rule = _wiring_of(given) if isinstance(given, str) else given
        if links is None:
            return rule
        found = as_wiring(links if "adjacency" in record else _matrix(links, units))
        if not isinstance(rule, Wiring) or not isinstance(found, Adjacency):
            return found
        if isinstance(rule, Dense):
            return rule if found.matrix.all() else found
        return attrs.evolve(found, rule=rule.name)


def _wiring_of(text: str) -> Wiring | None:
    if text == "adjacency":
        return None
    return Dense() if text == "dense" else constructed(text, WIRINGS, "a wiring")


def links_of(matrix: numpy.ndarray) -> list[list[int]]:
    """For each child of an adjacency, which of the units it reads; `_matrix` goes back.

    >>> links_of(numpy.array([[True, False, True], [False, False, False]]))
    [[0, 2], []]
    """
    return [numpy.flatnonzero(row).tolist() for row in matrix]


def _matrix(links: Any, units: int) -> numpy.ndarray:
    try:
        matrix = numpy.zeros((len(links), units), dtype=bool)
        for child, read in enumerate(links):
            matrix[child, read] = True
    except (TypeError, IndexError) as error:
        raise GraphError(f"links= lists, for each child, which of the {units} units it reads: {error}") from error
    return matrix


def constructed(text: str, known: Mapping[str, Callable[..., Any]], expected: str) -> Any:
    """What a text such as `Product(Real(2), Sphere(2))` declares, built of listed constructors and literals only.

    Raises GraphError for any other text.

    >>> constructed("Interval(-1, 1, n=2)", MANIFOLDS, "a manifold")
    Interval(low=-1.0, high=1.0, n=2)
    """
    try:
        return _built(ast.parse(text, mode="eval").body, known)
    except (SyntaxError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise GraphError(f"{text!r} is not {expected}: there are {', '.join(known)}. {error}") from error


def _built(node: ast.expr, known: Mapping[str, Callable[..., Any]]) -> Any:
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    if not isinstance(node.func, ast.Name) or node.func.id not in known:
        raise LookupError(f"nothing is called {ast.unparse(node.func)}")
    arguments = [_built(argument, known) for argument in node.args]
    return known[node.func.id](*arguments, **{str(k.arg): _built(k.value, known) for k in node.keywords})
