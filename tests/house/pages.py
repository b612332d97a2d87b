"""Runs what a page shows; the tests of installed wheels, which leave those of the house out, use it too."""

import doctest
import re
import shlex

from tests.cli.command import run

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
