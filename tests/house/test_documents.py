"""What README.md and docs/ show runs: blocks marked `python` and `console`, in order, one session a page."""

import doctest
import re
from pathlib import Path

import pytest

from tests.house import tree
from tests.house.pages import run_page

PAGES = [path for path in tree.files() if path.suffix == ".md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(tree.ROOT)))
def test_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pages with commands, which leave files behind, run in an empty folder; others where their paths lead."""
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path if "```console" in text else tree.ROOT)
    monkeypatch.setenv("COLUMNS", "100")  # so that no table of a command is cut
    run_page(text, str(page))


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
    with pytest.raises(AssertionError):
        run_page("```console\n$ manifoldnet --help\nnothing\n```\n", "page")
