"""Makes the folder `.venv` of a clone and keeps it right, from whatever the Python at hand comes with."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fetch_pip import fetch_pip


class Environment:
    """The virtual environment of the clone at `root`, with the package installed from there (editable).

    A file in it, start.json, tells what it holds; that file says "unfinished" as long as this is not true.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.marker = self.folder / "start.json"
        self.constraints = root / ".ci" / "constraints.txt"

    def program(self, name: str) -> str:
        """Path of a program of the environment."""
        windows = os.name == "nt"
        return str(self.folder / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name))

    def prepare(self, extras: Sequence[str]) -> None:
        """Have the package installed with at least these extras, doing as little as that takes."""
        marker = read_marker(self.marker)
        wanted = self.wanted({*extras, *marker.get("extras", [])})
        todo = plan(marker, wanted, self.works(installed=bool(marker)))
        if todo == "use":
            return
        say(f"setting up {self.folder} (only once; it takes about a minute)")
        if todo == "anew":
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        self.marker.write_text(json.dumps({**wanted, "unfinished": True}))
        if todo == "anew":
            must(sys.executable, "-m", "venv", "--without-pip", str(self.folder))
        self._install(wanted["extras"])
        self.marker.write_text(json.dumps(wanted))

    def works(self, installed: bool) -> bool:
        """Whether its Python runs, and the package's program is there where it should be installed."""
        there = not installed or os.path.exists(self.program("manifoldnet"))
        return there and succeeds(self.program("python"), "-c", "")

    def wanted(self, extras: set[str]) -> dict[str, Any]:
        """What start.json has to say: extras, versions asked for, and the place, which scripts contain."""
        asked = (self.root / "pyproject.toml").read_bytes() + self.constraints.read_bytes()
        versions = hashlib.sha256(asked).hexdigest()
        return {"root": str(self.root), "versions": versions, "extras": sorted(extras)}

    def _install(self, extras: Sequence[str]) -> None:
        python = self.program("python")
        if not succeeds(python, "-m", "pip", "--version"):
            self._add_pip(python)
        pip = (python, "-m", "pip", "install", "--quiet", "--no-compile", f"--constraint={self.constraints}")
        package = f"{self.root}[{','.join(extras)}]" if extras else str(self.root)
        must(*pip, "hatchling", "editables")  # so that these, too, come in the versions asked for
        must(*pip, "--no-build-isolation", "--editable", package)

    def _add_pip(self, python: str) -> None:
        """Python's own copy of pip, or one by way of a pip outside, or one from the package index."""
        if importlib.util.find_spec("ensurepip") and succeeds(python, "-m", "ensurepip"):
            return
        outside = (sys.executable, "-m", "pip", "--python", python, "install", "pip")
        if importlib.util.find_spec("pip") and succeeds(*outside):
            return
        say("this Python comes without pip: fetching it from the package index")
        with tempfile.TemporaryDirectory() as folder:
            try:
                wheel = fetch_pip(Path(folder), pinned("pip", self.constraints.read_text()))
            except OSError as error:
                sys.exit(f"start: no pip: {error}. Check the network, or set PIP_INDEX_URL and PIP_CERT.")
            must(python, str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel))


def read_marker(place: Path) -> dict[str, Any]:
    """What start.json says; nothing where there is none, as in an environment that was made by hand."""
    try:
        return dict(json.loads(place.read_text())) if place.is_file() else {}
    except ValueError:  # it was cut short while it was written
        return {"unfinished": True}


def plan(marker: Mapping[str, Any], wanted: Mapping[str, Any], works: bool) -> str:
    """Whether to "use" the environment as it is, "install" into it, or make it "anew"."""
    moved = marker.get("root", wanted["root"]) != wanted["root"]
    if not works or moved or marker.get("unfinished"):
        return "anew"
    return "use" if marker == wanted else "install"


def pinned(name: str, constraints: str) -> str:
    """The version of a package that a constraints file asks for."""
    found = re.search(rf"(?m)^{re.escape(name)}==(\S+)", constraints)
    if found is None:
        raise LookupError(f"the constraints file does not say which version of {name} to use")
    return found[1]


def say(text: str) -> None:
    print(f"start: {text}", file=sys.stderr, flush=True)


def succeeds(*command: str) -> bool:
    """Whether a program exists and ends well; what it says is not shown."""
    return shutil.which(command[0]) is not None and not subprocess.run(command, capture_output=True).returncode


def must(*command: str) -> None:
    """Run a program that has to end well, with stdout left to manifoldnet."""
    if subprocess.run(command, stdout=sys.stderr.fileno()).returncode:
        sys.exit(f"start: this failed, for the reason above: {' '.join(command)}")
