"""A registry on loopback that speaks Ollama's and Hugging Face's protocols, and misbehaves where a test says so."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

WEIGHTS = 4_683_073_184


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_endless: bool = False


def manifest(words: str = "weights", *, weights: int = WEIGHTS) -> bytes:
    """A manifest of Ollama's library; other `words`, other layers. `weights` in bytes."""
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "size": weights, "digest": _digest(words)},
        {"mediaType": "application/vnd.ollama.image.template", "size": 387, "digest": _digest("template")},
    ]
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 488, "digest": _digest("config")}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode()


def listing(commit: str, **files: tuple[int, str]) -> bytes:
    """A repository at `commit`; `files` maps a name to (bytes, SHA-256 or '')."""
    siblings: list[dict[str, Any]] = []
    for name, (size, digest) in files.items():
        lfs = {"lfs": {"sha256": digest, "size": size, "pointerSize": 135}} if digest else {}
        siblings.append({"rfilename": name, "size": size, "blobId": "0" * 40, **lfs})
    return json.dumps({"id": "x/y", "sha": commit, "siblings": siblings}).encode()


def _digest(words: str) -> str:
    return f"sha256:{hashlib.sha256(words.encode()).hexdigest()}"


class RegistryServer(ThreadingHTTPServer):
    """`answers` maps a path with its query to what it gives; `asked` keeps what came, with its headers.

    `pause` in seconds before an answer; `most_at_once` is how many waited together.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.at_once = self.most_at_once = 0
        self.gate = threading.Lock()
        self.pause = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve_model(self, name: str, tag: str, body: bytes) -> str:
        """Under Ollama's protocol; gives the digest that the name means."""
        self.answers[f"/v2/{name}/manifests/{tag}"] = Answer(200, body)
        return hashlib.sha256(body).hexdigest()

    def serve_repository(self, name: str, body: bytes) -> None:
        self.answers[f"/api/models/{name}/revision/main?blobs=true"] = Answer(200, body)


class _Requests(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = cast(RegistryServer, self.server)
        server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        with server.gate:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        time.sleep(server.pause)
        with server.gate:
            server.at_once -= 1
        answer = server.answers.get(self.path, Answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not answer.is_endless:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
            while answer.is_endless:
                self.wfile.write(b" " * 65536)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    server = RegistryServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
