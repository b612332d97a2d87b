"""`manifoldnet verify`: the certificate, its exit codes and its mistakes."""

from pathlib import Path

import pytest

from manifoldnet.metrics.names import METRICS
from tests.cli.command import SPECS, mistake, run, run_json, strict_json, write_spec
from tests.laws.broken import NotIntrinsic

SKIP = SPECS / "skip.py"


def test_json_is_the_certificate() -> None:
    found = run_json("verify", SKIP, "--metric", "backpropagated,adagrad", "--charts", "form,affine")
    assert found["passed"] is True
    assert found["samples"] == found["of_samples"] == 8
    for check in found["checks"]:
        assert check.keys() >= {"name", "metric", "charts", "promised", "deviation", "tolerance", "outcome"}
        assert check["outcome"] in ("pass", "not testable", "deviates")
        assert (check["deviation"] is None) == (check["outcome"] == "not testable")
        if check["outcome"] == "pass":
            assert check["promised"] and check["deviation"] <= check["tolerance"]
        if check["outcome"] == "deviates":
            assert not check["promised"] and check["deviation"] > check["tolerance"]
    assert {check["metric"] for check in found["checks"]} == {"backpropagated", "adagrad"}
    assert {check["charts"] for check in found["checks"]} == {"tanh form", "affine"}
    assert sum(found["outcomes"].values()) == len(found["checks"])


def test_a_damping_of_ones_own() -> None:
    found = run_json("verify", SKIP, "--metric", "backpropagated", "--charts", "affine", "--damping", "tikhonov:1e-3")
    damped = [check for check in found["checks"] if "tikhonov" in check["name"]]
    assert len(damped) == 2 and all(check["outcome"] == "deviates" for check in damped)


def test_the_table_and_its_last_line() -> None:
    result = run("verify", SKIP, "--metric", "euclidean", "--charts", "form")
    assert result.exit_code == 0
    assert "proposition 17, norms" in result.stdout and "deviates" in result.stdout
    assert result.stdout.strip().splitlines()[-1].endswith("0 failed")
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_broken_promise_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that says it is intrinsic and is not: the identity under another name."""
    monkeypatch.setitem(METRICS, "claimed", NotIntrinsic)
    result = run("verify", SKIP, "--metric", "claimed", "--charts", "form", "--json")
    assert result.exit_code == 1
    assert strict_json(result.stdout)["passed"] is False


def test_samples(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    few = run_json("verify", path, "--metric", "natural", "--charts", "affine", "--samples", 2)
    assert (few["samples"], few["of_samples"]) == (2, 3)
    assert run_json("verify", path, "--metric", "natural", "--charts", "affine", "--samples", "all")["samples"] == 3
    assert "--samples" in mistake("verify", path, "--samples", "0")


def test_mistakes() -> None:
    assert "unitwise-natural" in mistake("verify", SKIP, "--metric", "natrual")
    assert "recombination" in mistake("verify", SKIP, "--charts", "chart")
    assert "tikhonov" in mistake("verify", SKIP, "--damping", "some")


def test_the_page(tmp_path: Path) -> None:
    page = tmp_path / "skip.html"
    result = run("verify", SKIP, "--metric", "backpropagated,adagrad", "--charts", "affine", "--report", page)
    assert result.exit_code == 0 and f"written {page}" in result.stdout
    text = page.read_text(encoding="utf-8")
    assert "Invariance certificate" in text and "metrics backpropagated, adagrad" in text
    assert text.count("<td") > 10 and "deviates" in text and "http" not in text
    assert "there is no folder" in mistake("verify", SKIP, "--report", tmp_path / "nowhere" / "skip.html")
    assert "is a folder" in mistake("verify", SKIP, "--report", tmp_path)


def test_the_page_tells_of_a_broken_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "claimed", NotIntrinsic)
    page = tmp_path / "skip.html"
    result = run("verify", SKIP, "--metric", "claimed", "--charts", "form", "--report", page, "--json")
    assert result.exit_code == 1 and strict_json(result.stdout)["report"] == str(page)
    assert "FAILED" in page.read_text(encoding="utf-8")
