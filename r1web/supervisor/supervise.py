"""The supervisor: brings the site up, looks after its processes, ends them."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

import psutil

from r1web.supervisor import children, engine, health, redis_server, settings_file, setup
from r1web.supervisor.children import Command
from r1web.supervisor.crew import Crew
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site
from r1web.supervisor.terminal import say, step

READY_SECONDS = 90.0
TICK_SECONDS = 0.1


class Interrupted(Exception):
    """A signal asked for the end while the site was still being set up."""


class Requests:
    """Signals that ask for the end; during set-up they interrupt at once."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.interrupts = True

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # nohup has the hang-up ignored, and so it stays.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        if self.interrupts:
            self.interrupts = False
            raise Interrupted

    @property
    def wants_end(self) -> bool:
        return bool(self.received)

    @property
    def wants_hurry(self) -> bool:
        return len(self.received) > 1 or any(number != signal.SIGTERM for number in self.received)


class Supervisor:
    """One site, from set-up to the last child's end."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._record = site.data / "children.json"
        self._crew = Crew(self._record)
        self._requests = Requests()
        self._engine_port: int | None = None

    def run(self) -> int:
        """Return the process's exit status."""
        self._requests.listen()
        try:
            self._bring_up()
            self._requests.interrupts = False
            while not self._requests.wants_end:
                self._crew.tend()
                time.sleep(TICK_SECONDS)
        except Interrupted:
            say("Stopped before the site was up.")
        finally:
            self._requests.interrupts = False
            self._end()
        return 0

    def _bring_up(self) -> None:
        self._clear_remains()
        settings_file.save(self._site.data, self._site.environment())
        collecting = setup.prepare_files(self._site)
        self._start_services()
        setup.migrate(self._site)
        setup.finish_files(self._site, collecting)
        if self._site.has_own_redis:
            redis_server.wait(self._site)
        self._start_site()

    def _clear_remains(self) -> None:
        orphans = children.end_orphans(self._record)
        if orphans:
            say(f"  Ended what an earlier start left running: {', '.join(orphans)}.")
        if self._site.has_own_redis:
            self._site.redis_socket.unlink(missing_ok=True)

    def _start_services(self) -> None:
        if self._site.has_own_redis:
            self._crew.start(redis_server.command(self._site))
        obstacle = engine.obstacle()
        if obstacle:
            say(f"  {obstacle}")
            return
        self._engine_port = engine.port(self._site)
        self._crew.start(engine.command(self._site, self._engine_port))

    def _start_site(self) -> None:
        with step("Web server and runner"):
            self._crew.start(_web(self._site))
            self._crew.start(_runner(self._site))
            admin = setup.first_admin(self._site)
            if self._engine_port:
                for _ in setup.attach_engine(self._site, self._engine_port):
                    engine.wait(self._site, self._engine_port)
            link = admin.output(failing_means="The first administrator could not be prepared") if admin else ""
            self._wait_until_ready()
        self._tell(link.splitlines()[-1] if link else "")

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while not health.is_ready(self._site, has_engine=self._engine_port is not None):
            self._crew.tend()
            if time.monotonic() > end:
                missing = health.open_checks(self._site)
                raise CannotGoOn(f"The site did not get ready ({missing}): the logs in {self._site.logs} say why.")
            time.sleep(2 * TICK_SECONDS)

    def _tell(self, link: str) -> None:
        addresses = self._site.addresses()
        seconds = time.time() - psutil.Process().create_time()
        say(f"\nReady after {seconds:.1f} s.")
        say(f"  Chat    {'  '.join(f'{address}/' for address in addresses)}")
        say(f"  Admin   {addresses[0]}/admin/")
        if link.startswith("/"):
            say(f"  Set-up  {addresses[0]}{link}   (once: makes the administrator)")
        say(f"  Logs    {self._site.logs}   Ctrl-C ends the site.")

    def _end(self) -> None:
        if self._requests.wants_end and not self._requests.wants_hurry:
            seconds = float(os.environ.get("R1WEB_DRAIN_SECONDS", "") or 30)
            say(f"Running answers may finish, for up to {seconds:.0f} s.")
            self._crew.drain("Runner", seconds, is_cut_short=lambda: self._requests.wants_hurry)
        self._crew.end(last="Redis")
        if self._site.has_own_redis:
            self._site.redis_socket.unlink(missing_ok=True)
            if self._site.redis_socket.parent != self._site.data:
                self._site.redis_socket.parent.rmdir()
        say("Everything has ended.")


def _web(site: Site) -> Command:
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


def _runner(site: Site) -> Command:
    streams = os.environ.get("R1WEB_RUNNER_STREAMS", "") or "250"
    words = [
        sys.executable, "-m", "celery", "-A", "r1web.celery", "worker", "-P", "threads", "-c", streams, "-Q", "run",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "-n", "runner@%h", "--loglevel", "INFO",
    ]  # fmt: skip
    return Command("Runner", words, site.process_environment(), site.logs / "runner.log")
