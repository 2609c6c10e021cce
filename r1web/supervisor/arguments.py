"""The command line of bin/up."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
REDIS_PORT = 6390
# In the data directory of a machine that joined a site: what its agent needs.
HOST_FILE = "host.json"
EPILOGUE = """\
State, logs and the database lie in var/ (or --data DIR, or R1WEB_DATA). DATABASE_URL and REDIS_URL, when set,
replace the built-in database and Redis. Ctrl-C ends everything; SIGTERM lets running answers finish first.
A machine that has joined a site is started again by plain bin/up.
The other settings are in docs/settings.md."""


@dataclass(frozen=True)
class Arguments:
    """What bin/up was asked for; `port` 1 to 65535, `redis_bind` ADDR:PORT or ''.

    `join` is the URL of a site that this machine joins as a host, '' where it is a site itself or a host already.
    """

    port: int
    host: str
    data: Path
    admin_password_file: Path | None
    tls: bool
    systemd: bool
    redis_bind: str
    join: str
    code: str
    name: str
    certificate: Path | None

    @property
    def is_host(self) -> bool:
        """Whether this machine serves somebody else's site, or is about to."""
        return bool(self.join) or (self.data / HOST_FILE).exists()


def parse(words: list[str]) -> Arguments:
    parser = _parser()
    options = parser.parse_args(words)
    if bool(options.join) != bool(options.code):
        parser.error("--join URL and --code CODE belong together")
    data = options.data or os.environ.get("R1WEB_DATA") or str(ROOT / "var")
    if options.certificate and not options.join:
        parser.error("--certificate FILE is the site's, for --join")
    return Arguments(
        port=options.port,
        host=options.host,
        data=Path(data).expanduser().absolute(),
        admin_password_file=_file(options.admin_password_file),
        tls=options.tls,
        systemd=options.systemd,
        redis_bind=options.redis_bind or "",
        join=options.join or "",
        code=options.code,
        name=options.name or _own_name(),
        certificate=_file(options.certificate),
    )


def _file(named: str | None) -> Path | None:
    return Path(named).expanduser().absolute() if named else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bin/up",
        description="Set up and run R1 Web: chat with a model at http://localhost:8000/.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    port = os.environ.get("R1WEB_PORT", "") or "8000"
    add = parser.add_argument
    add("--port", type=_port, default=port, metavar="N", help="port of the site (8000)")
    add("--host", default="127.0.0.1", metavar="ADDR", help="address to listen on; 0.0.0.0 opens it to the network")
    add("--data", metavar="DIR", help="directory for all state (var/)")
    add("--admin-password-file", metavar="F", help="make the user admin with the password in this file")
    add("--tls", action="store_true", help="serve https with a certificate made here")
    add("--redis-bind", type=_place, metavar="ADDR", help="let hosts that join reach the built-in Redis")
    add("--join", type=_url, metavar="URL", help="make this machine a host of the site at URL")
    add("--code", default="", help="one-time code for --join, made in the site's admin")
    add("--name", default="", help="name of this host, with --join (the machine's own)")
    add("--certificate", metavar="FILE", help="the site's, with --join, where it made its own (--tls)")
    add("--systemd", action="store_true", help="print a systemd unit for this command and end")
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 1 to 65535")


def _place(text: str) -> str:
    """ADDR or ADDR:PORT as ADDR:PORT; IPv6 in brackets, without which no port follows it."""
    try:
        is_bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
        parts = urlsplit(f"//[{text}]" if is_bare_ipv6 else f"//{text}")
        ip, port = ipaddress.ip_address(parts.hostname or ""), parts.port or REDIS_PORT
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write it like 10.0.0.5 or 10.0.0.5:6390") from None
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def _url(text: str) -> str:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme in {"http", "https"} and parts.hostname and not parts.query and "@" not in parts.netloc:
        return parts.geturl().rstrip("/")
    raise argparse.ArgumentTypeError(f"{text!r} is no address of a site; write it like http://10.0.0.5:8000")


def _own_name() -> str:
    """The machine's name as a host may be called: a to z, 0 to 9 and -."""
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:40] or "host"
