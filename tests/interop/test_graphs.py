"""Networks as files of graphs and back: the same units, links, charts and meanings."""

import copy
import json
from pathlib import Path
from typing import Any

import hypothesis
import networkx
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DataError, GraphError
from manifoldnet.interop.graphs import from_node_link, read_graph, to_node_link, write_graph
from tests.oracles.networks import Case, cases


def same(case: Case, again: mn.Network) -> None:
    """Equal parameters mean the same losses and differentials, to the last bit."""
    program = mn.compile(again)
    assert program.layout == case.program.layout
    data = (case.theta.flat, case.inputs, case.targets)
    assert numpy.array_equal(program.losses(*data), case.program.losses(*data))
    assert numpy.array_equal(program.differential(*data).flat, case.program.differential(*data).flat)


@hypothesis.settings(max_examples=25)
@hypothesis.given(cases())
def test_a_network_read_back_from_text(case: Case) -> None:
    graph, functions = case.network.text_graph()
    text = json.dumps(networkx.node_link_data(graph, edges="edges"), allow_nan=False)
    same(case, mn.Network.from_graph(networkx.node_link_graph(json.loads(text), edges="edges"), functions))


@pytest.mark.parametrize("suffix", [".json", ".graphml"])
@hypothesis.settings(max_examples=8, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(case=cases())
def test_a_network_read_back_from_a_file(case: Case, suffix: str, tmp_path: Path) -> None:
    path = write_graph(case.network, tmp_path / f"net{suffix}")
    _, functions = case.network.text_graph()
    again = read_graph(path, functions)
    same(case, again)
    # what is read writes the same file
    before = path.read_text()
    assert write_graph(again, path).read_text() == before


def sparse() -> mn.Network:
    net = mn.Network("sparse", seed=3)
    x = net.input("x", size=7, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=5, map=mn.Affine(mn.tanh), parents=[(x[1:6], mn.fan_in(2)), x[[0, 6]]])
    y = net.layer("y", size=3, map=mn.Affine(), parents=[(h, mn.fan_out(2, replace=True)), (x, numpy.eye(3, 7))])
    net.interpret(mn.Softmax(coefficients=True), parents=[y])
    return net


def test_texts_that_a_person_can_read() -> None:
    graph, functions = sparse().text_graph()
    assert functions == {}
    assert dict(graph.nodes["h"]) == {
        "kind": "layer",
        "size": 5,
        "manifold": "Interval(-1, 1)",
        "chart": "identity",
        "map": "affine, tanh",
    }
    assert graph.nodes["out"]["interpretation"] == "Softmax(coefficients=True)"
    first, second = graph.edges["x", "h"]["reads"]
    assert (first["wiring"], first["units"], len(first["links"])) == ("fan_in(2)", [1, 2, 3, 4, 5], 5)
    assert second == {"position": 1, "units": [0, 6], "wiring": "dense"}


def test_wirings_keep_their_links_and_the_names_of_their_rules() -> None:
    net = sparse()
    again = from_node_link(json.loads(json.dumps(to_node_link(net))))
    for layer, other in zip(net.snapshot().layers, again.snapshot().layers, strict=True):
        for edge, read in zip(layer.edges, other.edges, strict=True):
            assert numpy.array_equal(edge.mask, read.mask)
            assert edge.wiring.name == read.wiring.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').getcwd()", "nothing is called __import__\\('os'\\).getcwd"),
        ("Interval(0, 1", "not a manifold: there are Real, Interval"),
        ("Interval(1, 0)", "expected finite bounds, low < high"),
        ("Real(lambda: 1)", "malformed node"),
        ("Euclid(3)", "nothing is called Euclid"),
    ],
)
def test_no_text_is_run(text: str, message: str) -> None:
    data = to_node_link(sparse())
    data["nodes"][0]["manifold"] = text
    with pytest.raises(GraphError, match=message):
        from_node_link(data)


def bent(y: Any) -> Any:
    return y + 0.1 * y**3


def own_link() -> mn.Network:
    net = mn.Network("bent")
    y = net.layer("y", size=1, map=mn.Affine(bent), parents=[net.input("x", encode=numpy.asarray)])
    net.interpret(mn.SquareLoss(), parents=[y])
    return net


def test_functions_are_asked_for_by_name() -> None:
    data = to_node_link(own_link())
    with pytest.raises(GraphError, match="names a function 'asarray'"):
        from_node_link(data)
    with pytest.raises(GraphError, match="names a function 'bent'"):
        from_node_link(data, {"asarray": numpy.asarray})
    again = from_node_link(data, {"asarray": numpy.asarray, "bent": bent})
    assert again.snapshot().layer("y").map.name == "affine, bent"  # type: ignore[union-attr]


def test_two_functions_of_one_name_are_refused(tmp_path: Path) -> None:
    net = mn.Network("two")
    parents = [net.input(name, encode=lambda raw, k=k: raw + k) for k, name in enumerate("ab")]
    y = net.layer("y", size=1, map=mn.Affine(), parents=parents)
    net.interpret(mn.SquareLoss(), parents=[y])
    with pytest.raises(GraphError, match="two different things are called '<lambda>'"):
        write_graph(net, tmp_path / "net.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("net.json", "{", DataError),
        ("net.json", "[1]", GraphError),
        ("net.json", '{"nodes": [{"id": "x"}], "edges": []}', GraphError),
        ("net.graphml", "<graphml", DataError),
        ("net.graphml", "<a/>", DataError),
        ("net.txt", "", DataError),
    ],
)
def test_other_files_are_refused(name: str, text: str, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error):
        read_graph(tmp_path / name)


def test_copies_grow_on_their_own() -> None:
    net = sparse()
    again = copy.deepcopy(net)
    again.input("more")
    assert "more" not in {layer.name for layer in net.snapshot().layers}
    assert again.snapshot().layers[0] is net.snapshot().layers[0]


def test_what_goes_to_another_process_is_texts_and_functions() -> None:
    make, parts = own_link().__reduce__()
    assert parts[1].keys() == {"asarray", "bent"} and parts[1]["bent"].function is bent
    assert to_node_link(make(*parts)) == to_node_link(own_link())
