"""Networks as graphs and back, and the links that random wirings draw."""

import hypothesis
import hypothesis.strategies as st
import networkx
import numpy

import manifoldnet as mn
from tests.backends import compiled
from tests.oracles.networks import Case, cases


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_a_network_read_back_from_its_graph(case: Case) -> None:
    """The same network in the same charts: equal parameters mean the same losses and differentials."""
    again = compiled(mn.Network.from_graph(case.network.graph))
    assert again.layout == case.program.layout
    data = (case.theta.flat, case.inputs, case.targets)
    assert numpy.array_equal(again.losses(*data), case.program.losses(*data))
    assert numpy.array_equal(again.differential(*data).flat, case.program.differential(*data).flat)


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_the_graph_of_units_is_what_the_program_computes(case: Case) -> None:
    """It is acyclic, and has the links that the reference is made of and no others."""
    graph = case.network.unit_graph
    assert networkx.is_directed_acyclic_graph(graph)
    wired = {(parent, unit) for unit, edges in case.reference.wires.items() for edge in edges for parent in edge}
    read = {(unit, (o.name, 0)) for o in case.recipe.outputs for unit in case.reference.units_read(o)}
    assert set(graph.edges) == wired | read


@hypothesis.given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_links_drawn_at_random(children: int, parents: int, k: int, replace: bool, seed: int) -> None:
    """k distinct links, or k drawn with replacement and merged; for each child, or for each parent."""
    for wiring, axis, among in ((mn.fan_in, 1, parents), (mn.fan_out, 0, children)):
        if k > among and not replace:
            continue
        mask = wiring(k, replace).draw(numpy.random.default_rng(seed), children, parents)
        counts = mask.sum(axis=axis)
        assert mask.shape == (children, parents)
        assert (counts <= k).all() if replace else (counts == k).all()
        assert (counts >= 1).all()


def test_links_depend_on_the_seed_and_the_edge_alone() -> None:
    """Another layer changes no wiring, another seed does, and a second edge between the same layers draws anew."""

    def links(seed: int, extra: bool) -> list[numpy.ndarray]:
        net = mn.Network("wired", seed=seed)
        x = net.input("x", size=20)
        if extra:
            net.layer("g", size=5, map=mn.Affine(), parents=[x], wiring=mn.fan_in(3))
        net.layer("h", size=10, map=mn.Affine(), parents=[x[:10], x[10:]], wiring=mn.fan_in(4))
        return [record["adjacency"] for record in net.graph.edges["x", "h"]["reads"]]

    first, second = links(0, extra=False)
    assert not numpy.array_equal(first, second)
    assert all(numpy.array_equal(a, b) for a, b in zip((first, second), links(0, extra=True), strict=True))
    assert not numpy.array_equal(first, links(1, extra=False)[0])
