"""Pictures of networks: the DOT text, real files, and what is said where no picture can be made."""

import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

import manifoldnet as mn
from manifoldnet.errors import GraphError, MissingExtraError
from manifoldnet.views.dot import DrawingError, find_dot
from manifoldnet.views.drawing import drawing, render


def small(name: str = "small") -> mn.Network:
    net = mn.Network(name)
    x = net.input("x", size=6)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[(x[:3], mn.fan_in(2))])
    y = net.layer("y", size=2, map=mn.Affine(), parents=[h, x])
    net.interpret(mn.Gaussian(), parents=[y])
    return net


def plain(graph: object) -> list[list[str]]:
    """What Graphviz itself reads out of the DOT text: lines of its plain format, in words."""
    source = graph.source.encode()  # type: ignore[attr-defined]
    done = subprocess.run([find_dot(), "-Tplain"], input=source, capture_output=True, check=True)
    assert b"error" not in done.stderr.lower()
    return [line.split() for line in done.stdout.decode().splitlines()]


def texts(picture: Path) -> list[str]:
    root = xml.etree.ElementTree.parse(picture).getroot()
    return [(node.text or "").replace("\xa0", " ").strip() for node in root.iter() if node.tag.endswith("text")]


def test_layers_are_nodes_and_reads_are_edges() -> None:
    lines = plain(drawing(small()))
    assert {line[1] for line in lines if line[0] == "node"} == {"x", "h", "y", "out"}
    assert {(line[1], line[2]) for line in lines if line[0] == "edge"} == {
        ("x", "h"),
        ("h", "y"),
        ("x", "y"),
        ("y", "out"),
    }


def test_a_picture_says_what_each_layer_is(tmp_path: Path) -> None:
    said = texts(render(small(), tmp_path / "net.svg"))
    for text in ("h", "4 units", "Interval(-1, 1), identity chart", "affine, tanh", "12 parameters"):
        assert text in said
    # 2 (1 + 4 + 6) for y, and the logarithm of a deviation for each output or for all
    assert "22 parameters" in said and "Gaussian" in said
    assert any("x[0:3], fan_in(2)" in text for text in said)
    # what is dense is a thick line, and only its tooltip says so
    assert not any("dense" in text for text in said)
    assert drawing(small()).source.count("penwidth=2.2") == 2


def attributes(graph: object, node: str) -> dict[str, str]:
    line = next(text for text in graph.source.splitlines() if text.strip().startswith(f"{node} ["))  # type: ignore[attr-defined]
    return dict(re.findall(r'(fillcolor|shape|style|color)="?([#\w,]+)', line))


def test_kinds_of_nodes_differ_in_colour_and_manifolds_in_shape() -> None:
    graph = drawing(small())
    looks = {name: attributes(graph, name) for name in ("x", "h", "y", "out")}
    assert looks["h"]["fillcolor"] == looks["y"]["fillcolor"] != looks["x"]["fillcolor"]
    assert "dashed" in looks["out"]["style"]
    assert "rounded" in looks["h"]["style"] and "rounded" not in looks["y"]["style"]
    net = mn.Network("shapes")
    manifolds = [mn.Sphere(2), mn.Simplex(3), mn.SPD(2), mn.Positive(1), mn.Product(mn.Real(1), mn.Sphere(1))]
    parents = [net.input(f"x{i}", size=1, manifold=manifold) for i, manifold in enumerate(manifolds)]
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=parents)])
    shapes = [attributes(drawing(net), f"x{i}")["shape"] for i in range(5)]
    assert shapes == ["ellipse", "hexagon", "octagon", "house", "box3d"]


