"""The site's own Python environment: made once, installed from the lock with hashes, stamped last.

A download that breaks off leaves no stamp, so the next start goes on where pip's cache ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from r1web.supervisor import pip_wheel, stamps
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.terminal import say, step

ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
ATTEMPTS = 3
FULL = "The disk became full while packages were installed: free 600 MB and start again."
PIP_INSTALL = [
    "install", "--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes",
    "--only-binary", ":all:", "--no-deps", "--no-compile",
]  # fmt: skip


def keep_bytecode() -> None:
    """Have every process from here on keep compiled modules, inside the environment where none are wanted elsewhere.

    Each start would otherwise compile Django and all else anew: seconds of both cores.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ENVIRONMENT / "bytecode"))


def is_ready(lock: str = "runtime") -> bool:
    """Whether what `requirements/<lock>.txt` pins is installed."""
    return PYTHON.exists() and stamps.is_current(_stamp(lock), _digest(lock))


def prepare(*locks: str) -> None:
    """Make the environment hold every named lock; returns at once when it does."""
    if all(map(is_ready, locks)):
        return
    with alone():
        missing = [lock for lock in locks if not is_ready(lock)]
        if missing and not _works():
            with step("Python environment"):
                _create()
        for lock in missing:
            with step("Packages" if lock == "runtime" else f"Packages ({lock})"):
                _stamp(lock).unlink(missing_ok=True)
                install(PYTHON, ROOT / "requirements" / f"{lock}.txt")
                stamps.write(_stamp(lock), _digest(lock))


@contextmanager
def alone() -> Iterator[None]:
    """One start at a time makes what all sites of this clone share; the others wait for it."""
    # The folder itself is locked: no file to be left behind, and the lock ends with its process.
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  Another start from this folder is installing: waiting for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def install(python: Path, requirements: Path, *more: str) -> None:
    """Run pip for a file of pins with hashes, trying again when a download breaks off."""
    command = [str(python), "-m", "pip", *PIP_INSTALL, *more, "-r", str(requirements)]
    for attempt in range(1, ATTEMPTS + 1):
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        if result.returncode == 0:
            return
        if attempt == ATTEMPTS or not _may_pass(result.stderr):
            raise CannotGoOn(_told(result.stderr))


def _may_pass(error: str) -> bool:
    """Whether a second attempt could go better; a half-read download shows as a wrong hash."""
    return "No space left" not in error and "No matching distribution" not in error


def _told(error: str) -> str:
    if "No space left" in error:
        return FULL
    if "DO NOT MATCH THE HASHES" in error:
        return "A package arrived broken three times: start again; if it stays so, ask who runs your package mirror."
    last = next((line for line in reversed(error.splitlines()) if line.strip()), "no reason given")
    if "No matching distribution" in error:
        return f"No ready-made package fits this machine (Linux with glibc from 2018 or later, or macOS 13): {last}"
    return (
        f"The packages could not be fetched ({last.strip()}): check the network, or set PIP_INDEX_URL, and start again."
    )


def _stamp(lock: str) -> Path:
    return ENVIRONMENT / f"r1web-{lock}.stamp"


def _digest(lock: str) -> str:
    return stamps.digest_of((ROOT / "requirements" / f"{lock}.txt").read_bytes())


def _works() -> bool:
    if not PYTHON.exists():
        return False
    return subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode == 0


def _create() -> None:
    """A new environment; one that a crash left half made is thrown away."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    flags = [] if find_spec("ensurepip") else ["--without-pip"]
    made = subprocess.run([sys.executable, "-m", "venv", *flags, str(ENVIRONMENT)], capture_output=True, text=True)
    if made.returncode and not flags:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        flags = ["--without-pip"]
        made = subprocess.run([sys.executable, "-m", "venv", *flags, str(ENVIRONMENT)], capture_output=True, text=True)
    if made.returncode:
        report = made.stderr or made.stdout
        raise CannotGoOn(_failed("Python could not make an environment", report))
    if flags:
        _add_pip()


def _add_pip() -> None:
    """Debian's Python has no ensurepip: run pip out of its own wheel, once, to install itself."""
    wheel = pip_wheel.fetch(ROOT / "requirements" / "pip.txt", ENVIRONMENT)
    command = [str(PYTHON), f"{wheel}/pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    wheel.unlink()
    if done.returncode:
        raise CannotGoOn(_failed("pip could not be installed", done.stderr))


def _failed(what: str, report: str) -> str:
    if "No space left" in report:
        return FULL
    reason = "".join(report.strip().splitlines()[-1:])
    return f"{what} ({reason}): {_advice()}"


def _advice() -> str:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"install {version}-venv (Debian, Ubuntu: {sudo}apt-get install {version}-venv) and start again."
