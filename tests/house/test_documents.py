"""Python in README.md and docs/ runs: every block marked `python`, in order, one session a page."""

import doctest
import re
from pathlib import Path

import pytest

from tests.house import tree

PAGES = [path for path in tree.files() if path.suffix == ".md"]
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```$")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_page(text: str, name: str) -> None:
    """Run the examples of a page: `>>>` ones as doctests, others as they stand; lines are the page's own."""
    session: dict[str, object] = {"__name__": "__main__"}
    for found in BLOCK.finditer(text):
        above = text.count("\n", 0, found.start(1))
        if ">>> " not in found[1]:
            exec(compile("\n" * above + found[1], name, "exec"), session)
            continue
        test = doctest.DocTestParser().get_doctest(found[1], {}, name, name, above)
        test.globs = session  # not a copy: later blocks go on where this one ends
        doctest.DebugRunner(optionflags=FLAGS).run(test, clear_globs=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(tree.ROOT)))
def test_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.ROOT)
    run_page(page.read_text(encoding="utf-8"), str(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(tree.ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not re.match(r"\w+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_a_wrong_example_is_found() -> None:
    run_page("```python\nx = 1\n```\n\n```python\n>>> x + 1\n2\n```\n", "page")
    with pytest.raises(doctest.DocTestFailure):
        run_page("```python\n>>> 1 + 1\n3\n```\n", "page")
    with pytest.raises(NameError):
        run_page("text\n\n```python\nunknown\n```\n", "page")
