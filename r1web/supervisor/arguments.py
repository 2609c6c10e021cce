"""The command line of bin/up."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPILOGUE = """\
State, logs and the database lie in var/ (or --data DIR, or R1WEB_DATA). DATABASE_URL and REDIS_URL, when set,
replace the built-in database and Redis. Ctrl-C ends everything; SIGTERM lets running answers finish first.
The other settings are in docs/settings.md."""


@dataclass(frozen=True)
class Arguments:
    """What bin/up was asked for; `port` 1 to 65535."""

    port: int
    host: str
    data: Path
    admin_password_file: Path | None
    tls: bool
    systemd: bool


def parse(words: list[str]) -> Arguments:
    options = _parser().parse_args(words)
    data = options.data or os.environ.get("R1WEB_DATA") or str(ROOT / "var")
    file = options.admin_password_file
    return Arguments(
        port=options.port,
        host=options.host,
        data=Path(data).expanduser().absolute(),
        admin_password_file=Path(file).expanduser().absolute() if file else None,
        tls=options.tls,
        systemd=options.systemd,
    )


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
    add("--systemd", action="store_true", help="print a systemd unit for this command and end")
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 1 to 65535")
