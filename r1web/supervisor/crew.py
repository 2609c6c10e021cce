"""All children of one site: started, looked after, ended in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from r1web.supervisor import children
from r1web.supervisor.children import Child, Command
from r1web.supervisor.failure import reason_of
from r1web.supervisor.terminal import say

# Together under the ten seconds in which everything has to be gone.
ASK_AGAIN_SECONDS = 1.0
END_SECONDS = 5.0
REDIS_END_SECONDS = 2.0
assert ASK_AGAIN_SECONDS < END_SECONDS and END_SECONDS + REDIS_END_SECONDS < 10
LOG_CHECK_SECONDS = 10.0
POLL_SECONDS = 0.05


class Crew:
    """The children in the order in which they were started."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._members: list[Child] = []
        self._logs_checked = 0.0
        self._troubles: set[str] = set()

    def start(self, command: Command) -> Child:
        child = Child(command)
        self._members.append(child)
        child.start()
        children.record(self._record, self._members)
        return child

    def tend(self) -> None:
        """Restart what crashed, once its pause is over; turn logs over that grew long.

        A full disk must not end a site that runs: what the system refuses is told and tried again.
        """
        for child in list(self._members):
            if child.restart_at is not None:
                if time.monotonic() >= child.restart_at:
                    self._restart(child)
            elif not child.is_running:
                self._crashed(child)
        if time.monotonic() - self._logs_checked > LOG_CHECK_SECONDS:
            self._logs_checked = time.monotonic()
            for child in self._members:
                self._attempt(child.rotate_log, f"{child.command.log} grows on")

    def _restart(self, child: Child) -> None:
        if not self._attempt(child.start, f"{child.command.name} could not be started"):
            child.plan_restart()
            return
        self._attempt(
            lambda: children.record(self._record, self._members), "a later start would not find what this one leaves"
        )

    def _attempt(self, step: Callable[[], None], consequence: str) -> bool:
        """Do it; a refusal of the system is told once until it passes."""
        try:
            step()
        except OSError as error:
            if consequence not in self._troubles:
                self._troubles.add(consequence)
                say(f"{reason_of(error)}. Until that is mended, {consequence}.")
            return False
        self._troubles.discard(consequence)
        return True

    def _crashed(self, child: Child) -> None:
        assert child.process
        code, name = child.process.returncode, child.command.name
        if code == -signal.SIGILL:
            self._members.remove(child)
            say(f"{name}: this processor is too old for it, so it stays off; attach an engine of your own.")
            return
        pause = child.plan_restart()
        end = f"was ended by signal {-code}" if code < 0 else f"ended by itself with code {code}"
        say(f"{name} {end}; it starts again in {pause:.1f} s (log: {child.command.log}).")

    def drain(self, name: str, seconds: float, *, is_cut_short: Callable[[], bool]) -> None:
        """Let one child finish its work: ask it once and wait until it ended."""
        finishing = [child for child in self._members if child.command.name == name]
        _signal(finishing, signal.SIGTERM)
        _wait(finishing, seconds, or_when=is_cut_short)

    def end(self, *, last: str) -> None:
        """End everybody, `last` after the others because they may still write to it."""
        before = [child for child in self._members if child.command.name != last]
        after = [child for child in self._members if child.command.name == last]
        _signal(before, signal.SIGTERM)
        _wait(before, ASK_AGAIN_SECONDS)
        # The second request tells the runner to put down its work where it stands.
        _signal(before, signal.SIGTERM)
        _wait(before, END_SECONDS - ASK_AGAIN_SECONDS)
        _kill(before)
        _signal(after, signal.SIGTERM)
        _wait(after, REDIS_END_SECONDS)
        _kill(after)
        self._members.clear()
        with suppress(FileNotFoundError):
            self._record.unlink()


def _signal(members: Iterable[Child], number: signal.Signals) -> None:
    for child in members:
        if child.is_running:
            child.send(number)


def _wait(members: list[Child], seconds: float, *, or_when: Callable[[], bool] = lambda: False) -> None:
    end = time.monotonic() + seconds
    while any(child.is_running for child in members) and time.monotonic() < end and not or_when():
        time.sleep(POLL_SECONDS)


def _kill(members: list[Child]) -> None:
    """End whatever is left, and what a child itself had started in its group."""
    for child in members:
        child.send(signal.SIGKILL)
        if child.process:
            child.process.wait()
