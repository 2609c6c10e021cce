"""The supervisor: brings the site up, looks after its processes, ends them."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable
from types import FrameType

from r1web.supervisor import (
    children,
    engine,
    health,
    programs,
    redis_server,
    servers,
    settings_file,
    setup,
    site_settings,
)
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.crew import Crew
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site
from r1web.supervisor.terminal import say, seconds_since_beginning, step

READY_SECONDS = 90.0
# How often the end of a wait is looked for while the site starts.
POLL_SECONDS = 0.05
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
        site_settings.check(self._site.environment())
        self._clear_remains()
        setup.prepare_clone()
        # From here on every file is the site's own: nobody else on the machine has to read it.
        os.umask(0o077)
        settings_file.save(self._site.data, self._site.environment())
        collecting = setup.collect_files(self._site)
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
            self._crew.start(programs.web(self._site))
            self._crew.start(programs.runner(self._site))
            model_end = time.monotonic() + engine.READY_SECONDS
            admin = setup.first_admin(self._site)
            self._attach_engine(model_end)
            link = setup.open_link(self._site)
            if admin:
                link = admin.output(failing_means="The first administrator could not be prepared")
                setup.keep_link(self._site, link)
            obstacle = self._wait_until_ready(model_end)
        self._tell(link, obstacle)

    def _attach_engine(self, model_end: float) -> None:
        """Make the engine known to the site once it answers; one that stays silent is made known as such."""
        number = self._engine_port
        if number is None or setup.knows_engine(self._site, number):
            return
        answers = self._wait_for(self._engine_answers, model_end)
        setup.attach_engine(self._site, number, is_lasting=answers)

    def _engine_answers(self) -> bool:
        return self._engine_port is not None and engine.answers(self._engine_port)

    def _wait_for(self, holds: Callable[[], bool], end: float) -> bool:
        """Look after the children until something holds or the clock says `end`; returns whether it holds."""
        while not (is_so := holds()) and time.monotonic() < end:
            self._crew.tend()
            time.sleep(POLL_SECONDS)
        return is_so

    def _wait_until_ready(self, model_end: float) -> str:
        """Wait for the site, then for a model; returns why no answer can be had yet, or ''."""
        if not self._wait_for(lambda: health.missing(self._site) <= {"model"}, time.monotonic() + READY_SECONDS):
            missing = ", ".join(sorted(health.missing(self._site)))
            raise CannotGoOn(f"The site did not get ready ({missing}): the logs in {self._site.logs} say why.")
        if self._engine_port is None:
            is_served = not health.missing(self._site)
            return "" if is_served else "it has no model that answers: attach an engine (docs/engines.md)."
        if not self._wait_for(self._engine_answers, model_end):
            return f"the built-in engine does not answer: {self._site.logs / 'engine.log'} says why."
        if not self._wait_for(lambda: not health.missing(self._site), model_end):
            return f"no model is ready: {self._site.logs / 'runner.log'} may say why."
        return ""

    def _tell(self, link: str, obstacle: str) -> None:
        addresses = self._site.addresses()
        seconds = seconds_since_beginning()
        if obstacle:
            say(f"\nUp after {seconds:.1f} s, but no question can be answered yet: {obstacle}")
        else:
            say(f"\nReady after {seconds:.1f} s.")
        say(f"  Chat    {'  '.join(f'{address}/' for address in addresses)}")
        say(f"  Admin   {addresses[0]}/admin/")
        if link.startswith("/"):
            say(f"  Set-up  {addresses[0]}{link}   (once: makes the administrator)")
        if self._site.data != ROOT / "var":
            say(f"  Manage  R1WEB_DATA={shlex.quote(str(self._site.data))} bin/manage …")
        say(f"  Logs    {self._site.logs}   Ctrl-C ends the site.")

    def _end(self) -> None:
        if self._requests.wants_end and not self._requests.wants_hurry:
            seconds = float(os.environ.get("R1WEB_DRAIN_SECONDS", "") or 30)
            say(f"Running answers may finish, for up to {seconds:.0f} s.")
            self._crew.drain("Runner", seconds, is_cut_short=lambda: self._requests.wants_hurry)
        self._crew.end(last="Redis")
        servers.end(self._site)
        setup.fold_database(self._site)
        if self._site.has_own_redis:
            self._site.redis_socket.unlink(missing_ok=True)
            if self._site.redis_socket.parent != self._site.data:
                self._site.redis_socket.parent.rmdir()
        say("Everything has ended.")
