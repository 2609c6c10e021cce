"""An Ollama on loopback that pulls as the real one does: lines inside a 200, and only `success` counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LAYERS = {"sha256:" + "1" * 64: 4_000_000, "sha256:" + "2" * 64: 1_000}


@dataclass
class OllamaServer:
    """`lines` of a pull; at a None it waits until `let_go`. `digest` is what the name means after it."""

    address: str = ""
    digest: str = "d" * 64
    lines: list[dict[str, Any] | None] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


def steps(*last: dict[str, Any]) -> list[dict[str, Any] | None]:
    """A pull of two layers, with what comes at its end."""
    found: list[dict[str, Any] | None] = [{"status": "pulling manifest"}]
    for digest, size in LAYERS.items():
        for done in (0, size // 2, size):
            found.append({"status": f"pulling {digest[7:19]}", "digest": digest, "total": size, "completed": done})
    return [*found, {"status": "verifying sha256 digest"}, *last]


@contextmanager
def serving() -> Iterator[OllamaServer]:
    server = OllamaServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.let_go.set()
        http.shutdown()
        http.server_close()


def _handler(server: OllamaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            rows = [{"name": name, "digest": server.digest, "size": 1} for name in server.pulled]
            self._answer(json.dumps({"models": rows}).encode())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for line in server.lines:
                    self._wait() if line is None else self.wfile.write(json.dumps(line).encode() + b"\n")
            except OSError:
                server.closed.set()
                return
            if server.lines[-1] == {"status": "success"}:
                server.pulled.append(asked["model"])

        def _wait(self) -> None:
            while not server.let_go.wait(0.05):
                self.wfile.write(b"\n")  # shows whether anybody still reads

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
