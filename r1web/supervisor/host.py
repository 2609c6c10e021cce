"""The supervisor of a machine that joined a site: it brings up the agent and looks after it. No site lives here."""

from __future__ import annotations

import os
import socket
import time
from urllib.parse import urlsplit

from models_admin.hosts.membership import Membership
from r1web.supervisor import children, join, programs, servers
from r1web.supervisor.supervise import Supervisor
from r1web.supervisor.terminal import say, seconds_since_beginning, step

AGENT = "Agent"
REDIS_SECONDS = 5.0


class HostSupervisor(Supervisor):
    """One agent, from the join to its end."""

    def _bring_up(self) -> None:
        wanted = self._site.arguments
        os.umask(0o077)
        orphans = children.end_orphans(self._record)
        if orphans:
            say(f"  Ended what an earlier start left running: {', '.join(orphans)}.")
        if wanted.join:
            with step("Join"):
                member = join.join(wanted)
        else:
            member = join.known(wanted)
        with step(AGENT):
            self._crew.start(programs.agent(self._site, member.queue))
            is_reached = self._wait_for(lambda: _answers(member), time.monotonic() + REDIS_SECONDS)
        self._tell_host(member, is_reached)

    def _tell_host(self, member: Membership, is_reached: bool) -> None:
        say(f"\nReady after {seconds_since_beginning():.1f} s.")
        say(f"  Host    {member.name} of {member.site}, engines at {member.address}")
        if not is_reached:
            say(f"  Redis   {_place(member)} does not answer; the agent goes on trying (is its port open?)")
        say(f"  Logs    {self._site.logs}   Ctrl-C ends the agent.")

    def _end(self) -> None:
        self._crew.end(last="")
        servers.end(self._site)
        if self._requests.wants_end:
            say("Everything has ended.")


def _place(member: Membership) -> str:
    return urlsplit(member.redis_url).netloc.rpartition("@")[2]


def _answers(member: Membership) -> bool:
    parts = urlsplit(member.redis_url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), timeout=1):
            return True
    except OSError:
        return False
