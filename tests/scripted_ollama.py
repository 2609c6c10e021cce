"""An Ollama on loopback with memory of its own: loads, unloads, pulls, deletes and answers as the real one does.

Its lines have the shapes of the recordings. What it was asked is kept in order; a load or a pull can be held.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = [f"t{number:04d} " for number in range(1, 13)]


@dataclass
class ScriptedOllama:
    """`models`: bytes by name; `loaded`: context by name. A load waits for `may_load`, an answer for `may_answer`.

    `library`: bytes and digest by name of what can be pulled. A pull stops at its half until `may_pull`, and gives up
    where nobody reads on; `begun` has each with the bytes that were at hand.
    """

    address: str = ""
    models: dict[str, int] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)
    library: dict[str, tuple[int, str]] = field(default_factory=dict)
    at_hand: dict[str, int] = field(default_factory=dict)
    begun: list[tuple[str, int]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fails_loads: bool = False
    may_load: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    may_pull: threading.Event = field(default_factory=threading.Event)
    pull_given_up: threading.Event = field(default_factory=threading.Event)

    def loads(self) -> list[str]:
        """Names in the order in which they were told to be loaded."""
        return [body["model"] for path, body in self.asked if path == "/api/generate" and body.get("keep_alive") != 0]

    def digest(self, name: str) -> str:
        return self.library[name][1] if name in self.library else (name.encode().hex() * 20)[:64]

    def contexts(self) -> set[int]:
        """Of all questions and loads: another one would make the real one load the model anew."""
        told = (body.get("options", {}).get("num_ctx") for _, body in self.asked if body.get("keep_alive") != 0)
        return {context for context in told if context is not None}


@contextmanager
def serving(**models: int) -> Iterator[ScriptedOllama]:
    """`models`: bytes by name, `_` for what a keyword can't hold is not needed: names get `:latest`."""
    box = ScriptedOllama(models={f"{name}:latest": size for name, size in models.items()})
    box.may_load.set()
    box.may_answer.set()
    box.may_pull.set()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(box))
    http.daemon_threads = True
    box.address = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield box
    finally:
        box.may_load.set()
        box.may_answer.set()
        box.may_pull.set()
        http.shutdown()
        http.server_close()


def _handler(box: ScriptedOllama) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/api/version":
                    self._json({"version": "0.24.0"})
                case "/api/tags":
                    rows = [{"name": n, "digest": box.digest(n), "size": s} for n, s in box.models.items()]
                    self._json({"models": rows})
                case "/api/ps":
                    self._json({"models": [_loaded(box, name, context) for name, context in box.loaded.items()]})
                case _:
                    self._json({"error": "not found"}, 404)

        def do_DELETE(self) -> None:
            name = self._read()["model"]
            found = box.models.pop(name, None)
            box.loaded.pop(name, None)
            self._json({} if found is not None else {"error": f"model '{name}' not found"}, 200 if found else 404)

        def do_POST(self) -> None:
            body = self._read()
            box.asked.append((self.path, body))
            name = body.get("model") or body.get("name", "")
            if self.path == "/api/pull":
                self._pull(name)
            elif name not in box.models:
                self._json({"error": f"model '{name}' not found"}, 404)
            elif self.path == "/api/show":
                self._json({"details": {"format": "gguf", "quantization_level": "Q4_K_M"}, "capabilities": ["thinking"],
                            "model_info": {"general.architecture": "qwen2"}})  # fmt: skip
            elif self.path == "/api/generate" and not body.get("prompt"):
                self._load(name, body)
            elif self.path in ("/api/chat", "/api/generate"):
                self._answer(name, body)

        def _load(self, name: str, body: dict[str, Any]) -> None:
            if body.get("keep_alive") == 0:
                box.loaded.pop(name, None)
                self._json({"model": name, "done": True, "done_reason": "unload"})
                return
            box.may_load.wait(60)
            if box.fails_loads:
                self._json({"error": "model requires more system memory than is available"}, 500)
                return
            box.loaded[name] = body.get("options", {}).get("num_ctx", 4096)
            self._json({"model": name, "done": True, "done_reason": "load"})

        def _pull(self, name: str) -> None:
            size, digest = box.library.get(name, (1000, box.digest(name)))
            at_hand = box.at_hand.get(name, 0)
            box.begun.append((name, at_hand))
            layer = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": size}
            self._begin("application/x-ndjson")
            try:
                for done in sorted({at_hand, size // 2}):
                    self._line({**layer, "completed": done})
                box.at_hand[name] = size // 2
                while not box.may_pull.wait(0.05):
                    self.wfile.write(b"\n")  # tells whether anybody still reads
            except OSError:
                box.pull_given_up.set()
                return
            self._line({**layer, "completed": size})
            box.models[name] = size
            self._line({"status": "verifying sha256 digest"})
            self._line({"status": "success"})

        def _answer(self, name: str, body: dict[str, Any]) -> None:
            box.loaded.setdefault(name, body.get("options", {}).get("num_ctx", 4096))
            self._begin("application/x-ndjson")
            for word in WORDS:
                self._line({"model": name, "message": {"role": "assistant", "content": word}, "done": False})
                if word == WORDS[2]:
                    box.may_answer.wait(60)
            self._line({"model": name, "message": {"role": "assistant", "content": ""}, "done": True,
                        "done_reason": "stop", "prompt_eval_count": 7, "eval_count": len(WORDS),
                        "prompt_eval_duration": 1_000_000, "eval_duration": 12_000_000})  # fmt: skip

        def _read(self) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return found

        def _begin(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()

        def _line(self, line: dict[str, Any]) -> None:
            self.wfile.write(json.dumps(line).encode() + b"\n")
            self.wfile.flush()

        def _json(self, answer: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


def _loaded(box: ScriptedOllama, name: str, context: int) -> dict[str, Any]:
    return {"name": name, "model": name, "digest": box.digest(name), "size": box.models[name], "size_vram": 0,
            "context_length": context, "expires_at": "2319-01-01T00:00:00Z"}  # fmt: skip
