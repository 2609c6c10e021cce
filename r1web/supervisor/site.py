"""Where a site keeps what, and the environment that all its processes get."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psutil

from r1web.supervisor import stamps
from r1web.supervisor.arguments import ROOT, Arguments
from r1web.supervisor.failure import CannotGoOn

# The shortest limit among the systems: macOS allows 104 bytes with the closing NUL.
SOCKET_PATH_BYTES = 100
# glibc keeps freed memory apart for each thread, and our few threads free much of it at once.
OURS = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


@dataclass(frozen=True)
class Site:
    """One data directory and the addresses at which it is served."""

    arguments: Arguments

    @property
    def data(self) -> Path:
        return self.arguments.data

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def scheme(self) -> str:
        return "https" if self.arguments.tls else "http"

    @cached_property
    def has_own_redis(self) -> bool:
        return not os.environ.get("REDIS_URL")

    @cached_property
    def database_path(self) -> Path | None:
        """The SQLite file, or None when a database server is used."""
        url = os.environ.get("DATABASE_URL", "")
        if not url:
            return self.data / "db.sqlite3"
        return Path(url.removeprefix("sqlite://")) if url.startswith("sqlite:") else None

    @property
    def secret_key_file(self) -> Path:
        named = os.environ.get("R1WEB_SECRET_KEY_FILE", "")
        return Path(named).expanduser().absolute() if named else self.data / "secret_key"

    @cached_property
    def redis_password(self) -> str:
        return _kept_secret(self.data / "redis.key")

    @cached_property
    def redis_socket(self) -> Path:
        wanted = self.data / "redis.sock"
        if len(os.fsencode(wanted)) <= SOCKET_PATH_BYTES:
            return wanted
        return _private_folder(self.data) / "redis.sock"

    @cached_property
    def hosts(self) -> list[str]:
        """Every name and address under which a browser may ask for the site."""
        extra = [word for word in os.environ.get("R1WEB_HOSTS", "").split(",") if word]
        return list(dict.fromkeys([*LOOPBACK, *self._listening_names(), *extra]))

    def _listening_names(self) -> list[str]:
        host = self.arguments.host
        if host not in {"0.0.0.0", "::"}:  # nosec B104
            return [_bracketed(host)]
        name = socket.gethostname().lower()
        return [*lan_addresses(), name, f"{name.partition('.')[0]}.local"]

    def environment(self) -> dict[str, str]:
        """The variables that differ from the defaults; kept for bin/manage too."""
        values = {
            "R1WEB_DATA": str(self.data),
            "R1WEB_SECRET_KEY_FILE": str(self.secret_key_file),
            "R1WEB_HOSTS": ",".join(self.hosts),
            "R1WEB_PORT": str(self.arguments.port),
            "R1WEB_HTTPS": "1" if self.arguments.tls else os.environ.get("R1WEB_HTTPS", "0"),
            "DJANGO_SETTINGS_MODULE": "r1web.settings",
        }
        if self.has_own_redis:
            values["REDIS_URL"] = f"unix://:{quote(self.redis_password)}@{quote(str(self.redis_socket))}?db=0"
        else:
            values["REDIS_URL"] = os.environ["REDIS_URL"]
        if url := os.environ.get("DATABASE_URL"):
            values["DATABASE_URL"] = url
        if self.arguments.redis_bind:
            values["R1WEB_REDIS_ADDRESS"] = self.arguments.redis_bind
        return values

    def process_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
        return {**inherited, **self.environment(), **OURS}

    def host_environment(self) -> dict[str, str]:
        """For the agent of a machine that joined a site: nothing leads it to a database, or to another Redis."""
        left_out = {"PYTHONHOME", "DATABASE_URL", "REDIS_URL"}
        inherited = {name: value for name, value in os.environ.items() if name not in left_out}
        values = {"R1WEB_DATA": str(self.data), "R1WEB_AGENT": "1", "DJANGO_SETTINGS_MODULE": "r1web.settings"}
        # Django's checks look at pages and tables, of which there are none.
        return {**inherited, **OURS, **values, "CELERY_SKIP_CHECKS": "1"}

    def addresses(self) -> list[str]:
        """Where people find the site: this machine first, then the network."""
        host, port = self.arguments.host, self.arguments.port
        if host in {"0.0.0.0", "::"}:  # nosec B104
            names = ["localhost", *(name for name in lan_addresses() if ":" not in name and name != "127.0.0.1")]
        else:
            names = ["localhost" if host == "127.0.0.1" else _bracketed(host)]
        return [f"{self.scheme}://{name}:{port}" for name in names]


def lan_addresses() -> list[str]:
    """Addresses of this machine; IPv6 in brackets, without link-local ones."""
    found = []
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family in {socket.AF_INET, socket.AF_INET6} and not entry.address.lower().startswith("fe80"):
                found.append(_bracketed(entry.address))
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _kept_secret(path: Path) -> str:
    if path.exists():
        return path.read_text().strip()
    value = secrets.token_urlsafe(32)
    stamps.write_private(path, value + "\n")
    return value


def _private_folder(data: Path) -> Path:
    """A short directory for sockets that nobody else on the machine can enter."""
    folder = Path(tempfile.gettempdir()) / f"r1web-{stamps.digest_of(str(data))[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or folder.is_symlink():
        raise CannotGoOn(f"{folder} belongs to somebody else: remove it, or choose a shorter --data DIR.")
    return folder
