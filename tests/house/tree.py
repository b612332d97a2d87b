"""The files of the project, for the tests that look at all of them."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "manifoldnet"
# What version control, tools and runs leave behind; the same as in .gitignore.
_NOT_OURS = re.compile(r"\.git|\.venv.*|\.\w+_cache|\.hypothesis|__pycache__|build|dist|runs")


def files() -> Iterator[Path]:
    """Every file of the project that a person wrote, binary ones included."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not _NOT_OURS.fullmatch(name))
        # a worktree has a file .git where a clone has a folder
        yield from (Path(folder, name) for name in sorted(names) if not _NOT_OURS.fullmatch(name))


def modules() -> dict[str, Path]:
    """The modules of the package, by their dotted names."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
