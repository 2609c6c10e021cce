"""The real site on loopback for tests and the bench: Redis, database, runner, web, and the scripted engine."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from r1web.supervisor import redis_server
from tests.processes import ROOT, Process, until
from tests.running_engines import KEY, free_port

MODEL = "scripted"
_migrated: list[Path] = []


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in; `session` is the value of his cookie."""

    pk: int
    name: str
    session: str


class Stack:
    """All processes of one site in a folder of its own. `pace` in tokens/s and stream, 0 = as fast as possible."""

    def __init__(
        self, *, slots: int = 200, pace: float = 100, webs: int = 1, runners: int = 1, streams: int = 250, **more: str
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="r1s-"))
        self.slots, self.pace, self._database = slots, pace, _own_database(self.folder)
        self.password = secrets.token_hex(8)
        self.environment = self._environment(streams, more)
        self._shell: subprocess.Popen[str] | None = None
        self.redis = self._process("redis", self._redis_words())
        self.engine_port, self.engine_log = free_port(), self.folder / "engine.jsonl"
        self.engine = self._process("engine", self._engine_words())
        self.webs = [self._process(f"web{n}", self._web_words(free_port())) for n in range(webs)]
        self.runners = [self._process(f"runner{n}", self._runner_words(n, streams)) for n in range(runners)]

    @property
    def web(self) -> Process:
        return self.webs[0]

    @property
    def runner(self) -> Process:
        return self.runners[0]

    @property
    def processes(self) -> list[Process]:
        return [*self.webs, *self.runners, self.engine, self.redis]

    def start(self) -> Stack:
        self.redis.start()
        self.engine.start()
        if _migrated and "DATABASE_URL" not in self.environment:
            shutil.copy(_migrated[0], self.folder / "db.sqlite3")
        else:
            self._migrate()
        for process in (*self.webs, *self.runners):
            process.start()
        key_file = self.folder / "engine.key"
        key_file.write_text(KEY)
        self._until_engine_answers()
        words = ["attach_engine", self.engine_url, "--kind", "llama.cpp", "--model", MODEL, "--slots", str(self.slots)]
        self.manage(*words, "--context", "1000000", "--key-file", str(key_file))
        self.until_ready()
        return self

    def until_ready(self) -> None:
        for web in range(len(self.webs)):
            until(lambda web=web: self._answers(f"{self.url(web)}/healthz"), f"web {web} is ready", 90)

    def add_runner(self) -> Process:
        """One more runner beside the first, until the test ends it."""
        number, streams = len(self.runners), int(self.environment["R1WEB_RUNNER_STREAMS"])
        self.runners.append(self._process(f"runner{number}", self._runner_words(number, streams)).start())
        until(lambda: "ready." in self.runner_log(number), "another runner is ready", 60)
        return self.runners[number]

    def runner_log(self, number: int = 0) -> str:
        return self.runners[number].log.read_text(errors="replace")

    def add_web(self) -> int:
        """One more web server; returns its number."""
        self.webs.append(self._process(f"web{len(self.webs)}", self._web_words(free_port())).start())
        self.until_ready()
        return len(self.webs) - 1

    def revive(self) -> None:
        """Back to one web server and one runner, all awake; ends what a test added."""
        for process in (*self.webs[1:], *self.runners[1:]):
            process.end()
        del self.webs[1:], self.runners[1:]
        for process in (self.redis, self.engine, *self.webs, *self.runners):
            if not process.is_alive:
                process.start()
        self.set_slots(self.slots)
        self._until_engine_answers()
        self.until_ready()

    def set_slots(self, slots: int) -> None:
        self.orm("Deployment.objects.update(slots=slots)", slots=slots)

    def end(self) -> None:
        """All at once; only Redis waits, whom the others ask to their end."""
        if self._shell is not None:
            self._shell.stdin.close()  # type: ignore[union-attr]
        with ThreadPoolExecutor() as pool:
            list(pool.map(Process.end, (*self.webs, *self.runners, self.engine)))
        self.redis.end()
        if self._shell is not None:
            self._shell.wait(10)
        _drop_database(self._database)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _until_engine_answers(self) -> None:
        until(lambda: self._answers(f"{self.engine_url}/health"), "the engine is up", 60)

    @property
    def engine_url(self) -> str:
        return f"http://127.0.0.1:{self.engine_port}"

    def url(self, web: int = 0) -> str:
        return f"http://127.0.0.1:{self.webs[web].words[-1]}"

    def orm(self, code: str, **names: object) -> Any:
        """Run statements against the stack's database; what they leave in `result` comes back as JSON."""
        if self._shell is None:
            words = [sys.executable, "-m", "tests.stack_shell"]
            with (self.folder / "shell.log").open("ab") as log:
                self._shell = subprocess.Popen(
                    words, cwd=ROOT, env=self.environment, stdin=-1, stdout=-1, stderr=log, text=True
                )
        shell = self._shell
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write(json.dumps({"code": code, "names": names}, default=str) + "\n")
        shell.stdin.flush()
        answer = json.loads(shell.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def manage(self, *words: str) -> str:
        return str(self.orm("result = command(*words)", words=words))

    def person(self) -> Person:
        """Somebody new with an open session."""
        name = f"p{uuid.uuid4().hex[:10]}"
        pk, session = self.orm(
            "u = User.objects.create_user(name, password=None); s = SessionStore();"
            "s.update({'_auth_user_id': str(u.pk), '_auth_user_backend': 'django.contrib.auth.backends.ModelBackend',"
            "'_auth_user_hash': u.get_session_auth_hash()}); s.save(); result = [u.pk, s.session_key]",
            name=name,
        )
        return Person(pk, name, session)

    def engine_entries(self) -> list[dict[str, Any]]:
        """The engine's own account of its requests, oldest first."""
        return [json.loads(line) for line in self.engine_log.read_text().splitlines()]

    def busy_slots(self) -> int:
        """How many of the engine's slots are at work, by its own word."""
        request = urllib.request.Request(f"{self.engine_url}/slots", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=5) as response:
            return sum(slot["is_processing"] for slot in json.load(response))

    def redis_command(self, *words: str) -> Any:
        import redis

        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            return client.execute_command(*words)

    def _migrate(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        if "DATABASE_URL" not in self.environment:
            self.orm("from django.db import connection; connection.cursor().execute('PRAGMA wal_checkpoint(TRUNCATE)')")
            kept = Path(tempfile.mkdtemp(prefix="r1s-migrated-")) / "db.sqlite3"
            atexit.register(shutil.rmtree, kept.parent, ignore_errors=True)
            shutil.copy(self.folder / "db.sqlite3", kept)
            _migrated.append(kept)

    def _environment(self, streams: int, more: dict[str, str]) -> dict[str, str]:
        own = ("R1WEB_", "DATABASE_URL", "REDIS_URL", "PYTEST")
        values = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        values |= {
            "R1WEB_DATA": str(self.folder),
            "REDIS_URL": f"unix://:{self.password}@{self.folder}/redis.sock?db=0",
            "R1WEB_RUNNER_STREAMS": str(streams),
            # Calls that no test has made would stand in the engines' logs.
            "R1WEB_TITLES": "0",
            "R1WEB_RUNNING_PER_USER": "1000",
            "R1WEB_WAITING_PER_USER": "1000",
            "R1WEB_DRAIN_SECONDS": "20",
            "DJANGO_SETTINGS_MODULE": "r1web.settings",
            "MALLOC_ARENA_MAX": "2",  # as bin/up starts them
            "PYTHONPATH": str(ROOT),
            **more,
        }
        return values | ({"DATABASE_URL": self._database} if self._database else {})

    def _process(self, name: str, words: list[str]) -> Process:
        return Process(name, words, self.environment, self.folder)

    def _redis_words(self) -> list[str]:
        settings = f"--port 0 --requirepass {self.password} --appendonly yes --appendfsync everysec --daemonize no"
        place = ["--unixsocket", f"{self.folder}/redis.sock", "--dir", str(self.folder), "--save", ""]
        return [str(redis_server.binary()), *settings.split(), *place]

    def _engine_words(self) -> list[str]:
        words = [sys.executable, "-m", "tests.scripted_engine", "--port", str(self.engine_port), "--as", "llama.cpp"]
        words += ["--slots", str(self.slots), "--pace", str(self.pace), "--model", MODEL]
        return [*words, "--log", str(self.engine_log), "--key", KEY]

    def _web_words(self, port: int) -> list[str]:
        return [sys.executable, "-m", "r1web.web", "-b", "127.0.0.1", "-p", str(port)]

    def _runner_words(self, number: int, streams: int) -> list[str]:
        options = f"-P threads -c {streams} -Q run,host.local --without-gossip --without-mingle --without-heartbeat"
        words = [sys.executable, "-m", "celery", "-A", "r1web.celery", "worker", *options.split()]
        return [*words, "-n", f"runner{number}@%h", "--loglevel", "INFO"]

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _own_database(folder: Path) -> str:
    """A fresh database on the server of DATABASE_URL; empty for a SQLite file in the stack's folder."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return ""
    name = f"stack_{folder.name[4:].lower()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _drop_database(url: str) -> None:
    if url:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path[1:]}" WITH (FORCE)'.encode())
