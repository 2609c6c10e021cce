"""A hub of models on loopback: listings and files with ranges, and what goes wrong on real ones, on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "c0ffee" + "0" * 34
SMALL = {".json", ".txt", ".md", ".py", ".gitattributes"}
CHUNK = 64 * 1024


@dataclass
class ModelServer:
    """`cuts_after`: bytes of each connection. `pace` in bytes/s, 0 = none. `holds_at`: bytes of a file, then silence.

    `asked` is (path, Range) of every question.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    listed_sizes: dict[str, int] = field(default_factory=dict)
    knows_ranges: bool = True
    cuts_after: int = 0
    pace: int = 0
    holds_at: int = 0
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> str:
        return self.address.removeprefix("http://")

    def listing(self) -> bytes:
        rows = [self._row(name, content) for name, content in self.files.items()]
        return json.dumps({"sha": COMMIT, "siblings": rows}).encode()

    def _row(self, name: str, content: bytes) -> dict[str, object]:
        size = self.listed_sizes.get(name, len(content))
        if any(name.endswith(suffix) for suffix in SMALL):
            head = b"blob %d\0" % len(content)
            return {"rfilename": name, "size": size, "blobId": hashlib.sha1(head + content).hexdigest()}
        return {"rfilename": name, "size": size, "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": size}}

    def ranges(self, name: str) -> list[str]:
        """What was asked of a file, '' = from its beginning."""
        return [asked for path, asked in self.asked if path.endswith(f"/{name}")]


@contextmanager
def serving(port: int = 0, *, address: str = "127.0.0.1") -> Iterator[ModelServer]:
    server = ModelServer()
    http = ThreadingHTTPServer((address, port), _handler(server))
    http.daemon_threads = True
    server.address = f"http://{address}:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        http.shutdown()
        http.server_close()


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            self.path = urlsplit(self.path).path  # whole addresses are what a proxy is asked for
            server.asked.append((self.path, asked))
            server.keys.append(self.headers.get("Authorization", ""))
            if self.path in server.redirects:
                self._head(302, {"Location": server.redirects[self.path], "Content-Length": "0"})
            elif self.path.startswith("/api/models/"):
                self._head(200, {"Content-Length": str(len(server.listing()))})
                self.wfile.write(server.listing())
            elif (content := self._content()) is None:
                self._head(404, {"Content-Length": "0"})
            else:
                self._file(content, asked)

        def _content(self) -> bytes | None:
            found = re.search(r"/resolve/[^/]+/(.+)$", self.path)
            return server.files.get(found[1] if found else self.path.removeprefix("/"))

        def _file(self, content: bytes, asked: str) -> None:
            found = re.fullmatch(r"bytes=(\d+)-", asked) if server.knows_ranges else None
            start = int(found[1]) if found else 0
            headers = {"Content-Length": str(len(content) - start)}
            if found:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._head(206 if found else 200, headers)
            self._send(content, start)

        def _send(self, content: bytes, start: int) -> None:
            end = min(len(content), start + server.cuts_after) if server.cuts_after else len(content)
            try:
                while start < end:
                    stop = min(end, start + CHUNK)
                    if server.holds_at and stop > server.holds_at and not server.let_go.is_set():
                        self.wfile.write(content[start : server.holds_at])
                        start = max(start, server.holds_at)
                        server.let_go.wait()
                    self.wfile.write(content[start:stop])
                    if server.pace:
                        time.sleep((stop - start) / server.pace)
                    start = stop
            except OSError:
                return  # the reader had enough

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    return Handler


def content(size: int) -> bytes:
    """Bytes that differ everywhere, so that a part in a wrong place is seen."""
    block = b"".join(hashlib.sha256(number.to_bytes(8)).digest() for number in range(32_768))
    return (block * (size // len(block) + 1))[:size]
