"""The wheel: typed, with its data and its command, in the version that it says it is."""

import os
import shutil
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
    assert {"manifoldnet/views/assets/report.css", "manifoldnet/cli/assets/start.py.txt"} <= inside
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


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_wheel_passes_its_tests_outside_the_repository(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """All tests but those of the house, which are about the repository; nothing of the clone's package is imported."""
    site, outside = tmp_path / "site", tmp_path / "outside"
    wheel.extractall(site)
    outside.mkdir()
    for name in ("tests", "specs", "docs"):
        shutil.copytree(tree.ROOT / name, outside / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (outside / "tests" / "house").glob("test_*.py"):
        path.unlink()
    shutil.copy(tree.ROOT / "README.md", outside)
    settings = tree.ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8")
    # the package lies elsewhere, so that its own examples are asked for by name below
    (outside / "pyproject.toml").write_text(settings.replace('"tests", "manifoldnet"', '"tests"'), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    told = [sys.executable, "-c", "import manifoldnet; print(manifoldnet.__file__)"]
    place = subprocess.run(told, cwd=outside, env=environment, capture_output=True, text=True).stdout
    assert place.startswith(str(site))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist=worksteal", "tests"]
    done = subprocess.run(command, cwd=outside, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]


def test_no_test_needs_one_of_the_house() -> None:
    """Which are left out where a wheel is tested; what they share lies beside them."""
    files = [path for path in tree.files() if path.is_relative_to(tree.ROOT / "tests") and path.suffix == ".py"]
    needed = [path.name for path in files if "from tests.house.test_" in path.read_text(encoding="utf-8")]
    assert [name for name in needed if name != "test_wheel.py"] == [] and len(files) > 100


def test_version() -> None:
    assert manifoldnet.__version__ == VERSION
