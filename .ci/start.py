#!/usr/bin/env python3
"""Runs manifoldnet from a clone, with nothing but Python 3.11 or newer.

    python3 .ci/start.py train specs/digits.py      any command of `manifoldnet`
    python3 .ci/start.py test                       every check; `test -k charts` runs only those tests

The first run makes `.venv` beside pyproject.toml and installs the package into it, in the versions of
.ci/constraints.txt; later runs use it as it is. Nothing outside this folder is touched.
"""

import os
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (this line is for those who have an older one)
    sys.exit(f"start: manifoldnet needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")

from environment import Environment, say

ROOT = Path(__file__).resolve().parent.parent
PARALLEL = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]
CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["pytest", *PARALLEL])


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    environment = Environment(ROOT)
    if arguments[0] == "test":
        environment.prepare(["dev"])
        return test(environment.program("python"), arguments[1:])
    environment.prepare([])
    command = [environment.program("manifoldnet"), *arguments]
    if os.name != "nt":  # the command takes this one's place, so that signals and exit codes are its own
        os.execv(command[0], command)
    return subprocess.call(command)


def test(python: str, options: list[str]) -> int:
    """Run every check, or only pytest where options for it are given; 0 if nothing failed."""
    checks = [["pytest", *options]] if options else CHECKS
    failed = []
    for check in checks:
        say(" ".join(check))
        if subprocess.call([python, "-m", *check], cwd=ROOT):
            failed.append(check[0])
    say(f"failed: {', '.join(failed)}" if failed else "every check passed")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ["PIP_USER"] = "0"  # `user = true` in someone's pip.conf would be refused in an environment
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, LookupError) as error:
        sys.exit(f"start: {error}")
