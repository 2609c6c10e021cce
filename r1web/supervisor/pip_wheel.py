"""Fetches pip's own wheel for a Python that has neither ensurepip nor pip; checked against our lock."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from r1web.supervisor.failure import CannotGoOn

DEFAULT_INDEX = "https://pypi.org/simple"
ATTEMPTS = 3
TIMEOUT_SECONDS = 60


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def fetch(lock: Path, folder: Path) -> Path:
    """Download the wheel that `lock` pins into `folder` and return its path."""
    text = lock.read_text()
    version = re.search(r"^pip==(\S+)", text, re.MULTILINE)
    assert version, "requirements/pip.txt must pin pip"
    name = f"pip-{version[1]}-py3-none-any.whl"
    hashes = set(re.findall(r"sha256:([0-9a-f]{64})", text))
    page = f"{_index().rstrip('/')}/pip/"
    links = _Links()
    links.feed(_read(page).decode())
    for link in links.found:
        address = urldefrag(urljoin(page, link)).url
        if address.endswith("/" + name):
            return _save(address, folder / name, hashes)
    raise CannotGoOn(f"The package index has no {name}: install python3-venv with your system's package manager.")


def _save(address: str, path: Path, hashes: set[str]) -> Path:
    for _ in range(ATTEMPTS):
        content = _read(address)
        if hashlib.sha256(content).hexdigest() in hashes:
            path.write_bytes(content)
            return path
    raise CannotGoOn("pip arrived broken three times: start again; if it stays so, ask who runs your package mirror.")


def _read(address: str) -> bytes:
    error: OSError | None = None
    for _ in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # nosec B310
                content: bytes = answer.read()
                return content
        except OSError as problem:
            error = problem
    raise CannotGoOn(f"pip could not be fetched ({error}): check the network, or set PIP_INDEX_URL, and start again.")


def _index() -> str:
    """The index that pip itself would ask."""
    if named := os.environ.get("PIP_INDEX_URL"):
        return named
    settings = configparser.ConfigParser(interpolation=None)
    home = Path.home()
    settings.read(["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"])
    return settings.get("global", "index-url", fallback=DEFAULT_INDEX)
