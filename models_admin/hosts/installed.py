"""Engine programs on this machine's PATH, with their versions. No shell, a deadline, and nothing of our environment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models_admin.hosts.inventory import Program

DEADLINE_SECONDS = 15.0
# Of the environment a program needs this much to start; the site's keys and addresses are none of its business.
PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
MAX_VERSION = 40
# Ollama names the running server's version first, and its own only where it is another one.
_OLLAMA = re.compile(r"client version is (\S+)|version is (\S+)")
_LLAMA_SERVER = re.compile(r"version:\s*(\S+)")
_PLAIN = re.compile(r"(\d+\.\d+\S*)")
# Asking the package that brought the script costs 0.1 s; `vllm --version` loads torch and takes 10 s of a processor.
_OF_SCRIPT = (
    "import importlib.metadata as m, sys; "
    "print(*{e.dist.version for e in m.entry_points(group='console_scripts', name=sys.argv[1])})"
)


@dataclass(frozen=True)
class _Known:
    """How a program is asked: words behind its path, and what its version looks like in the answer."""

    words: tuple[str, ...]
    version: re.Pattern[str]
    is_script: bool = False


KNOWN = {
    "ollama": _Known(("--version",), _OLLAMA),
    "vllm": _Known(("--version",), _PLAIN, is_script=True),
    "sglang": _Known(("version",), _PLAIN, is_script=True),
    "llama-server": _Known(("--version",), _LLAMA_SERVER),
}


class Installed:
    """Looks for programs again each time, but asks one for its version only when its file has changed."""

    def __init__(self, path: str | None = None, *, run: Callable[[Sequence[str]], str] | None = None) -> None:
        self._path = path
        self._run = run or answer
        self._asked: dict[tuple[str, int, int], str] = {}

    def read(self) -> tuple[Program, ...]:
        found = ((name, shutil.which(name, path=self._path)) for name in KNOWN)
        return tuple(Program(name, self._version(name, Path(path))) for name, path in found if path)

    def _version(self, name: str, path: Path) -> str:
        try:
            about = path.stat()
        except OSError:
            return ""
        key = (str(path), about.st_mtime_ns, about.st_size)
        if not self._asked.get(key):
            self._asked[key] = self._ask(name, path)
        return self._asked[key]

    def _ask(self, name: str, path: Path) -> str:
        known = KNOWN[name]
        python = interpreter(path) if known.is_script else None
        if python:
            told = self._run([python, "-I", "-c", _OF_SCRIPT, name]).strip()
            if _PLAIN.fullmatch(told):
                return told[:MAX_VERSION]
        found = known.version.search(self._run([str(path), *known.words]))
        return next(filter(None, found.groups()), "")[:MAX_VERSION] if found else ""


def answer(words: Sequence[str]) -> str:
    """What a program says on both outputs; '' where it says nothing in time. Its children end with it."""
    values = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=values,
            start_new_session=True,
        )  # fmt: skip
    except OSError:
        return ""
    try:
        return child.communicate(timeout=DEADLINE_SECONDS)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        _end(child)
        return ""


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def interpreter(path: Path) -> str | None:
    """The Python that a script names in its first line."""
    try:
        with path.open("rb") as file:
            first = file.readline(300).decode("utf-8", "replace").strip()
    except OSError:
        return None
    program = first.removeprefix("#!").strip()
    return program if first.startswith("#!/") and "python" in program and " " not in program else None