@pytest.mark.parametrize(
    "name", ['a "quoted" name', "back\\slash \\n", "a:b:c", "<b>bold", "<x>", "äöü", "node", "5", "a & b", "]"]
)
def test_any_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    net = mn.Network(name)
    y = net.layer(name, size=1, map=mn.Affine(), parents=[net.input("x")])
    net.interpret(mn.SquareLoss(), parents=[y], name=name + " out")
    graph = drawing(net)
    # a name read as something else would have made a third node or a second edge
    assert [line[0] for line in plain(graph)].count("node") == 3
    assert [line[0] for line in plain(graph)].count("edge") == 2
    assert name in texts(render(net, tmp_path / "net.svg"))


def test_few_levels_stand_in_a_row_and_many_in_a_column() -> None:
    def chain(length: int) -> mn.Network:
        net = mn.Network("chain")
        handle = net.input("x")
        for index in range(length):
            handle = net.layer(f"h{index}", size=1, map=mn.Affine(), parents=[handle])
        net.interpret(mn.SquareLoss(), parents=[handle])
        return net

    shapes = [plain(drawing(chain(length)))[0] for length in (2, 9)]
    wide, tall = ((float(width), float(height)) for _, _, width, height in shapes)
    assert wide[0] > wide[1] and tall[0] < tall[1]


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".dot", b"digraph"), (".PNG", b"\x89PNG")]
)
def test_the_suffix_says_what_is_written(suffix: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    assert render(small(), path) == path
    assert path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["net.jpg", "net", "net.svg.txt"])
def test_another_suffix_is_refused_with_a_list(name: str, tmp_path: Path) -> None:
    with pytest.raises(DrawingError, match=r"\.svg, \.png, \.pdf, \.dot"):
        render(small(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    net = mn.Network("half")
    net.input("x")
    with pytest.raises(GraphError, match="no interpretation"):
        render(net, tmp_path / "net.svg")


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins for Graphviz are shell scripts")
class TestWhereGraphvizIs:
    """Stand-ins for the programs, in folders of their own."""

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.beside = tmp_path / "path", tmp_path / "beside"
        self.path.mkdir()
        self.beside.mkdir()
        monkeypatch.setenv("PATH", str(self.path))
        monkeypatch.setattr(sys, "executable", str(self.beside / "python"))

    def test_the_systems_own_comes_first(self) -> None:
        program(self.beside, "graphviz-pure", "")
        assert find_dot() == str(self.beside / "graphviz-pure")
        program(self.path, "dot", "")
        assert find_dot() == str(self.path / "dot")

    def test_graphviz_pure_may_stand_on_the_path(self) -> None:
        program(self.path, "graphviz-pure", "")
        assert find_dot() == str(self.path / "graphviz-pure")

    def test_without_either_the_error_says_what_to_install(self, tmp_path: Path) -> None:
        with pytest.raises(MissingExtraError, match="pip install graphviz-pure"):
            render(small(), tmp_path / "net.svg")
        assert not (tmp_path / "net.svg").exists()
        assert render(small(), tmp_path / "net.dot").is_file()

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path) -> None:
        program(self.path, "dot", 'echo half > "$5"; echo "out of ink" >&2; exit 1')
        picture = tmp_path / "net.svg"
        picture.write_text("before")
        with pytest.raises(DrawingError, match="out of ink"):
            render(small(), picture)
        assert picture.read_text() == "before"
        assert {path.name for path in tmp_path.iterdir()} == {"path", "beside", "net.svg"}

    def test_a_program_that_writes_nothing_is_a_failure(self, tmp_path: Path) -> None:
        program(self.path, "dot", "exit 0")
        with pytest.raises(DrawingError, match="wrote nothing"):
            render(small(), tmp_path / "net.svg")


def test_pdf_is_written_or_the_error_says_what_writes_it(tmp_path: Path) -> None:
    if "graphviz-pure" in find_dot():
        with pytest.raises(DrawingError, match="takes Graphviz itself"):
            render(small(), tmp_path / "net.pdf")
        assert not list(tmp_path.iterdir())
    else:
        assert render(small(), tmp_path / "net.pdf").read_bytes().startswith(b"%PDF")
