"""What README.md and docs/ show runs: blocks marked `python` and `console`, in order, one session a page."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.house import tree

PAGES = [path for path in tree.files() if path.suffix == ".md"]
BLOCK = re.compile(r"(?ms)^```(python|console)\n(.*?)^```$")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_page(text: str, name: str) -> None:
    """Run the examples of a page: `>>>` ones as doctests, `$` ones as commands, others as they stand.

    Lines are the page's own.
    """
    session: dict[str, object] = {"__name__": "__main__"}
    for found in BLOCK.finditer(text):
        above = text.count("\n", 0, found.start(2))
        if found[1] == "console":
            run_commands(found[2])
            continue
        if ">>> " not in found[2]:
            exec(compile("\n" * above + found[2], name, "exec"), session)
            continue
        test = doctest.DocTestParser().get_doctest(found[2], {}, f"{name}:{above}", name, above)
        test.globs = session  # not a copy: later blocks go on where this one ends
        doctest.DebugRunner(optionflags=FLAGS).run(test, clear_globs=False)


def run_commands(block: str) -> None:
    """Run each `$ manifoldnet ...` of a block, and compare what it prints on stdout; `...` stands for anything."""
    for command, printed in re.findall(r"(?m)^\$ manifoldnet (.*)\n((?:(?!\$ ).*\n?)*)", block):
        result = run(*shlex.split(command))
        assert result.exit_code == 0, f"{command}: {result.output}"
        shown = doctest.OutputChecker().check_output(printed, result.stdout, FLAGS)
        assert shown, f"{command}: expected\n{printed}\nprinted\n{result.stdout}"


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
