"""The documentation site builds without a warning, needs no network, and its notebooks run."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site.run_notebook import run_notebook
from tests.house import tree

NOTEBOOKS = sorted((tree.ROOT / "docs" / "notebooks").glob("*.ipynb"))
# What a browser fetches by itself: not links, which a reader follows or does not.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link rel="(?:stylesheet|preconnect|icon)")[^>]*?(?:src|href)="(https?:)?//"""
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    # a process of its own: what the generator imports may warn, and its own warnings fail the build
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", ".mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(tree.ROOT / "docs").with_suffix(".html") for path in (tree.ROOT / "docs").rglob("*.md")}
    assert [str(page) for page in pages if not (site / page).is_file()] == []
    assert len(pages) > 20


def test_nothing_is_fetched(site: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert [str(path) for path, text in texts.items() if FETCHED.search(text)] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [style[:80] for style in styles if re.search(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", style)] == []
    assert FETCHED.search('<script src="https://example.org/x.js">') and not FETCHED.search('<a href="https://e.org">')


def test_search_works_without_a_server(site: Path) -> None:
    """A page opened from a folder cannot fetch its index: the index has to come as a script as well."""
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    found = json.loads(index[index.index("{") : index.rindex("}") + 1])
    assert any("quasi-diagonal" in entry["text"] for entry in found["docs"])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as `chromium` or `google-chrome`")
def test_search_finds_in_a_browser(site: Path) -> None:
    """The page as it is opened from its folder, asked for a word."""
    assert CHROMIUM is not None
    address = f"{(site / 'index.html').as_uri()}?q=tikhonov"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([CHROMIUM, *options, address], capture_output=True, text=True, timeout=90)
    assert re.search(r"\d+ matching documents<", done.stdout) and "md-search-result__article" in done.stdout


# Presses the button of every block, and keeps what each would put on the clipboard.
PRESS = """
<script>
addEventListener("load", () => setTimeout(() => {
  const copied = [];
  // without a hand on the mouse a browser copies nothing: what stands ready to be copied is taken instead
  document.execCommand = () => copied.push(document.querySelector("textarea[readonly]").value);
  document.querySelectorAll("button[data-clipboard-target]").forEach((button) => button.click());
  document.body.innerHTML = "<pre id='copied'></pre>";
  document.querySelector("#copied").textContent = JSON.stringify(copied);
}, 3000));
</script>
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as `chromium` or `google-chrome`")
def test_what_is_copied_runs(site: Path) -> None:
    """The copy button takes code alone: no prompt, and nothing that was printed."""
    page = site / "pressed.html"
    page.write_text((site / "tutorial.html").read_text(encoding="utf-8").replace("</body>", f"{PRESS}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([str(CHROMIUM), *options, page.as_uri()], capture_output=True, text=True, timeout=90)
    page.unlink()
    found = re.search(r"<pre id=.copied.>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:]
    copied = json.loads(html.unescape(found[1]))
    assert "manifoldnet new spiral" in copied
    assert not any(re.search(r"(?m)^(>>>|\.\.\.|\$) |written:", text) for text in copied), copied
    sessions = [text for text in copied if text.startswith(("import numpy", "def stepped"))]
    assert len(sessions) == 2
    for text in sessions:
        assert "\n\n" not in text
        compile(text, "copied", "exec")


@pytest.mark.parametrize("module", ["manifoldnet", "manifoldnet.sklearn", "manifoldnet.testing"])
def test_every_public_name_has_its_entry(site: Path, module: str) -> None:
    page = site / "reference" / f"{module.rpartition('.')[2]}.html"
    text = page.read_text(encoding="utf-8")
    names = __import__(module, fromlist=["__all__"]).__all__
    assert " at 0x" not in text.replace("&#x27;", "")
    assert [name for name in names if not re.search(rf'id="{re.escape(module)}[\w.]*\.?{name}"', text)] == []


def test_listed_functions_are_in_the_table(site: Path) -> None:
    text = (site / "reference" / "numpy.html").read_text(encoding="utf-8")
    assert [name for name in ("softplus", "cholesky", "einsum") if f"<code>{name}</code>" not in text] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_ran(site: Path, path: Path) -> None:
    """The build runs every cell; its page has the network's picture, drawings, and what was printed."""
    text = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    drawings = re.findall(r'<img [^>]*src="([^"]+\.svg)"', text)
    assert drawings and all((site / "notebooks" / name).stat().st_size > 10_000 for name in drawings)
    assert '<div class="shown"><svg' in text or "<svg" in text.partition('<div class="shown">')[2]
    assert "bits" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_shows(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}), encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        run_notebook(path)
    assert "broken.ipynb, cell 0" in str(caught.traceback[-1].path)
