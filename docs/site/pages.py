"""Pages that are made when the site is built: notebooks with what they show, and the reference of every public name."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
from run_notebook import Cell, run_notebook

SESSION = re.compile(r"(?m)^```python\n(?=>>> )")

# The headings of the reference, and the floors whose names come under each.
FLOORS = {
    "Declaring": ("declare",),
    "Manifolds and charts": ("geometry",),
    "Compiled": ("compiler",),
    "Metrics": ("metrics",),
    "Dampings": ("linalg",),
    "Training and data": ("learning",),
    "Laws": ("laws",),
    "Errors": ("errors",),
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages; a cell or an import that fails, fails the build."""
    for path in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        for name, text in notebook_files(path.stem, run_notebook(path)).items():
            files.append(File.generated(config, f"notebooks/{name}", content=text))
    for name, text in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Blocks with prompts by the name that tells the highlighter so: it marks the prompts, and the copy button skips them."""
    return SESSION.sub("```pycon\n", markdown)


def notebook_files(stem: str, cells: list[Cell]) -> dict[str, str]:
    """The page of a notebook and its drawings, by the names of their files."""
    found, parts = {}, []
    for number, cell in enumerate(cells):
        parts.append(cell.source if cell.kind == "markdown" else f"```python\n{cell.source}\n```")
        for shown in (cell.printed, cell.text):
            parts += [f"```text\n{shown.rstrip()}\n```"] if shown else []
        parts += [f'<div class="shown">{cell.html}</div>'] if cell.html else []
        for count, drawing in enumerate(cell.drawings):
            name = f"{stem}_{number}_{count}.svg"
            found[name] = drawing
            parts.append(f"![What cell {number} draws]({name})")
    parts.append(f"The notebook itself: [{stem}.ipynb]({stem}.ipynb).")
    return {**found, f"{stem}.md": "\n\n".join(parts)}


def reference_pages() -> dict[str, str]:
    """The reference, a page for each public module."""
    return {
        "manifoldnet": by_floor(importlib.import_module("manifoldnet")),
        "numpy": in_a_table(importlib.import_module("manifoldnet.numpy")),
        "sklearn": in_full(importlib.import_module("manifoldnet.sklearn")),
        "testing": in_full(importlib.import_module("manifoldnet.testing")),
    }


def by_floor(module: ModuleType) -> str:
    """Every public name under the heading of the floor that it comes from; KeyError for a name without one."""
    names: dict[str, list[str]] = {heading: [] for heading in FLOORS}
    headings = {floor: heading for heading, floors in FLOORS.items() for floor in floors}
    for name in sorted(module.__all__, key=str.lower):
        thing = getattr(module, name)
        source = thing.__module__ if callable(thing) else type(thing).__module__
        names[headings[source.split(".")[1]]].append(name)
    parts = [f"# manifoldnet\n\n{summary(module)}"]
    for heading, inside in names.items():
        entries = [f"::: manifoldnet.{name}" for name in inside]
        parts += [f"## {heading}", *entries] if entries else []
    return "\n\n".join(parts)


def in_full(module: ModuleType) -> str:
    """Every public name of a module."""
    return "\n\n".join(
        [f"# {module.__name__}", summary(module), *(f"::: {module.__name__}.{n}" for n in module.__all__)]
    )


def in_a_table(module: ModuleType) -> str:
    """Every listed function with the first line of what it says of itself."""
    parts = [f"# {module.__name__}\n\n{summary(module)}"]
    inner = [module.linalg, module.special]
    for each in [module, *inner]:
        rows = [
            f"| `{name}` | {first_line(getattr(each, name))} |"
            for name in sorted(each.__all__, key=str.lower)
            if getattr(getattr(each, name), "__module__", "").startswith(module.__name__)
        ]
        parts += [f"## {each.__name__}", "| function | what it gives |\n| --- | --- |\n" + "\n".join(rows)]
    return "\n\n".join(parts)


def summary(module: ModuleType) -> str:
    """The prose of a module's docstring, without its examples."""
    return (module.__doc__ or "").split("\n\n>>>")[0]


def first_line(thing: object) -> str:
    """The first paragraph of a docstring, in one line fit for a table."""
    line = " ".join((thing.__doc__ or "").split("\n\n")[0].split())
    return line.replace("|", r"\|").replace("*", r"\*")
