"""A unit file for machines that start the site at boot."""

from __future__ import annotations

import getpass
import os
import re
import sys

from r1web.supervisor.arguments import ROOT, Arguments
from r1web.supervisor.terminal import BEGAN

PLAIN = re.compile(r"[\w@%+=:,./$\[\]-]+", re.ASCII)
UNIT = """\
# Save as /etc/systemd/system/r1web.service, then: systemctl enable --now r1web
[Unit]
Description=R1 Web
After=network-online.target
Wants=network-online.target

[Service]
User={user}
WorkingDirectory={root}
{environment}ExecStart={command}
Restart=on-failure
RestartSec=2
# SIGTERM goes to the supervisor alone: it lets running answers finish, then ends its children.
KillMode=mixed
TimeoutStopSec={stop_seconds}
NoNewPrivileges=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target"""


IN_COMMAND = ("R1WEB_DATA", "R1WEB_PORT", BEGAN)
# Addresses that hold passwords: a unit file is readable by everybody.
SECRET = ("DATABASE_URL", "REDIS_URL")
ENVIRONMENT_FILE = """\
# {names}: write as NAME=value into this file, for its owner alone (chmod 600).
EnvironmentFile=/etc/r1web.env
"""


def unit(arguments: Arguments) -> str:
    words = [sys.executable, str(ROOT / "bin" / "up")]
    # A host that joined needs nothing else, and a join code is good for once only.
    words += [] if arguments.is_host else ["--port", str(arguments.port), "--host", arguments.host]
    words += ["--data", str(arguments.data)]
    if arguments.redis_bind:
        words += ["--redis-bind", arguments.redis_bind]
    if arguments.admin_password_file:
        words += ["--admin-password-file", str(arguments.admin_password_file)]
    if arguments.tls:
        words.append("--tls")
    return UNIT.format(
        user=getpass.getuser(),
        root=ROOT,
        environment=_environment(),
        command=" ".join(_quoted(word, is_command=True) for word in words),
        stop_seconds=int(os.environ.get("R1WEB_DRAIN_SECONDS", "") or 30) + 15,
    )


def _environment() -> str:
    """The settings under which the unit was asked for."""
    lines = ""
    for name, value in sorted(os.environ.items()):
        if name.startswith("R1WEB_") and name not in IN_COMMAND and value:
            lines += f"Environment={_quoted(f'{name}={value}')}\n"
    secret = [name for name in SECRET if os.environ.get(name)]
    return lines + (ENVIRONMENT_FILE.format(names=", ".join(secret)) if secret else "")


def _quoted(word: str, *, is_command: bool = False) -> str:
    """As systemd reads it: % and, in commands, $ stand for something unless doubled."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if is_command:
        word = word.replace("$", "$$")
    return word if PLAIN.fullmatch(word) else f'"{word}"'
