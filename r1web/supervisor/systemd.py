"""A unit file for machines that start the site at boot."""

from __future__ import annotations

import getpass
import os
import shlex
import sys

from r1web.supervisor.arguments import ROOT, Arguments

UNIT = """\
# Save as /etc/systemd/system/r1web.service, then: systemctl enable --now r1web
[Unit]
Description=R1 Web
After=network-online.target
Wants=network-online.target

[Service]
User={user}
WorkingDirectory={root}
ExecStart={command}
Restart=on-failure
RestartSec=2
# SIGTERM goes to the supervisor alone: it lets running answers finish, then ends its children.
KillMode=mixed
TimeoutStopSec={stop_seconds}
NoNewPrivileges=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target"""


def unit(arguments: Arguments) -> str:
    words = [sys.executable, str(ROOT / "bin" / "up"), "--port", str(arguments.port), "--host", arguments.host]
    words += ["--data", str(arguments.data)]
    if arguments.tls:
        words.append("--tls")
    drain = int(os.environ.get("R1WEB_DRAIN_SECONDS", "") or 30)
    command = shlex.join(words)
    return UNIT.format(user=getpass.getuser(), root=ROOT, command=command, stop_seconds=drain + 15)
