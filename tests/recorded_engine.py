"""An engine that sends what a real one sent: recordings by rule, in a thread of the test's own process.

A request that no rule knows is answered 501 and fails the test by it. `tests/recordings/README.md` says what was
recorded and what was only documented.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class Recording:
    status: int
    content_type: str
    body: bytes

    @property
    def pieces(self) -> list[bytes]:
        """A stream's body in the pieces in which its engine sends it: event by event, line by line."""
        if "event-stream" in self.content_type:
            return [piece + b"\n\n" for piece in self.body.split(b"\n\n") if piece]
        if "ndjson" in self.content_type:
            return self.body.splitlines(keepends=True)
        return [self.body]


@dataclass(frozen=True)
class Rule:
    """`when` looks at the request's body; the first rule that fits answers. `after` runs before the next request."""

    method: str
    path: str
    recording: str
    when: Callable[[dict[str, Any]], bool] = lambda body: True


@dataclass
class Replay:
    """What is being played: `seen` requests, oldest first, and the recordings that answered."""

    rules: Sequence[Rule]
    key: str = ""
    open_paths: tuple[str, ...] = ()
    refusal: str = ""
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    played: list[str] = field(default_factory=list)

    def choose(self, method: str, path: str, body: dict[str, Any], key: str) -> Recording | None:
        self.seen.append((path, body))
        name = self._name(method, path, body, key)
        if name is None:
            return None
        self.played.append(name)
        return read(name)

    def _name(self, method: str, path: str, body: dict[str, Any], key: str) -> str | None:
        if self.key and key != f"Bearer {self.key}" and path not in self.open_paths:
            return self.refusal
        fitting = (rule for rule in self.rules if (rule.method, rule.path) == (method, path) and rule.when(body))
        rule = next(fitting, None)
        return rule.recording if rule else None


def read(name: str) -> Recording:
    """`name` is folder/file without its ending."""
    head, _, body = (RECORDINGS / f"{name}.txt").read_bytes().partition(b"\n\n")
    status, _, content_type = head.decode().partition("\n")
    return Recording(int(status.split()[1]), content_type.removeprefix("Content-Type: "), body)


@contextmanager
def playing(replay: Replay) -> Iterator[str]:
    """The address at which it plays."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(content) if content else {}
            key = self.headers.get("Authorization") or ""
            recording = replay.choose(self.command, self.path, body, key)
            if recording is None:
                recording = Recording(501, "text/plain", f"no rule for {self.command} {self.path}".encode())
            self.send_response(recording.status)
            if recording.content_type:
                self.send_header("Content-Type", recording.content_type)
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(ConnectionError):  # a driver that has what it wanted, or was told to stop, leaves
                for piece in recording.pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
