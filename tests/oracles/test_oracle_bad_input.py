"""Declarations that make no sense are refused, with a message that names the node and the remedy."""

import networkx
import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.errors import ChartError, DeclarationError, GraphError
from tests.backends import compiled


@pytest.fixture
def net() -> mn.Network:
    """Three inputs "x" and two hidden units "h"."""
    net = mn.Network("small")
    net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
    return net


def interpreted(net: mn.Network, name: str) -> mn.Network:
    net.interpret(mn.SquareLoss(), parents=[net[name]])
    return net


# -------------------------------------------------------------------- graphs


def layer_node(size: int = 1) -> dict:
    return {"kind": "layer", "size": size, "map": mn.Affine(mn.tanh), "manifold": mn.Interval(-1, 1)}


def test_a_cycle_is_shown() -> None:
    graph = networkx.DiGraph([("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")])
    graph.add_node("x", kind="input", size=1, manifold=mn.Real(1))
    for name in "abc":
        graph.add_node(name, **layer_node())
    with pytest.raises(
        GraphError,
        match="has a cycle, of which one edge must go: (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)$",
    ):
        mn.Network.from_graph(graph)


def test_a_node_of_an_unknown_kind() -> None:
    graph = networkx.DiGraph([("x", "a")])
    graph.add_node("x", kind="inputs")
    graph.add_node("a", **layer_node())
    with pytest.raises(GraphError, match="node 'x' has kind 'inputs': expected 'input', 'layer' or 'interpretation'"):
        mn.Network.from_graph(graph)


def test_a_node_without_its_attributes() -> None:
    graph = networkx.DiGraph([("x", "a")])
    graph.add_node("x", kind="input", size=1, manifold=mn.Real(1))
    graph.add_node("a", kind="layer", map=mn.Affine(mn.tanh))
    with pytest.raises(GraphError, match="node 'a'.* lacks or has too many attributes.*'size'"):
        mn.Network.from_graph(graph)


def test_a_function_that_a_graph_only_names() -> None:
    graph = networkx.DiGraph([("x", "a")])
    graph.add_node("x", kind="input", size=1, manifold=mn.Real(1))
    graph.add_node("a", **{**layer_node(), "map": "turn"})
    with pytest.raises(GraphError, match=r"names a function 'turn': give from_graph\(graph, functions="):
        mn.Network.from_graph(graph)


# -------------------------------------------------------------------- names and handles


def test_an_unknown_name(net: mn.Network) -> None:
    with pytest.raises(GraphError, match="'y' reads 'hh', which is no layer declared before it: there are x, h"):
        net.layer("y", size=1, map=mn.Affine(), parents=["hh"])
    with pytest.raises(GraphError, match="network 'small' has no layer 'hh': it has x, h"):
        _ = net["hh"]
    with pytest.raises(ChartError, match=r"no chart is called 'hh': keys are a layer \(x, h\)"):
        net.with_charts({"hh": "log-odds"})
    with pytest.raises(GraphError, match="no parameters are called 'hh': there are h"):
        program = compiled(interpreted(net, "h"))
        _ = program.initialize(numpy.random.default_rng(0))["hh"]


def test_an_unknown_chart(net: mn.Network) -> None:
    with pytest.raises(ChartError, match="layer 'h': .*no chart 'logodds'; expected one of .*'log-odds'"):
        net.with_charts({"h": "logodds"})
    with pytest.raises(ChartError, match="layer 'h': a pre-activation chart must be affine.*'cubic' is not"):
        net.with_charts({"h/pre-activation": "cubic"})
    with pytest.raises(ChartError, match="only affine units have a pre-activation; 'x' is not affine"):
        net.with_charts({"x/pre-activation": "doubled"})


@pytest.mark.parametrize("declare", ["input", "layer", "interpretation"])
def test_a_duplicate_name(net: mn.Network, declare: str) -> None:
    with pytest.raises(GraphError, match="network 'small' already has a node named 'h': choose another name"):
        if declare == "input":
            net.input("h")
        elif declare == "layer":
            net.layer("h", size=1, map=mn.Affine(), parents=[net["x"]])
        else:
            net.interpret(mn.SquareLoss(), parents=[net["h"]], name="h")


@pytest.mark.parametrize("name", ["", "a/b", 3])
def test_a_name_that_is_none(net: mn.Network, name: object) -> None:
    with pytest.raises(DeclarationError, match="a name is a non-empty string without '/', received"):
        net.input(name)


