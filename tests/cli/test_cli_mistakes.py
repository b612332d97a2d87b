"""A mistake in the spec or the call ends in exit code 2, one message that says how to mend it, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import LINE, SPECS, mistake, run, write_spec

COMMANDS = ("train", "describe", "render")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_spec(command: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.py"
    message = mistake(command, path)
    assert str(path) in message and "no spec file" in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_spec_that_is_not_python_text(command: str, tmp_path: Path) -> None:
    path = write_spec(tmp_path, LINE.replace("def data(", "def data[("))
    line = LINE.splitlines().index("def data(seed=0, held_out=True):") + 1
    assert mistake(command, path).startswith(f"{path}:{line}: ")


def test_a_spec_that_fails_while_it_is_loaded(tmp_path: Path) -> None:
    path = write_spec(tmp_path, "import manifoldnet as mn\n\nschedule = mn.FullBatch(steps=0)\n")
    message = mistake("describe", path)
    assert message.startswith(f"{path}:3: ") and "steps" in message and "received 0" in message


def test_a_spec_that_leaves(tmp_path: Path) -> None:
    assert "SystemExit" in mistake("describe", write_spec(tmp_path, "raise SystemExit(0)\n"))


def test_a_spec_that_lacks_something(tmp_path: Path) -> None:
    assert "declares no network" in mistake("describe", write_spec(tmp_path, "title = 'empty'\n"))
    text = LINE[: LINE.index("def data(")]
    assert "no data()" in mistake("train", write_spec(tmp_path, text))


def test_a_spec_whose_functions_return_other_things(tmp_path: Path) -> None:
    text = LINE.replace("    return net", "    return y")
    assert "must return an mn.Network" in mistake("describe", write_spec(tmp_path, text))
    text = LINE[: LINE.index("def data(")] + "def data():\n    return [1, 2]\n"
    assert "must return mn.Dataset" in mistake("train", write_spec(tmp_path, text))
    text = LINE.replace("mn.FullBatch(steps=20, rate=0.5)", '"slowly"')
    assert "mn.FullBatch(...), mn.Minibatches(...) or mn.Online(...)" in mistake("train", write_spec(tmp_path, text))


def test_a_declaration_error_names_the_line_of_the_spec(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    line = next(n for n, text in enumerate(LINE.splitlines(), start=1) if "net.layer" in text)
    message = mistake("describe", path, "--set", "size=many")
    assert message.startswith(f"{path}:{line}: layer 'y'") and "received 'many'" in message


def test_an_exception_in_the_spec_names_its_line(tmp_path: Path) -> None:
    text = LINE.replace("    return net", "    return net[3.5] + undefined")
    line = next(n for n, text in enumerate(text.splitlines(), start=1) if "undefined" in text)
    path = write_spec(tmp_path, text)
    assert mistake("describe", path).startswith(f"{path}:{line}: ")


def test_an_exception_in_a_map_of_the_spec_names_its_line(tmp_path: Path) -> None:
    """One that compiling does not meet: the raw data that `encode` sees come only with training."""
    text = LINE.replace('net.input("x")', 'net.input("x", encode=lambda raw: raw["ink"])')
    line = next(n for n, text in enumerate(text.splitlines(), start=1) if "encode" in text)
    path = write_spec(tmp_path, text)
    assert mistake("train", path).startswith(f"{path}:{line}: IndexError")


def test_data_that_do_not_fit(tmp_path: Path) -> None:
    text = LINE.replace("inputs = numpy.array([[-1.0], [0.0], [1.0]])", "inputs = numpy.zeros((3, 2))")
    assert "(samples, 1), received (3, 2" in mistake("train", write_spec(tmp_path, text))


def test_settings() -> None:
    assert "KEY=VALUE" in mistake("describe", SPECS / "digits.py", "--set", "hidden")
    message = mistake("describe", SPECS / "digits.py", "--set", "hiden=3")
    assert "'hiden'" in message and "hidden" in message
    assert "--seed 3" in mistake("describe", SPECS / "digits.py", "--set", "seed=3")


def test_names_that_there_are_not(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    message = mistake("train", path, "--metric", "naturall")
    assert "'naturall'" in message and "quasi-diagonal-backpropagated" in message
    assert "'tikonov" in mistake("train", path, "--damping", "tikonov:1e-4")
    assert "'torch'" in mistake("train", path, "--backend", "torch")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--batch", "some"), '"all"'),
        (("--batch", "0"), "--batch"),
        (("--rate", "-1"), "positive"),
        (("--rate", "nan"), "positive"),
    ],
)
def test_numbers_out_of_range(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in mistake("train", write_spec(tmp_path), *words)


@pytest.mark.parametrize(
    "words", [("--steps", "0"), ("--steps", "many"), ("--seed", "-1"), ("--nonsense",), ("one", "two")]
)
def test_calls_that_typer_refuses(words: tuple[str, ...], tmp_path: Path) -> None:
    result = run("train", write_spec(tmp_path), *words)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert words[0] in result.stderr or words[-1] in result.stderr


def test_outputs_are_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spec would fail, but the output is looked at first."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_spec(tmp_path, "raise RuntimeError('the spec ran')\n")
    assert ".npz" in mistake("train", path, "--output", tmp_path / "theta.txt")
    assert "no folder" in mistake("train", path, "--output", tmp_path / "nowhere" / "theta.npz")
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert "Permission denied" in mistake("train", path, "--output", tmp_path / "theta.npz")
    assert ".svg, .png, .pdf, .dot" in mistake("render", path, "--output", tmp_path / "net.jpg")
    assert "no folder" in mistake("render", path, "--output", tmp_path / "nowhere" / "net.svg")


def test_debug_shows_the_traceback_above_the_message(tmp_path: Path) -> None:
    text = LINE.replace("    return net", "    return undefined")
    result = run("describe", write_spec(tmp_path, text), "--debug")
    assert result.exit_code == 2 and result.stdout == ""
    assert "Traceback" in result.stderr and "NameError" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("manifoldnet: ")


def test_a_fault_of_ours_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("manifoldnet.cli.describe.description", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run("describe", write_spec(tmp_path))


@pytest.mark.parametrize("words", [("train",), ("nonsense",), ("compare", "x.py")])
def test_commands_that_are_not_there(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "manifoldnet", "nonsense"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "python -m manifoldnet" in done.stderr and "No such command 'nonsense'" in done.stderr
