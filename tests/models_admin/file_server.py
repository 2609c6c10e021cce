"""A server of files on loopback: with ranges or without, with redirects, and some that misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """`files` by path, `redirects` from path to address; `asked` and `sent_bytes` tell what was taken."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    knows_ranges: bool = True
    hangs: bool = False
    shifts_ranges: bool = False
    tells_length: bool = True
    told_size: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent_bytes: int = 0

    @property
    def place(self) -> str:
        return self.address.removeprefix("http://")


@contextmanager
def serving() -> Iterator[FileServer]:
    server = FileServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Range", "")))
            if server.hangs:
                threading.Event().wait(5)
            if self.path in server.redirects:
                self._head(302, {"Location": server.redirects[self.path], "Content-Length": "0"})
            elif self.path not in server.files:
                self._head(404, {"Content-Length": "0"})
            else:
                self._file(server.files[self.path])

        def _file(self, content: bytes) -> None:
            if not server.knows_ranges or "Range" not in self.headers:
                self._head(200, {"Content-Length": str(len(content))} if server.tells_length else {})
                self._send(content)
                return
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            assert found
            start, end = int(found[1]), min(int(found[2]), len(content) - 1)
            told = start + 1 if server.shifts_ranges else start
            size = server.told_size or (str(len(content)) if server.tells_length else "*")
            part = content[start : end + 1]
            self._head(206, {"Content-Range": f"bytes {told}-{end}/{size}", "Content-Length": str(len(part))})
            self._send(part)

        def _send(self, content: bytes) -> None:
            try:
                for start in range(0, len(content), 65536):
                    self.wfile.write(content[start : start + 65536])
                    server.sent_bytes += len(content[start : start + 65536])
            except OSError:
                pass  # the reader had enough

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    return Handler