def test_a_handle_of_another_network(net: mn.Network) -> None:
    stranger = mn.Network("stranger").input("x", size=3)
    with pytest.raises(GraphError, match="'y' reads <x.*of network stranger>.*use a handle of network 'small'"):
        net.layer("y", size=1, map=mn.Affine(), parents=[stranger])
    with pytest.raises(GraphError, match="'out' reads <x.*of network stranger>.*use a handle of network 'small'"):
        net.interpret(mn.SquareLoss(), parents=[stranger])


def test_something_that_is_no_handle(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match="'y': parents are handles .* received 7"):
        net.layer("y", size=1, map=mn.Affine(), parents=[7])
    with pytest.raises(DeclarationError, match="layer 'y' has no parents: .*net.input"):
        net.layer("y", size=1, map=mn.Affine(), parents=[])


def test_units_that_a_layer_does_not_have(net: mn.Network) -> None:
    with pytest.raises(GraphError, match="has 2 units and no unit 5"):
        _ = net["h"][5]
    with pytest.raises(GraphError, match="has 2 units: .* selects none of them"):
        _ = net["h"][2:]


# -------------------------------------------------------------------- maps and manifolds


def test_a_link_that_leaves_its_manifold(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match=r"layer 'y': link 'logistic' leaves Interval\(low=0.0, high=0.5"):
        net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[net["x"]], manifold=mn.Interval(0, 0.5))
    with pytest.raises(DeclarationError, match=r"layer 'y': link 'tanh' leaves Positive\(n=1\)"):
        net.layer("y", size=1, map=mn.Affine(mn.tanh), parents=[net["x"]], manifold=mn.Positive(1))


def test_an_affine_unit_on_a_curved_manifold(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match=r"layer 'y': .*not Sphere\(n=2\): use mn.Map"):
        net.layer("y", size=1, map=mn.Affine(), parents=[net["x"]], manifold=mn.Sphere(2))


def test_a_link_that_is_not_elementwise() -> None:
    with pytest.raises(DeclarationError, match="must act on every component alone"):
        mn.Affine(lambda y: y / np.sum(y))
    with pytest.raises(DeclarationError, match="no link is named 'sigmoid': the named links are logistic"):
        mn.Affine("sigmoid")


def test_a_map_declared_on_two_manifolds(net: mn.Network) -> None:
    map = mn.Map(lambda x: np.sum(x, axis=-2), activity=mn.Real(1))
    with pytest.raises(
        DeclarationError, match=r"layer 'y': map <lambda> gives points of Real\(n=1\), but .*Real\(n=2\)"
    ):
        net.layer("y", size=1, map=map, parents=[net["x"]], manifold=mn.Real(2))


def test_a_map_that_says_not_enough(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match="needs the manifold of its activity"):
        mn.Map(lambda x: x)
    with pytest.raises(
        DeclarationError, match=r"Map\(parameters=...\) takes a manifold such as mn.Real\(3\), received 3"
    ):
        mn.Map(lambda x: x, parameters=3, activity=mn.Real(1))
    map = mn.Map(lambda a, b, c, d: a, activity=mn.Real(1))
    with pytest.raises(DeclarationError, match="has 1 parents and no parameter: it must take 1 arguments"):
        net.layer("y", size=1, map=map, parents=[net["x"]])


def test_what_is_no_map_or_manifold(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match=r"map= takes mn.Affine\(link\) or mn.Map"):
        net.layer("y", size=1, map="tanh", parents=[net["x"]])
    with pytest.raises(DeclarationError, match=r"layer 'z': manifold= takes one such as mn.Interval\(0, 1\)"):
        net.input("z", manifold=mn.Real)
    with pytest.raises(DeclarationError, match="layer 'z' has a size of at least 1, received 0"):
        net.input("z", size=0)


# -------------------------------------------------------------------- wiring


def test_a_unit_without_parents() -> None:
    net = mn.Network("sparse")
    x = net.input("x", size=1)
    h = net.layer("h", size=3, map=mn.Affine(), parents=[x], wiring=mn.fan_out(1))
    net.interpret(mn.SquareLoss(), parents=[h])
    with pytest.raises(GraphError, match=r"unit h\[\d\] is unreachable: the wiring \(fan_out\(1\)\).*Use fan_in"):
        compiled(net)


def test_a_map_without_one_of_its_parents(net: mn.Network) -> None:
    map = mn.Map(lambda a, b: np.sum(a, axis=-2) + np.sum(b, axis=-2), activity=mn.Real(1))
    wiring = numpy.array([[1, 1], [0, 0]])
    net.layer("y", size=2, map=map, parents=[net["x"], (net["h"], wiring)])
    with pytest.raises(GraphError, match=r"unit y\[1\] reads no unit of 'h', which its map needs"):
        compiled(interpreted(net, "y"))


