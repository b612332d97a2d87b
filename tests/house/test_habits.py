"""Habits of every file: nothing hidden, nothing unsafe, nothing of the machine it was written on."""

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.house import tree

FILES = [path for path in tree.files() if path.suffix not in {".npz", ".png"}]
SOURCES = [path for path in FILES if path.suffix == ".py"]
# Folders of someone's machine, as in an address of a file there.
MACHINE = re.compile(r"(?<![\w.:/])/(root|home|Users|work|mnt)/")
RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def name_of(path: Path) -> str:
    return str(path.relative_to(tree.ROOT))


def unsafe(module: ast.Module) -> list[str]:
    """Ways to load a file that may run code found in it."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in RUNS_CODE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_CODE:
            found.append(str(node.module))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append(f"allow_pickle={ast.unparse(node.value)}")
    return found


def silent(module: ast.Module) -> list[int]:
    """Lines where errors are caught and dropped, or where anything at all is caught unnamed."""
    handlers = (node for node in ast.walk(module) if isinstance(node, ast.ExceptHandler))
    dropped = (node.lineno for node in handlers if node.type is None or all(map(_says_nothing, node.body)))
    calls = (node for node in ast.walk(module) if isinstance(node, ast.Call))
    return sorted([*dropped, *(call.lineno for call in calls if ast.unparse(call.func).endswith("suppress"))])


def _says_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def switches(module: ast.Module) -> list[int]:
    """Lines where behaviour may come from outside the call: the environment, or a global that changes."""
    names = {"environ", "getenv", "putenv"}
    return sorted(
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Global)
        or (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
    )


def found_by(rule: Callable[[ast.Module], list[Any]], paths: Iterable[Path]) -> dict[str, list[Any]]:
    """What a rule finds in each file, where it finds anything."""
    found = {name_of(path): rule(ast.parse(path.read_text(encoding="utf-8"))) for path in paths}
    return {name: places for name, places in found.items() if places}


def test_text_is_plain_and_names_no_machine() -> None:
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in FILES}
    assert [name for name, text in texts.items() if "\r" in text] == []
    assert [name for name, text in texts.items() if MACHINE.search(text)] == []


def test_no_error_is_dropped() -> None:
    assert found_by(silent, SOURCES) == {}


def test_nothing_is_loaded_that_may_run_code() -> None:
    assert found_by(unsafe, SOURCES) == {}


def test_the_package_has_no_switches_outside_its_calls() -> None:
    assert found_by(switches, tree.modules().values()) == {}


def test_the_rules_find_what_they_should() -> None:
    assert unsafe(ast.parse("import pickle\nnp.load(f, allow_pickle=True)")) == [
        "pickle",
        "allow_pickle=True",
    ]
    assert unsafe(ast.parse("from joblib import load\nnp.load(f, allow_pickle=False)")) == ["joblib"]
    assert silent(ast.parse("try:\n    f()\nexcept ValueError:\n    pass")) == [3]
    assert silent(ast.parse("try:\n    f()\nexcept:\n    raise")) == [3]
    assert silent(ast.parse("with contextlib.suppress(OSError):\n    f()")) == [1]
    assert silent(ast.parse("try:\n    f()\nexcept ValueError as e:\n    raise KeyError from e")) == []
    assert switches(ast.parse("import os\nx = os.environ['X']\ndef f():\n    global x")) == [2, 4]
    assert MACHINE.search("see " + "/ho" + "me/someone") and not MACHINE.search("https://example.org/home/page")
