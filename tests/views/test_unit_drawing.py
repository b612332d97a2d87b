"""Pictures unit by unit: what colours and widths mean, that nothing is left out silently, and that files are drawn."""

import xml.etree.ElementTree
from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.quantities import backpropagated_moduli, fisher_moduli
from manifoldnet.errors import DataError
from manifoldnet.views.dot import write_picture
from manifoldnet.views.unit_drawing import (
    NEGATIVE,
    NEITHER,
    POSITIVE,
    SHADES,
    Scale,
    TooManyUnitsError,
    drawn_links,
    unit_drawing,
)
from manifoldnet.views.unit_places import block_of, placed
from manifoldnet.views.unit_values import unit_values


def chained(*sizes: int) -> mn.Network:
    net = mn.Network("chained", seed=2)
    handle = net.input("x", size=sizes[0])
    for number, size in enumerate(sizes[1:]):
        handle = net.layer(f"h{number}", size=size, map=mn.Affine(mn.tanh), parents=[handle])
    net.interpret(mn.SquareLoss(), parents=[handle])
    return net


def seen(net: mn.Network, colour: str = "fisher", samples: int = 230) -> tuple:
    program, rng = mn.compile(net), numpy.random.default_rng(0)
    theta = program.initialize(rng)
    inputs = rng.standard_normal((samples, net.snapshot().layers[0].size))
    return program, theta, inputs, unit_values(program, theta, inputs, colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(("colour", "whole"), [("fisher", fisher_moduli), ("backpropagated", backpropagated_moduli)])
def test_moduli_are_averages_over_all_samples(colour: str, whole: object) -> None:
    """More samples than are taken at a time."""
    program, theta, inputs, values = seen(chained(3, 4, 2), colour)
    moduli = whole(program.at(theta, inputs, numpy.zeros((230, 2))))  # type: ignore[operator]
    assert values.samples == 230 and set(values.moduli) == {"h0", "h1"}
    for name, blocks in moduli.items():
        assert numpy.allclose(values.moduli[name], blocks[..., 0, 0].mean(axis=0), rtol=1e-12)
    with pytest.raises(DataError, match="no modulus is called 'euclid': there are fisher, backpropagated"):
        unit_values(program, theta, inputs, "euclid")  # type: ignore[arg-type]


def mixed() -> mn.Network:
    net = mn.Network("mixed", seed=1)
    x, s = net.input("x", size=3), net.input("s", size=2, manifold=mn.Sphere(2))
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[(x[[2, 0]], mn.fan_in(1)), s])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h])])
    return net


def test_weights_stand_at_their_links() -> None:
    net = mixed()
    program = mn.compile(net)
    theta = program.parameters(numpy.random.default_rng(5).standard_normal(program.layout.size))
    points = numpy.tile([0.0, 0.0, 1.0], (5, 2, 1))
    values = unit_values(program, theta, {"x": numpy.zeros((5, 3)), "s": points})
    first, second = values.weights["h"]
    for unit in range(4):
        # bias, one weight of x, then three for each of two points of the sphere
        numbers = theta["h"][unit]
        assert first.values[unit][~numpy.isnan(first.values[unit])].tolist() == [numbers[1]]
        # two ways to sum three squares: another processor may round them apart
        norms = [numpy.linalg.norm(numbers[2:5]), numpy.linalg.norm(numbers[5:8])]
        assert second.values[unit].tolist() == pytest.approx(norms, rel=1e-15)
    assert first.signed and not second.signed
    links, count = drawn_links(program.declaration, values)
    assert count == 4 + 8 + 4 == len(links)
    for link in links:
        assert link.colour == (NEITHER if link.parent == "s" else POSITIVE if link.weight > 0.0 else NEGATIVE)
    assert {link.colour for link in links} == {NEITHER, POSITIVE, NEGATIVE}
    assert {link.parent_unit for link in links if link.parent == "x"} <= {0, 2}
    assert max(link.strength for link in links if link.layer == "h") == 1.0


