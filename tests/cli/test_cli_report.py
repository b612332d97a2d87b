"""`manifoldnet report` and `compare --report`: what the page says is what the run did; and in a real browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import LINE, mistake, run, run_json, write_spec
from tests.views.test_page import assert_whole

TWO_LAYERS = LINE.replace(
    'y = net.layer("y", size=size, map=mn.Affine(), parents=[net.input("x")])',
    'h = net.layer("h", size=3, map=mn.Affine(mn.tanh), parents=[net.input("x")])\n'
    '    y = net.layer("y", size=size, map=mn.Affine(), parents=[h])',
)


def kept(folder: Path, *options: object, text: str = TWO_LAYERS) -> Path:
    spec = write_spec(folder, text)
    result = run("train", spec, "--run", folder / "run", "--steps", 30, *options)
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def test_a_run(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    found = run_json("report", folder)
    page = folder / "report.html"
    assert found["output"] == str(page) and found["failed"] == [] and found["checks"] > 4
    text = page.read_text(encoding="utf-8")
    root = assert_whole(text)
    sections = [node.get("id") for node in root.iter("section")]
    assert sections == ["network", "curves", "metrics", "blocks", "certificate", "settings"]
    assert root.findtext(".//h1") == "a line"
    summary = json.loads((folder / "summary.json").read_text())
    assert f"{summary['loss_bits']:.4g} bits" in text and "quasi-diagonal-backpropagated (this run)" in text
    names = [row.findtext("th") for row in root.findall(".//section[@id='blocks']//details//tbody/tr")]
    assert names == ["h[0]", "h[1]", "h[2]", "y[0]"]
    rows = [[cell.text or "" for cell in row] for row in root.findall(".//section[@id='certificate']//tbody/tr")]
    outcomes = [row[1] for row in rows]
    assert len(rows) == found["checks"]
    # not norms alone: single steps, trajectories, flow and descent, as verify has them
    for law in ("norms", "one step", "100 steps", "flow", "improvement", "tikhonov"):
        assert any(law in row[0] for row in rows), law
    assert set(outcomes) <= {"pass", "deviates", "not testable"} and outcomes.count("pass") > 3
    # all its signals are multiples of one, so that a control cannot be seen to deviate
    recombined = [row for row in rows if row[0].startswith("proposition 31")]
    assert recombined and all(row[1] == "not testable" and "multiples of one" in row[6] for row in recombined)
    # the spec is there to read, escaped
    assert html.escape('title = "a line"', quote=False) in text


@pytest.mark.parametrize(
    "options", [("--metric", "euclidean"), ("--metric", "natural"), ("--metric", "diagonal-gauss-newton")]
)
def test_runs_of_other_methods(options: tuple[str, str], tmp_path: Path) -> None:
    folder = kept(tmp_path, *options)
    found = run_json("report", folder, "--output", tmp_path / "page.html")
    assert found["failed"] == []
    assert f"{options[1]} (this run)" in (tmp_path / "page.html").read_text()


def test_without_a_certificate_and_while_a_run_goes_on(tmp_path: Path) -> None:
    folder = kept(tmp_path, "--checkpoint", 0)
    (folder / "summary.json").unlink()
    assert run_json("report", folder, "--no-certificate")["checks"] == 0
    text = (folder / "report.html").read_text()
    assert_whole(text)
    assert "Nothing was checked." in text and "steps so far" in text


def test_mistakes(tmp_path: Path) -> None:
    assert "holds no run" in mistake("report", tmp_path)
    folder = kept(tmp_path)
    assert "there is no folder" in mistake("report", folder, "--output", tmp_path / "none" / "page.html")
    write_spec(tmp_path, TWO_LAYERS + "\n# changed\n")
    result = run("report", folder)
    assert result.exit_code == 2 and "has changed since the run began" in result.stderr
    assert not (folder / "report.html").exists()


def test_a_comparison(tmp_path: Path) -> None:
    spec, page = write_spec(tmp_path, TWO_LAYERS), tmp_path / "page.html"
    words = ("--seeds", 2, "--steps", 4, "--jobs", 1, "--metrics", "natural,euclidean", "--charts", "sigmoid,tanh")
    found = run_json("compare", spec, *words, "--report", page)
    assert found["report"] == str(page)
    root = assert_whole(page.read_text(encoding="utf-8"))
    rows = [[cell.text for cell in row] for row in root.findall(".//section[@id='methods']//tbody/tr")]
    assert [row[:2] for row in rows] == [[m["metric"], m["charts"]] for m in found["methods"]]
    assert [row[3] for row in rows] == [f"{m['loss_bits']['mean']:.4g}" for m in found["methods"]]
    settings = [[cell.text for cell in row] for row in root.findall(".//section[@id='settings']//tbody/tr")]
    assert settings == [["each method", "4 steps"], ["seeds", "0 to 1"], ["backend", "autograd"]]
    assert "there is no folder" in mistake("compare", spec, *words, "--report", tmp_path / "none" / "page.html")


def test_the_parameters_of_a_run_are_drawn(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    found = run_json("render", tmp_path / "line.py", "--run", folder, "--output", tmp_path / "net.dot")
    assert found["parameters"] == "run, the best on held-out data"
    message = mistake(
        "render", tmp_path / "line.py", "--run", folder, "--set", "size=2", "--output", tmp_path / "net.svg"
    )
    assert "the run has 10 parameters, the network here has 14" in message


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# In frames as wide as a phone and a desk: what there is wider than the frame, what was fetched, whether the arrow keys
# tell of a node, and how small letters of charts become.
MEASURE = """
<script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, inner = frame.contentWindow;
    const picture = page.querySelector(".picture");
    picture.dispatchEvent(new inner.KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    const node = page.querySelector(".told").textContent;
    picture.dispatchEvent(new inner.KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    const chart = page.querySelector("svg.chart");
    chart.focus();
    chart.dispatchEvent(new inner.KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    const letters = [...page.querySelectorAll("svg.chart text")].map((text) => text.getBoundingClientRect().height);
    const tabs = [...page.querySelectorAll("a[href], summary, [tabindex='0']")];
    found[frame.id] = {
      beyond: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      fetched: inner.performance.getEntriesByType("resource").length,
      told: node,
      link: page.querySelector(".told").textContent,
      mark: chart.parentElement.querySelector(".told").textContent,
      focused: page.activeElement === chart,
      letters: Math.min(...letters),
      unnamed: tabs.filter((tab) => !(tab.textContent.trim() || tab.getAttribute("aria-label"))).length,
      focusable: tabs.length,
    };
  }
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>
"""


def in_browser(page: str, folder: Path) -> dict:
    frames = "".join(
        f'<iframe id="{name}" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for name, width in (("phone", 360), ("desk", 1200))
    )
    place = folder / "frames.html"
    place.write_text(f'<!DOCTYPE html><meta charset="utf-8"><pre></pre>{frames}{MEASURE}', encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --dump-dom --virtual-time-budget=10000"
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={folder / 'profile'}", place.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    measured = re.search(r"<pre>(.*?)</pre>", done.stdout)
    assert measured is not None and measured[1], done.stderr[-2000:]
    return json.loads(html.unescape(measured[1]))


@pytest.mark.browser
@pytest.mark.timeout(200)
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path: the report is not opened in a browser")
def test_in_a_browser(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    run("report", folder)
    for name, found in in_browser((folder / "report.html").read_text(encoding="utf-8"), tmp_path).items():
        assert found["beyond"] <= 0, f"the page is wider than a {name}"
        assert found["fetched"] == 0 and found["unnamed"] == 0 and found["focusable"] > 10
        assert found["told"].startswith("x, 1 unit, Real(1)") and found["link"].startswith("x to h, dense")
        assert found["focused"] and found["mark"].startswith("training: step 1, loss per sample (bits)")
        assert found["letters"] >= 9.0, f"letters of a chart are {found['letters']} pixels high on a {name}"
