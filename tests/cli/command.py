"""Running the command in tests, and small specs for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from manifoldnet.cli.main import app

SPECS = Path(__file__).resolve().parents[2] / "specs"

# A line through three points, with one more held out: y = 2 x + 1 has no loss.
LINE = """
import numpy
import manifoldnet as mn

title = "a line"
schedule = mn.FullBatch(steps=20, rate=0.5)

def network(seed=0, size=1):
    net = mn.Network("line", seed=seed)
    y = net.layer("y", size=size, map=mn.Affine(), parents=[net.input("x")])
    net.interpret(mn.SquareLoss(), parents=[y])
    return net

def data(seed=0, held_out=True):
    inputs = numpy.array([[-1.0], [0.0], [1.0]])
    validation = (numpy.array([[2.0]]), numpy.array([[5.0]])) if held_out else None
    return mn.Dataset(inputs, 2.0 * inputs + 1.0, validation)
"""


def write_spec(folder: Path, text: str = LINE, name: str = "line.py") -> Path:
    """A spec file in a folder."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*words: object) -> Result:
    """The command in this process; an exception that is not a SystemExit fails the test."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def run_json(*words: object) -> dict[str, Any]:
    """What a command with --json printed, once it has ended well; NaN and Infinity are refused."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return strict_json(result.stdout)


def strict_json(text: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def start(*words: object) -> subprocess.Popen:
    """The command in a process of its own, with both outputs as pipes of text."""
    # a shell starts what it runs in the background with Ctrl-C ignored, and whatever that starts inherits it
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from manifoldnet.cli.main import main; main()", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def mistake(*words: object) -> str:
    """The message of a command that has to end with exit code 2: one, on stderr, without a traceback."""
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("manifoldnet: "), result.stderr
    return lines[0].removeprefix("manifoldnet: ")