def test_of_many_links_every_units_strongest_and_then_the_strongest_are_drawn() -> None:
    program, _, _, values = seen(chained(30, 40, 5))
    links, count = drawn_links(program.declaration, values, most=100)
    assert count == 30 * 40 + 40 * 5 and len(links) == 100
    for layer, size in (("h0", 40), ("h1", 5)):
        weights = numpy.abs(values.weights[layer][0].values)
        for unit in range(size):
            drawn = {link.parent_unit for link in links if (link.layer, link.unit) == (layer, unit)}
            assert int(weights[unit].argmax()) in drawn
    source = unit_drawing(chained(30, 40, 5), program, values).source
    assert "the 700 strongest of 1,400 links" in source and source.count(" -> ") == 700 + 5


def test_darker_is_larger_on_a_logarithmic_scale() -> None:
    scale = Scale(1e-3, 1e4)
    assert [scale.shade(10.0**k * 1.01) for k in range(-3, 4)] == list(SHADES)
    assert scale.shade(0.0) == scale.shade(1e-9) == SHADES[0] and scale.shade(1e4) == SHADES[-1]
    assert Scale(2.0, 2.0).shade(2.0) == SHADES[3]


def test_units_have_places_of_their_own_to_the_right_of_what_they_read() -> None:
    net = mn.Network("skips")
    x, z = net.input("x", size=64), net.input("z", size=3)
    h = net.layer("h", size=500, map=mn.Affine(mn.tanh), parents=[x, z])
    g = net.layer("g", size=1, map=mn.Affine(mn.tanh), parents=[h, z])
    net.interpret(mn.SquareLoss(), parents=[g, x])
    blocks = placed(net.snapshot(), net.graph)
    places = [block.place(unit) for block in blocks.values() for unit in range(block.size)]
    assert len(set(places)) == 64 + 3 + 500 + 1 + 1
    for parent, child in net.graph.edges:
        assert blocks[parent].left + blocks[parent].width < blocks[child].left
    assert blocks["x"].left + blocks["x"].width / 2 == blocks["z"].left
    assert (block_of(64).columns, block_of(64).rows) == (8, 8)


@pytest.mark.parametrize("sizes", [(2, 2, 1), (300, 150, 50)])
def test_five_and_five_hundred_units_are_drawn(sizes: tuple[int, ...], tmp_path: Path) -> None:
    net = chained(*sizes)
    program, _, _, values = seen(net, samples=20)
    path = write_picture(unit_drawing(net, program, values, "a note & more"), tmp_path / "net.svg")
    root = xml.etree.ElementTree.parse(path).getroot()
    titles = [node.get("{http://www.w3.org/1999/xlink}title") or "" for node in root.iter()]
    assert sum(": Fisher modulus" in title for title in titles) == sum(sizes[1:])
    assert sum("]: input" in title for title in titles) == sizes[0]
    texts = [(node.text or "").replace("\xa0", " ").strip() for node in root.iter() if node.tag.endswith("text")]
    assert "a note & more" in texts and f"{sizes[0]} units" in texts


def test_too_many_units_are_refused() -> None:
    net = chained(5000, 1)
    program, _, _, values = seen(net, samples=2)
    with pytest.raises(TooManyUnitsError, match=r"has 5,001 units, and at most 5,000 .* draw its layers"):
        unit_drawing(net, program, values)


def test_any_network_is_drawn(tmp_path: Path) -> None:
    """Curved units, ragged wirings, general maps, several interpretations."""
    net = mn.Network("<odd> & 'quoted'")
    x = net.input("a:b", size=2, manifold=mn.Sphere(1))
    h = net.layer('h"', size=3, map=mn.Map(lambda x: x[..., 0, :1], activity=mn.Real(1)), parents=[(x, mn.fan_in(1))])
    y = net.layer("y", size=2, map=mn.Affine(mn.logistic), parents=[h, x])
    net.interpret(mn.Bernoulli(), parents=[y])
    net.interpret(mn.SquareLoss(), parents=[h], name="h read")
    program = mn.compile(net)
    theta = program.initialize(numpy.random.default_rng(0))
    values = unit_values(program, theta, numpy.tile([1.0, 0.0], (4, 2, 1)), "backpropagated")
    assert write_picture(unit_drawing(net, program, values), tmp_path / "net.svg").stat().st_size > 1000
