"""The start script's decisions, and what it reads from pip's settings and a package index."""

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.house import tree

WANTED = {"root": "clone", "versions": "1", "extras": []}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _module("environment", monkeypatch)


@pytest.fixture
def fetch_pip(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _module("fetch_pip", monkeypatch)


def _module(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(tree.ROOT / ".ci"))
    yield importlib.import_module(name)
    for imported in ("environment", "fetch_pip"):
        sys.modules.pop(imported, None)


@pytest.mark.parametrize(
    ("marker", "works", "todo"),
    [
        (WANTED, True, "use"),
        (WANTED, False, "anew"),
        ({**WANTED, "unfinished": True}, True, "anew"),
        ({**WANTED, "root": "moved"}, True, "anew"),
        ({**WANTED, "versions": "0"}, True, "install"),
        ({**WANTED, "extras": ["dev"]}, True, "install"),
        ({}, True, "install"),
        ({}, False, "anew"),
    ],
)
def test_plan(environment: ModuleType, marker: dict[str, Any], works: bool, todo: str) -> None:
    assert environment.plan(marker, WANTED, works) == todo


def test_what_is_wanted_follows_the_files(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / "pyproject.toml").write_text("a")
    (tmp_path / ".ci" / "constraints.txt").write_text("b")
    first = environment.Environment(tmp_path).wanted({"dev"})
    assert first == environment.Environment(tmp_path).wanted({"dev"})
    assert first["root"] == str(tmp_path) and first["extras"] == ["dev"]
    (tmp_path / ".ci" / "constraints.txt").write_text("c")
    assert first["versions"] != environment.Environment(tmp_path).wanted({"dev"})["versions"]


def test_marker_is_read_whatever_it_holds(environment: ModuleType, tmp_path: Path) -> None:
    marker = tmp_path / "start.json"
    assert environment.read_marker(marker) == {}
    marker.write_text(json.dumps(WANTED))
    assert environment.read_marker(marker) == WANTED
    marker.write_text(json.dumps(WANTED)[:-3])
    assert environment.read_marker(marker) == {"unfinished": True}


def test_pinned(environment: ModuleType) -> None:
    constraints = (tree.ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    assert environment.pinned("pip", "pip-tools==1\npip==26.3\n") == "26.3"
    assert environment.pinned("pip", constraints)[0].isdigit()
    with pytest.raises(LookupError, match="which version of nothing"):
        environment.pinned("nothing", constraints)


def test_setting(fetch_pip: ModuleType, tmp_path: Path) -> None:
    early, late = tmp_path / "early.conf", tmp_path / "late.conf"
    early.write_text("[global]\nindex-url = https://early.example/%s\ncert = early.pem\n")
    late.write_text("[install]\nindex-url = https://late.example\n")
    files = [early, late, tmp_path / "missing.conf"]
    assert fetch_pip.setting("index-url", {}, files) == "https://late.example"
    assert fetch_pip.setting("index-url", {}, [early]) == "https://early.example/%s"
    assert fetch_pip.setting("cert", {}, files) == "early.pem"
    assert (
        fetch_pip.setting("index-url", {"PIP_INDEX_URL": "https://spoken.example"}, files) == "https://spoken.example"
    )
    assert fetch_pip.setting("cert", {}, [late]) is None
    assert fetch_pip.setting_files(tmp_path, {"PIP_CONFIG_FILE": str(late)})[-1] == late


def test_pick_wheel(fetch_pip: ModuleType) -> None:
    page = """<a href="../../files/pip-26.3.tar.gz#sha256=aa">pip-26.3.tar.gz</a>
        <a href="../../files/pip-2-py3-none-any.whl#sha256=bb">old</a>
        <a data-x="&gt;" href="../../files/pip-26.3-py3-none-any.whl?a=1&amp;b=2#sha256=cc">pip</a>"""
    address = "https://index.example/simple/pip/"
    found = fetch_pip.pick_wheel(page, address, "26.3")
    assert found == ("https://index.example/files/pip-26.3-py3-none-any.whl?a=1&b=2", "cc")
    with pytest.raises(LookupError, match="offers no wheel of pip 27"):
        fetch_pip.pick_wheel(page, address, "27")
    with pytest.raises(LookupError, match="with its sha256"):
        fetch_pip.pick_wheel(page.replace("#sha256=cc", ""), address, "26.3")


@pytest.mark.parametrize("honest", [True, False])
def test_the_wheel_is_checked(
    fetch_pip: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, honest: bool
) -> None:
    wheel = tmp_path / "index" / "pip-1-py3-none-any.whl"
    page = tmp_path / "index" / "pip" / "index.html"
    page.parent.mkdir(parents=True)
    wheel.write_bytes(b"wheel" if honest else b"other")
    digest = hashlib.sha256(b"wheel").hexdigest()
    page.write_text(f'<a href="{wheel.as_uri()}#sha256={digest}">pip</a>')
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    served = {"https://index.example/simple/pip/": page, wheel.as_uri(): wheel}
    monkeypatch.setattr(fetch_pip, "_read", lambda address, context: served[address].read_bytes())
    if honest:
        assert fetch_pip.fetch_pip(tmp_path, "1").read_bytes() == b"wheel"
    else:
        with pytest.raises(LookupError, match="sha256 differs"):
            fetch_pip.fetch_pip(tmp_path, "1")


def test_help_needs_no_set_up(tmp_path: Path) -> None:
    command = [sys.executable, str(tree.ROOT / ".ci" / "start.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "start.py test" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fresh_copy_sets_itself_up_once(tmp_path: Path) -> None:
    """Fetches everything from the package index."""
    clone = tmp_path / "a clone"
    for path in tree.files():
        copy = clone / path.relative_to(tree.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, str(clone / ".ci" / "start.py"), "train", "--help"]
    first, second = (subprocess.run(command, cwd=tmp_path, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "setting up" in first.stderr and second.stderr == ""
    assert first.stdout == second.stdout != ""


def test_scripts_are_executable() -> None:
    for name in ("run", "start.py"):
        assert (tree.ROOT / ".ci" / name).stat().st_mode & 0o100


def test_constraints_pin_every_requirement() -> None:
    """What a person installs is what was tested: each core and dev requirement has an exact version."""
    lines = (tree.ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    project = tree.project()["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["dev"], *extras["plot"], *extras["sklearn"]]
    names = {line.partition(">=")[0] for line in asked if not line.startswith("manifoldnet")}
    assert names <= pinned
