"""The built-in engine's child: whether this machine can run it, its port and key, its entry in the site."""

from __future__ import annotations

import ctypes
import http.client
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from r1web.supervisor import environment, stamps
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.children import Command
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site

MODEL = ROOT / "tiny_model" / "r1-tiny.gguf"
SLOTS, SLOT_CONTEXT = 8, 2048
READY_SECONDS = 20.0
NEEDED_FLAGS = {"avx2", "fma", "f16c", "bmi2"}
LIBRARY_FOLDER = environment.ENVIRONMENT / "lib" / "r1web-libgomp"


def obstacle() -> str | None:
    """Why the built-in engine cannot run here, as a sentence, or None; mends a missing libgomp."""
    if not MODEL.exists():
        return f"The demo model {MODEL.name} is missing: fetch tiny_model/ again."
    if not _processor_fits():
        return "This processor is too old for the built-in engine (it lacks AVX2): attach one of your own, see docs."
    if sys.platform == "linux" and not _has_libgomp():
        return _mend_libgomp()
    return None


def _processor_fits() -> bool:
    """The x86-64 build has AVX2 and its kin fixed in; it dies of an illegal instruction without."""
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "AMD64"}:
        return True
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split()) >= NEEDED_FLAGS
    return True


def _has_libgomp() -> bool:
    with suppress(OSError):
        ctypes.CDLL("libgomp.so.1")
        return True
    return (LIBRARY_FOLDER / "libgomp.so.1").exists()


def _mend_libgomp() -> str | None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "libgomp1"]
        if subprocess.run(install, capture_output=True).returncode == 0 and _has_libgomp():
            return None
    try:
        _borrow_libgomp()
    except (CannotGoOn, OSError):
        command = "apt-get install libgomp1" if os.geteuid() == 0 else "sudo apt-get install libgomp1"
        return f"The built-in engine needs libgomp: {command} (or your system's package), then start again."
    return None


def _borrow_libgomp() -> None:
    """Take the libgomp that a small wheel carries, for the engine's process alone; needs no root."""
    with tempfile.TemporaryDirectory(dir=environment.ENVIRONMENT) as folder:
        environment.install(environment.PYTHON, ROOT / "requirements" / "libgomp.txt", "--target", folder)
        found = next(Path(folder).glob("pykdtree.libs/libgomp-*.so*"), None)
        if found is None:
            raise CannotGoOn("no libgomp for this machine")
        LIBRARY_FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, LIBRARY_FOLDER / "libgomp.so.1")


def key_file(site: Site) -> Path:
    path = site.data / "engine.key"
    if not path.exists():
        stamps.write_private(path, stamps.digest_of(os.urandom(32)) + "\n")
    return path


def host() -> str:
    """Where it listens and where runners find it: loopback, unless runners run elsewhere too."""
    return os.environ.get("R1WEB_ENGINE_HOST", "") or "127.0.0.1"


def port(site: Site) -> int:
    """The engine's port, kept from start to start unless somebody else took it."""
    path = site.data / "engine.port"
    with suppress(OSError, ValueError):
        kept = int(path.read_text())
        if _is_free(kept):
            return kept
    with socket.socket() as probe:
        probe.bind((host(), 0))
        fresh: int = probe.getsockname()[1]
    stamps.write_private(path, f"{fresh}\n")
    return fresh


def _is_free(number: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host(), number))
        return True
    return False


def command(site: Site, number: int) -> Command:
    values = site.process_environment()
    if LIBRARY_FOLDER.exists():
        values["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(LIBRARY_FOLDER), values.get("LD_LIBRARY_PATH")]))
    words = [sys.executable, "-m", "r1web.embedded_engine", "--model", str(MODEL), "--host", host()]
    words += [
        "--port",
        str(number),
        "--key-file",
        str(key_file(site)),
        "--slots",
        str(SLOTS),
        "--context",
        str(SLOTS * SLOT_CONTEXT),
    ]
    return Command(name="Engine", words=words, environment=values, log=site.logs / "engine.log")


def attach_words(site: Site, number: int) -> list[str]:
    """Arguments of manage.py that make the engine known to the site; running them twice changes nothing."""
    words = [
        "attach_engine", f"http://{host()}:{number}", "--kind", "llama.cpp", "--model", "r1-tiny",
        "--slots", str(SLOTS), "--context", str(SLOT_CONTEXT), "--key-file", str(key_file(site)), "--launched",
    ]  # fmt: skip
    speed = os.environ.get("R1WEB_DEMO_TOKENS_PER_SECOND", "") or "40"
    return words if speed == "0" else [*words, "--tokens-per-second", speed]


def answers(number: int) -> bool:
    line = http.client.HTTPConnection(host(), number, timeout=2)
    try:
        line.request("GET", "/health")
        return line.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
