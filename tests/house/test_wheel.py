"""The wheel: typed, with its data and its command, in the version that it says it is."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

import manifoldnet
from tests.house import tree

VERSION = tree.project()["project"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / f"manifoldnet-{VERSION}-py3-none-any.whl") as archive:
        yield archive


def test_everything_of_the_package_is_inside(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if name.startswith("manifoldnet/")}
    ours = {path.relative_to(tree.ROOT).as_posix() for path in tree.files() if path.is_relative_to(tree.PACKAGE)}
    assert inside == ours
    data = {"README.md", "digits.npz", "auto_mpg.npz"}
    assert {"manifoldnet/py.typed", *(f"manifoldnet/learning/data/{name}" for name in data)} <= inside


def test_metadata(wheel: zipfile.ZipFile) -> None:
    place = f"manifoldnet-{VERSION}.dist-info"
    said = Parser().parsestr(wheel.read(f"{place}/METADATA").decode())
    assert (said["Name"], said["Version"], said["License-Expression"]) == ("manifoldnet", VERSION, "MIT")
    assert said["Requires-Python"] == ">=3.11"
    assert "manifoldnet = manifoldnet.cli.main:main" in wheel.read(f"{place}/entry_points.txt").decode()
    assert b"the manifoldnet authors" in wheel.read(f"{place}/licenses/LICENSE")


def test_data_are_read_from_an_unpacked_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Away from the clone, with nothing of it on the path."""
    wheel.extractall(tmp_path)
    code = "import manifoldnet.learning.data as d; print(d.__file__, d.load_digits().labels.sum())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path)) and done.stdout.split()[-1] == "8070"


def test_version() -> None:
    assert manifoldnet.__version__ == VERSION
