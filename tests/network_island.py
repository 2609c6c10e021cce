"""A machine of its own as far as a network goes: a namespace behind a cable (veth) that tests cut and mend."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


class NotAllowed(Exception):
    """Why no namespace can be made here."""


@dataclass(frozen=True)
class Island:
    """Its processes reach `home`, an address of this machine, and nothing else; `address` is their own."""

    name: str
    home: str
    address: str

    @property
    def words(self) -> tuple[str, ...]:
        """What a program is started through to run there."""
        return ("ip", "netns", "exec", self.name)

    @property
    def pids(self) -> set[int]:
        return {int(line) for line in _ip("netns", "pids", self.name).split()}

    def cut(self) -> None:
        """From the other side: here nothing is told but silence."""
        _ip("-n", self.name, "link", "set", "far", "down")

    def mend(self) -> None:
        _ip("-n", self.name, "link", "set", "far", "up")

    def kill_all(self) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def island() -> Iterator[Island]:
    """Raises NotAllowed."""
    mark, net = secrets.token_hex(3), f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}"
    made, near = Island(f"r1-{mark}", f"{net}.1", f"{net}.2"), f"r1-{mark}"
    try:
        _ip("netns", "add", made.name)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotAllowed(f"no network namespaces here: {error}") from error
    try:
        _lay_cable(made, near)
        yield made
    finally:
        made.kill_all()
        _ip("netns", "delete", made.name)


def _lay_cable(made: Island, near: str) -> None:
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", made.name)
        _ip("addr", "add", f"{made.home}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", made.name, "addr", "add", f"{made.address}/30", "dev", "far")
        for name in ("lo", "far"):
            _ip("-n", made.name, "link", "set", name, "up")
    except subprocess.CalledProcessError as error:
        raise NotAllowed(f"no cables between namespaces here: {error}") from error


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30).stdout
