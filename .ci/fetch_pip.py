"""Fetches pip's wheel from a package index, for a Python that comes without pip and without ensurepip.

It follows PEP 503 and heeds pip's own settings `index-url` and `cert`, from PIP_INDEX_URL and PIP_CERT or
from pip.conf. The wheel is used only if its sha256 is the one that the index announces.
"""

import configparser
import hashlib
import html
import os
import re
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path


def setting_files(home: Path, environment: Mapping[str, str]) -> list[Path]:
    """The files in which pip looks for settings, in its order: a later one wins."""
    system = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    named = [Path(environment["PIP_CONFIG_FILE"])] if environment.get("PIP_CONFIG_FILE") else []
    return [*system, home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf", *named]


def setting(name: str, environment: Mapping[str, str], files: Iterable[Path]) -> str | None:
    """One of pip's settings or None: from its environment variable, else from the last file that has it."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(files, encoding="utf-8")
    spoken = environment.get(f"PIP_{name.upper().replace('-', '_')}")
    written = (parser.get(section, name, fallback=None) for section in ("install", "global"))
    return spoken or next(filter(None, written), None)


def pick_wheel(page: str, address: str, version: str) -> tuple[str, str]:
    """Address and sha256 of pip's wheel of that version, from the index page that was read at `address`."""
    for link in map(html.unescape, re.findall(r"""href\s*=\s*["']([^"']+)""", page)):
        target, _, digest = urllib.parse.urljoin(address, link).partition("#sha256=")
        if digest and urllib.parse.urlsplit(target).path.endswith(f"/pip-{version}-py3-none-any.whl"):
            return target, digest
    raise LookupError(f"{address} offers no wheel of pip {version} with its sha256")


def fetch_pip(folder: Path, version: str) -> Path:
    """Fetch and check pip's wheel of that version into a folder, and say where it is."""
    files = setting_files(Path.home(), os.environ)
    index = setting("index-url", os.environ, files) or "https://pypi.org/simple"
    context = ssl.create_default_context(cafile=setting("cert", os.environ, files))
    page = f"{index.rstrip('/')}/pip/"
    target, digest = pick_wheel(_read(page, context).decode(), page, version)
    content = _read(target, context)
    if hashlib.sha256(content).hexdigest() != digest:
        raise LookupError(f"{target} is not the file that {page} announces: its sha256 differs")
    wheel = folder / f"pip-{version}-py3-none-any.whl"
    wheel.write_bytes(content)
    return wheel


def _read(address: str, context: ssl.SSLContext) -> bytes:
    request = urllib.request.Request(address, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        content: bytes = answer.read()
    return content
