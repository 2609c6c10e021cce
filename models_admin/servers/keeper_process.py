"""A server's processes: begun in a session of their own, known again by their birth, ended for sure.

A number alone says nothing: it is given out again. Birth is counted from the machine's start, so that a clock that is
set does not change it, and names the start itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from models_admin.servers.launch_programs import Start

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_TICKS = 19  # the 22nd field of /proc/PID/stat, counted behind the name
# Children belong to the process, whichever keeper in it began them; asked for their end, they are reaped.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Group:
    """A server by its first process. `home` is the folder that it was begun in, and nobody else."""

    pid: int
    born: str
    home: Path

    @property
    def is_running(self) -> bool:
        """Its first process, that is."""
        _reap(self.pid)
        return bool(self.pid) and birth(self.pid) == self.born

    @property
    def exit_code(self) -> int | None:
        """None where it runs, or where another process began it; negative: a signal."""
        child = _CHILDREN.get(self.pid)
        return child.poll() if child else None


def begin(start: Start, home: Path, log: int) -> Group:
    """Raises OSError. `log` is a descriptor that it writes to."""
    child = subprocess.Popen(
        start.words, executable=start.program, cwd=home, env=dict(start.environment), stdin=subprocess.DEVNULL,
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    _CHILDREN[child.pid] = child
    return Group(child.pid, birth(child.pid), home)


def birth(pid: int) -> str:
    """'' where no such process lives."""
    try:
        if not _BOOT.exists():
            process = psutil.Process(pid)
            return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else f"{_boot()} {fields[_START_TICKS].decode()}"
    except (OSError, psutil.Error, IndexError):
        return ""


class Ending:
    """SIGTERM to the whole group, SIGKILL after `patience` seconds to whoever is left, until nobody is."""

    def __init__(self, group: Group, *, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self._group, self._patience, self._now = group, patience, now
        self._members: list[psutil.Process] = []
        self._kill_at: float | None = None

    def step(self) -> bool:
        """To be called every now and then; True once nothing of it is left."""
        _reap(self._group.pid)
        self._members = [member for member in self._members if _lives(member)]
        if self._kill_at is None:
            self._members = family(self._group)
            self._kill_at = self._now() + self._patience
            self._send(signal.SIGTERM)
            self._send(signal.SIGCONT)  # a stopped one hears nothing else
        elif not self._members or self._now() >= self._kill_at:
            # Looked for again: one may have been begun after the first look.
            self._members = family(self._group)
            self._send(signal.SIGKILL)
        return not self._members

    def _send(self, number: signal.Signals) -> None:
        for member in self._members:
            with suppress(psutil.Error):
                member.send_signal(number)


def family(group: Group) -> list[psutil.Process]:
    """All that live: the session, whoever else is in its folder, what they began. Reads the whole list of processes."""
    has_session = bool(group.pid) and _session_is_ours(group)
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if process.pid != os.getpid() and _belongs(process, group, has_session=has_session):
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    return [process for process in found.values() if _lives(process)]


def _belongs(process: psutil.Process, group: Group, *, has_session: bool) -> bool:
    if has_session and os.getsid(process.pid) == group.pid:
        return True
    # Found even where the keeper was killed before he could write its number down. A terminal is somebody's shell.
    return process.cwd() == str(group.home) and process.terminal() is None


def _session_is_ours(group: Group) -> bool:
    """Its first process lives, or is gone and the machine has not started anew: a session keeps its number."""
    now = birth(group.pid)
    return now == group.born or (not now and group.born.partition(" ")[0] == _boot())


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _reap(pid: int) -> None:
    child = _CHILDREN.get(pid)
    if child is not None:
        child.poll()