def test_a_unit_that_nothing_reads(net: mn.Network) -> None:
    net.interpret(mn.SquareLoss(), parents=[net["h"][:1]])
    with pytest.raises(GraphError, match=r"unit h\[1\] is unused: no unit and no interpretation reads it. Use fan_out"):
        compiled(net)


def test_a_layer_that_nothing_reads(net: mn.Network) -> None:
    net.layer("y", size=1, map=mn.Affine(), parents=[net["x"]])
    with pytest.raises(GraphError, match="layer 'h' is unused: no layer and no interpretation reads it"):
        compiled(interpreted(net, "y"))


def test_a_network_without_interpretation(net: mn.Network) -> None:
    with pytest.raises(GraphError, match="network 'small' has no interpretation: say what its outputs mean"):
        compiled(net)


def test_links_that_cannot_be_drawn(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match=r"edge 'x' -> 'y': fan_in\(4\): 4 distinct links .* only 3 units"):
        net.layer("y", size=1, map=mn.Affine(), parents=[net["x"]], wiring=mn.fan_in(4))
    with pytest.raises(DeclarationError, match="FanIn takes a number of links of at least 1, received 0"):
        mn.fan_in(0)
    with pytest.raises(
        DeclarationError, match=r"edge 'x' -> 'y': .*\(children, parents\) = \(1, 3\), received \(3, 1\)"
    ):
        net.layer("y", size=1, map=mn.Affine(), parents=[(net["x"], numpy.ones((3, 1)))])
    with pytest.raises(DeclarationError, match="wiring= takes mn.dense, .* or a 0/1 array"):
        net.layer("y", size=1, map=mn.Affine(), parents=[net["x"]], wiring=numpy.full((1, 3), 2))
    with pytest.raises(GraphError, match="edge 'x' -> 'y' links no units: leave 'x' out"):
        net.layer("y", size=1, map=mn.Affine(), parents=[net["h"], (net["x"], numpy.zeros((1, 3)))])


def test_an_affine_unit_that_reads_a_unit_twice(net: mn.Network) -> None:
    net.layer("y", size=1, map=mn.Affine(), parents=[net["h"], net["h"][:1]])
    with pytest.raises(ValueError, match=r"unit y\[0\] is affine and reads one parent unit twice"):
        compiled(interpreted(net, "y"))


# -------------------------------------------------------------------- interpretations


@pytest.mark.parametrize(
    ("interpretation", "parents", "message"),
    [
        (mn.Bernoulli(), ["x"], r"interpretation 'out': Bernoulli reads units on an Interval.* position 0 lives on Real"),
        (mn.Softmax(), ["one"], "interpretation 'out': Softmax reads at least 2 outputs, received 1"),
        (mn.Spherical(), ["one"], "interpretation 'out': Spherical reads at least 2 outputs, received 1"),
        (mn.HeteroscedasticGaussian(), ["x"], "as many log-scales as means, received 3 outputs"),
        (mn.Density(lambda z, y: -z[..., 0] * y**2, [0.0, 1.0]), ["h"], "sum to 1 over its support, received"),
        (mn.Density(lambda z, y: -z[..., 0], [0.0, 1.0]), ["h"], r"to shape \(3, 2\), received \(3, 1\)"),
        (
            mn.OutputMap(lambda z: z, mn.Sphere(1), loss=lambda p, y: np.sum(p * y, axis=-1)),
            ["h"],
            r"omega must return points of Sphere\(n=1\)",
        ),
        (
            mn.OutputMap(lambda z: z, mn.Real(2), loss=lambda p, y: 0.0 * p[..., 0], metric=lambda p: p),
            ["h"],
            r"metric must return shape \(\.\.\., 2, 2\), received \(3, 2\)",
        ),
        (
            mn.OutputMap(
                lambda z: z, mn.Real(2), loss=lambda p, y: 0.0 * p[..., 0],
                metric=lambda p: -numpy.eye(2) + 0.0 * p[..., None],
            ),
            ["h"],
            "Omega must be positive semi-definite, received an eigenvalue -1",
        ),
        (mn.SquareLoss, ["h"], r"interpret takes an interpretation such as mn.Softmax\(\)"),
        (mn.SquareLoss(), ["h", "h"], r"interpretation 'out' reads unit h\[0\] twice: make its slices disjoint"),
        (mn.SquareLoss(), [], "interpretation 'out' reads no units"),
    ],
)  # fmt: skip
def test_an_interpretation_that_does_not_fit(
    net: mn.Network, interpretation: object, parents: list[str], message: str
) -> None:
    net.unit("one", map=mn.Affine(), parents=[net["h"]])
    with pytest.raises(DeclarationError, match=message):
        net.interpret(interpretation, parents=[net[name] for name in parents])


