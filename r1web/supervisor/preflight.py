"""What can be known to go wrong before any slow step, told in one sentence each."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from r1web.supervisor.arguments import Arguments
from r1web.supervisor.failure import CannotGoOn

# The environment takes 365 MB and its wheels 80 MB while they are unpacked.
INSTALL_BYTES = 600 * 1024 * 1024
RUN_BYTES = 100 * 1024 * 1024


def check(arguments: Arguments, *, installs: bool, root: Path) -> None:
    """Raise CannotGoOn when the site could not be set up or started here."""
    _writable(arguments.data)
    _space(arguments.data, RUN_BYTES)
    if installs:
        _writable(root)
        _space(root, INSTALL_BYTES)
    _alone(arguments.data)
    if arguments.is_host:
        _is_no_site(arguments.data)
        return
    _port_is_free(arguments.host, arguments.port)
    if arguments.redis_bind:
        _may_bind_redis(arguments.redis_bind)
    file = arguments.admin_password_file
    if file and not os.access(file, os.R_OK):
        raise CannotGoOn(f"The password file {file} cannot be read: check its name and rights.")


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except (PermissionError, FileExistsError, NotADirectoryError):
        raise CannotGoOn(
            f"R1 Web may not write in {folder}: give this user the right to, or choose another place with --data DIR."
        ) from None


def _space(folder: Path, least: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < least:
        raise CannotGoOn(
            f"Only {free >> 20} MB are free on the disk of {folder}, and {least >> 20} MB are needed: "
            "free some space and start again."
        )


def _alone(data: Path) -> None:
    """The real lock is taken by the supervisor; this only tells early, before a long installation."""
    try:
        with (data / "site.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError:
        raise CannotGoOn(already_running(data)) from None


def already_running(data: Path) -> str:
    with suppress(OSError):
        holder = (data / "site.lock").read_text().strip()
        return f"R1 Web runs already from {data} (process {holder}): stop it first, or choose another --data DIR."
    return f"R1 Web runs already from {data}: stop it first, or choose another --data DIR."


def _port_is_free(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise CannotGoOn(f"{host} is no address of this machine: choose one with --host ADDR.") from None
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise CannotGoOn(f"Only root may use port {port}: choose one above 1023 with --port N.") from None
        except OSError as error:
            raise CannotGoOn(_taken(host, port, error)) from None


def _is_no_site(data: Path) -> None:
    if (data / "db.sqlite3").exists():
        raise CannotGoOn(f"A site lives in {data}, so this cannot be a host there: choose another --data DIR.")


def _may_bind_redis(place: str) -> None:
    if os.environ.get("REDIS_URL"):
        raise CannotGoOn("--redis-bind is for the built-in Redis, and REDIS_URL names another: leave one of them out.")
    address, _, port = place.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.strip("[]"), int(port)))
        except OSError as error:
            raise CannotGoOn(
                f"Redis cannot listen on {place} ({error.strerror}): choose another place with --redis-bind ADDR:PORT."
            ) from None


def _taken(host: str, port: int, error: OSError) -> str:
    if "assign" in str(error).lower():
        return f"{host} is no address of this machine: choose one with --host ADDR."
    free = next((other for other in range(port + 1, min(port + 50, 65536)) if _binds(other)), None)
    hint = f"--port {free}" if free else "another --port"
    return f"Port {port} is taken by another program: stop that one, or start with {hint}."


def _binds(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
