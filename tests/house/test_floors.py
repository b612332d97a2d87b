"""Imports go down the floors of the house, stand at the top of a module, and need nothing undeclared."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

# From the ground up: a module may import its own floor's modules and those of floors below.
# Names that share a line stand side by side and do not import each other.
FLOORS: list[set[str]] = [
    {"errors", "shown"},
    {"extras"},
    {"numpy"},
    {"linalg"},
    {"geometry"},
    {"declare"},
    {"compiler"},
    {"metrics"},
    {"learning"},
    {"laws"},
    {"testing"},
    {"experiments"},
    {"views", "interop"},
    {"sklearn"},
    {"cli"},
    {"", "__main__"},
]
HEIGHTS = {name: height for height, names in enumerate(FLOORS) for name in names}
MODULES = tree.modules()
# Distributions whose module has another name.
IMPORTED_AS = {"scikit-learn": "sklearn", "pytest-xdist": "xdist"}


def floor(module: str) -> str:
    """The floor of a module: `declare` for manifoldnet.declare.maps, an empty name for manifoldnet itself."""
    return module.partition(".")[2].partition(".")[0]


def imported(module: str, path: Path, tree_: ast.AST) -> Iterator[str]:
    """Dotted names of the modules that a module imports; a name out of a package only if it is a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree_):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    return set(imported(module, path, ast.parse(path.read_text(encoding="utf-8"))))


def goes_up(module: str, target: str) -> bool:
    """Whether an import of `target` breaks the order of the floors."""
    own, other = floor(module), floor(target)
    return own != other and HEIGHTS[other] >= HEIGHTS[own]


def misplaced(source: str) -> list[int]:
    """Lines of the imports that do not stand at the top of a module (or there under TYPE_CHECKING)."""
    module = ast.parse(source)
    top = list(module.body)
    for node in module.body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            top += node.body
    found = (node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom))
    return sorted(node.lineno for node in found if not any(node is other for other in top))


def distributions(requirements: list[str]) -> set[str]:
    """Names of the modules that requirements bring, those of extras of this package left out."""
    names = (re.split(r"[^\w-]", line)[0] for line in requirements)
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names if name != "manifoldnet"}


PROJECT = tree.project()["project"]
EXTRAS = PROJECT["optional-dependencies"]
CORE = distributions(PROJECT["dependencies"])
OPTIONAL = distributions([line for lines in EXTRAS.values() for line in lines]) - CORE


def test_every_module_is_on_a_floor() -> None:
    assert {floor(module) for module in MODULES} <= set(HEIGHTS), "give a new folder its place in FLOORS"


def test_imports_go_down() -> None:
    ours = {module: {name for name in imports_of(module) if name.split(".")[0] == "manifoldnet"} for module in MODULES}
    up = {module: {name for name in names if goes_up(module, name)} for module, names in ours.items()}
    assert {module: names for module, names in up.items() if names} == {}


def test_imports_stand_at_the_top() -> None:
    late = {module: misplaced(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
    assert {module: lines for module, lines in late.items() if lines} == {}


def test_imports_are_declared() -> None:
    known = CORE | OPTIONAL | set(sys.stdlib_module_names) | {"manifoldnet"}
    unknown = {module: {name.split(".")[0] for name in imports_of(module)} - known for module in MODULES}
    assert {module: names for module, names in unknown.items() if names} == {}


@pytest.mark.parametrize("optional", sorted(OPTIONAL))
def test_an_optional_dependency_has_one_home(optional: str) -> None:
    """One module imports it, or else the modules of one folder that is named after it."""
    users = [name for name in MODULES if optional in {target.split(".")[0] for target in imports_of(name)}]
    homes = {re.sub(rf"(\.{optional}\w*)\..*", r"\1", name) for name in users}
    assert len(homes) <= 1, f"{optional} is imported by {users}"


def test_the_package_is_imported_without_optional_dependencies() -> None:
    hide = f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)!r})); import manifoldnet"
    command = [sys.executable, "-W", "error", "-c", hide]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_rules_find_what_they_should() -> None:
    """The functions above, on modules that break the rules."""
    here = Path("x.py")
    above = set(imported("manifoldnet.geometry.real", here, ast.parse("from manifoldnet.cli import main")))
    assert [goes_up("manifoldnet.geometry.real", name) for name in above] == [True]
    relative = set(imported("manifoldnet.geometry.real", here, ast.parse("from ..linalg import dense")))
    assert {floor(name) for name in relative} == {"linalg"}
    assert goes_up("manifoldnet.geometry.real", "manifoldnet")
    assert goes_up("manifoldnet.views.plots", "manifoldnet.interop.graphs")
    assert not goes_up("manifoldnet.cli.main", "manifoldnet.errors")
    assert not goes_up("manifoldnet.declare.maps", "manifoldnet.declare.links")
    late = "import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    import c\ntry:\n    import d\nfinally: f()"
    assert misplaced(late) == [5, 7]
    assert distributions(["scikit-learn>=1", "manifoldnet[plot]", "a-b[c]; x"]) == {"sklearn", "a_b"}