def test_a_support_of_one_value() -> None:
    with pytest.raises(DeclarationError, match="a support is at least two finite values"):
        mn.Density(lambda z, y: y, [1.0])


def test_wiring_of_an_interpretation(net: mn.Network) -> None:
    with pytest.raises(DeclarationError, match="'out' is an interpretation, which takes no wiring"):
        net.interpret(mn.SquareLoss(), parents=[(net["h"], mn.fan_in(1))])


def test_a_link_whose_slope_is_wrong(net: mn.Network) -> None:
    link = mn.Link("squared", lambda y: y**2, slope=lambda y: y)
    with pytest.raises(DeclarationError, match="layer 'y': link 'squared' has slope .* finite differences give"):
        net.layer("y", size=1, map=mn.Affine(link), parents=[net["h"]])


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (lambda y: np.sum(y), "must act on every component alone: an array of shape .* gave shape"),
        (lambda y: np.log(y), "must give finite float64 numbers"),
        (lambda y: y + numpy.random.default_rng().random(), "gave two results for the same argument"),
        (lambda y: y / y.sum(), "depend on the other components"),
        (lambda y: y.nothing, "failed on an array: AttributeError"),
    ],
)
def test_a_function_that_is_no_link(link: object, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        mn.Affine(link)


def test_a_hidden_unit_that_leaves_its_manifold(net: mn.Network) -> None:
    tenth = net.layer("t", size=1, map=mn.Affine(lambda y: y / 10), manifold=mn.Interval(-1, 1), parents=[net["h"]])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[tenth])])
    program = compiled(net)
    theta = program.initialize(numpy.random.default_rng(0))
    flat = numpy.array(theta.flat)
    flat[program.layout["t"].offset] = 50.0
    with pytest.raises(ArithmeticError, match=r"unit t\[0\] leaves Interval.* on sample 0"):
        program.output(flat, numpy.full((2, 3), 0.5))


def test_spherical_with_exact_zeros() -> None:
    net = mn.Network("dead")
    y = net.layer("y", size=2, map=mn.Affine(mn.relu), parents=[net.input("x")])
    net.interpret(mn.Spherical(), parents=[y])
    program = compiled(net)
    with pytest.raises(ArithmeticError, match=r"all outputs \(y\[0\] to y\[1\]\) are exactly 0 on sample 0"):
        program.output(numpy.array([-1.0, 0.0, -1.0, 0.0]), [[1.0]])
    with pytest.raises(ArithmeticError, match=r"unit y\[0\] is exactly 0 on sample 0, whose class it is"):
        program.differential(numpy.array([-1.0, 0.0, 1.0, 0.0]), [[1.0]], [0])


@pytest.mark.parametrize("memory_limit", [2**20, 2**30])
def test_an_exact_zero_is_named_by_unit_and_sample_however_samples_are_cut(memory_limit: int) -> None:
    net = mn.Network("dead")
    x = net.input("x")
    parents = [net.layer(name, size=2, map=mn.Affine(mn.relu), parents=[x]) for name in ("left", "right")]
    net.interpret(mn.Spherical(), parents=parents[::-1])
    program = mn.compile(net, memory_limit=memory_limit)
    inputs = numpy.ones((40_000, 1))
    inputs[33_333] = -1.0
    theta = program.parameters([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    with pytest.raises(ArithmeticError, match=r"unit left\[1\] is exactly 0 on sample 33333, whose class it is"):
        program.loss(theta, inputs, numpy.full(40_000, 3))


def test_tangents_and_covectors_are_kept_apart(net: mn.Network) -> None:
    program = compiled(interpreted(net, "h"))
    theta = program.initialize(numpy.random.default_rng(0))
    tensor = program.metric(mn.Euclidean(), theta, numpy.full((1, 3), 0.5))
    tangent, covector = program.tangent(theta.flat), mn.Covector(theta.flat, layout=program.tangent_layout)
    with pytest.raises(TypeError, match="expected a tangent, received a covector"):
        program.step(theta, covector)
    with pytest.raises(TypeError, match="expected a tangent, received a covector"):
        tensor.norm2(covector)
    with pytest.raises(TypeError, match="expected a covector, received a tangent"):
        tensor.solve(tangent)
    with pytest.raises(TypeError, match=r"damping= takes one such as Tikhonov\(1e-4\), received 0.1"):
        tensor.solve(covector, damping=0.1)


def test_a_graph_without_directions() -> None:
    with pytest.raises(GraphError, match="directed graph"):
        mn.Network.from_graph(networkx.Graph())
