"""Processes that tests start, pause and kill, and waiting for a condition."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
END_SECONDS = 40


class Process:
    """One program with its log file; it may be killed and started again as often as a test wants."""

    def __init__(self, name: str, words: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name, self.words, self.environment = name, words, environment
        self.log = folder / f"{name}.log"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        with self.log.open("ab") as output:
            self._running = subprocess.Popen(
                self.words, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return self

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self._running is not None, f"{self.name} was never started"
        return self._running

    @property
    def is_alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def kill9(self) -> None:
        self.running.kill()
        self.running.wait(END_SECONDS)

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        self.running.terminate()

    def pause(self) -> None:
        self.running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.running.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM, then kill what does not go."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.running.pid, signal.SIGCONT)
            self.terminate()
            try:
                self.running.wait(5)
            except subprocess.TimeoutExpired:
                self.kill9()

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.running.pid).memory_info().rss)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = psutil.Process(self.running.pid).cpu_times()
        return float(times.user + times.system)


def until(holds: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)


async def until_async(holds: Callable[[], object | Awaitable[object]], what: str, seconds: float = 20) -> None:
    """`until` for tests whose sockets have to be served meanwhile."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        await asyncio.sleep(0.05)
