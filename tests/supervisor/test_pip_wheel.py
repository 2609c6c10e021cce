"""Fetching pip for a Python that has none, from a package index that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1web.supervisor import pip_wheel
from r1web.supervisor.failure import CannotGoOn

WHEEL = b"the wheel" * 1000
NAME = "pip-1.2-py3-none-any.whl"


class Index(http.server.BaseHTTPRequestHandler):
    """Breaks as many downloads off as `broken` says, then serves the wheel."""

    broken = 0

    def do_GET(self) -> None:
        if self.path == "/simple/pip/":
            return self._answer(f'<a href="../../files/{NAME}#sha256=0">{NAME}</a>'.encode())
        if type(self).broken > 0:
            type(self).broken -= 1
            return self._answer(WHEEL[:100])
        return self._answer(WHEEL)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        path = tmp_path / "pip.txt"
        path.write_text(f"pip==1.2 \\\n    --hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}\n")
        yield path
        server.shutdown()


def test_a_download_that_broke_off_is_tried_again(lock: Path, tmp_path: Path) -> None:
    Index.broken = 2
    assert pip_wheel.fetch(lock, tmp_path).read_bytes() == WHEEL


def test_a_wheel_that_is_not_the_locked_one_is_never_kept(lock: Path, tmp_path: Path) -> None:
    Index.broken = 99
    with pytest.raises(CannotGoOn, match="broken three times"):
        pip_wheel.fetch(lock, tmp_path)
    assert not (tmp_path / NAME).exists()
