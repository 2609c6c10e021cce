"""How the web server, the runner and a host's agent are started."""

from __future__ import annotations

import os
import sys

from r1web.supervisor.children import Command
from r1web.supervisor.site import Site

# Orders at once on a host: each pull takes one for as long as it lasts.
AGENT_TASKS = "16"


def web(site: Site) -> Command:
    host, port = site.arguments.host, site.arguments.port
    listen = ["-b", host, "-p", str(port)]
    if site.arguments.tls:
        # Loading the cryptography library takes 10 MB: only where it is needed.
        from r1web.supervisor import certificate

        public, private = (_escaped(str(path)) for path in certificate.files(site.data, site.hosts))
        listen = ["-e", f"ssl:{port}:privateKey={private}:certKey={public}:interface={_escaped(host)}"]
    words = [sys.executable, "-m", "r1web.web", *listen]
    return Command("Web server", words, site.process_environment(), site.logs / "web.log")


def _escaped(text: str) -> str:
    """Colons part the words of Twisted's endpoint descriptions."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


def runner(site: Site) -> Command:
    streams = os.environ.get("R1WEB_RUNNER_STREAMS", "") or "250"
    words = [
        sys.executable, "-m", "celery", "-A", "r1web.celery", "worker", "-P", "threads", "-c", streams,
        "-Q", "run,host.local",  # on one machine the runner is the host's agent too
        "--without-gossip", "--without-mingle", "--without-heartbeat", "-n", "runner@%h", "--loglevel", "INFO",
    ]  # fmt: skip
    # Django's checks belong to bin/check: here they would load every page's code and delay the start.
    values = {**site.process_environment(), "CELERY_SKIP_CHECKS": "1"}
    return Command("Runner", words, values, site.logs / "runner.log")


def agent(site: Site, queue: str) -> Command:
    """On a machine that joined a site: it takes the orders of its own queue and knows no database."""
    words = [
        sys.executable, "-m", "celery", "-A", "models_admin.agents.agent_app", "worker", "-P", "threads",
        "-c", AGENT_TASKS, "-Q", queue, "--without-gossip", "--without-mingle", "--without-heartbeat", "-n", "agent@%h",
        "--loglevel", "INFO",
    ]  # fmt: skip
    return Command("Agent", words, site.host_environment(), site.logs / "agent.log")
