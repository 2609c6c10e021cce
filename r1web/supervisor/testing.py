"""What bin/test runs: the checks, pytest on SQLite, the concurrent tests again on PostgreSQL, the scripts' tests.

`--long` adds what takes minutes; `--engine NAME` runs only what asks a real engine, on the CPU, and installs it first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from r1web.supervisor import browser_libraries, environment, throwaway_postgres, translations
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.terminal import say, step

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Also run what takes minutes: random faults, soak.
LONG = "--long"
# Two lanes beside that of all other tests: their processes start, wait and are killed, and mostly wait.
JOURNEYS = ("tests/journeys",)
FAULTS = ("tests/faults", "tests/api/test_openai_client.py", "tests/chat/test_stages.py")
# Behind all others: they take a processor each, while the lanes wait.
STARTS = ("tests/supervisor",)
ENGINES = ("vllm", "sglang")


def main(words: list[str]) -> int:
    engines, words = _engines(words)
    with tempfile.TemporaryDirectory(prefix="r1web-test-") as data:
        values = {**os.environ, "R1WEB_DATA": data, "PYTHONPATH": str(ROOT)}
        for name in ("DATABASE_URL", "REDIS_URL"):
            values.pop(name, None)
        try:
            statuses = _against(engines, values, words) if engines else _without_engines(values, words)
        except CannotGoOn as problem:
            print(problem, file=sys.stderr)
            return 2
    say("All is well." if not any(statuses) else "Something failed: see above.")
    return 1 if any(statuses) else 0


def _engines(words: list[str]) -> tuple[list[str], list[str]]:
    """Engines that were named, and the other words. Ends the program with a sentence if there is no such engine."""
    parser = argparse.ArgumentParser(prog="bin/test", add_help=False, allow_abbrev=False, usage="bin/test [WORDS]")
    parser.add_argument("--engine", action="append", choices=ENGINES, default=[], metavar="NAME")
    options, others = parser.parse_known_args(words)
    return options.engine, others


def _without_engines(values: Mapping[str, str], words: list[str]) -> list[int]:
    _prepare(values)
    return _everything(values, words) if set(words) <= {LONG} else _some(values, words)


def _against(engines: list[str], values: Mapping[str, str], words: list[str]) -> list[int]:
    """Needs neither browser nor PostgreSQL."""
    if _run([sys.executable, "-m", "tests.real_engines.prepare"], values):
        raise CannotGoOn("Nothing was tested.")
    return _some(values, [*words, *(f"--engine={name}" for name in engines)])


def _prepare(values: Mapping[str, str]) -> None:
    _require("chromium", _has_browser)
    _require("postgresql", lambda: bool(throwaway_postgres.programs()))
    # A lock of its own: the wheel asks for an engine that has no wheel, and only its file is wanted.
    environment.prepare("test-model")
    if not browser_libraries.are_current():
        with step("Browser libraries"):
            browser_libraries.prepare()
    translations.compile_all()
    with step("Static files"):
        _run([sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"], values)


def _has_browser() -> bool:
    return any(map(shutil.which, CHROMIUM_NAMES))


def _require(name: str, is_there: Callable[[], bool]) -> None:
    """Have it, or install it from the system; tests that are left out would look like tests that passed."""
    if not is_there() and os.geteuid() == 0 and shutil.which("apt-get"):
        with step(f"Installing {name}"):
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "update", "-qq"], env=quiet, capture_output=True)
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", name], env=quiet)
    if not is_there():
        raise CannotGoOn(f"The tests need {name}: install it (Debian, Ubuntu: apt-get install {name}), start again.")


def _everything(values: Mapping[str, str], words: list[str]) -> list[int]:
    with ExitStack() as ending:
        lanes = [ending.enter_context(_lane(values, words, places)) for places in (JOURNEYS, FAULTS)]
        statuses = [
            _run([sys.executable, "-m", "r1web.supervisor.checks"], values),
            _run(["node", "--test", *_script_tests()], {**values, "PATH": _with_node()}),
            *_some(values, [*words, *(f"--ignore={place}" for place in (*JOURNEYS, *FAULTS, *STARTS))]),
            _on_postgres(values),
            *_some(values, [*words, *STARTS]),
        ]
        return [*statuses, *(lane.status() for lane in lanes)]


@dataclass(frozen=True)
class Lane:
    """One pytest under way beside the others."""

    places: tuple[str, ...]
    process: subprocess.Popen[bytes]
    told: IO[bytes]

    def status(self) -> int:
        """Wait for its end and print what it told."""
        status = self.process.wait()
        say(f"Beside them, {', '.join(self.places)}:")
        self.told.seek(0)
        sys.stdout.write(self.told.read().decode("utf-8", "replace"))
        return status


@contextmanager
def _lane(values: Mapping[str, str], words: list[str], places: tuple[str, ...]) -> Iterator[Lane]:
    """Start a lane in a data folder of its own."""
    data = Path(values["R1WEB_DATA"])
    own = Path(tempfile.mkdtemp(prefix="lane-", dir=data))
    (own / "staticfiles").symlink_to(data / "staticfiles")
    command = [sys.executable, *_pytest([*words, *places])]
    environment = {**values, "R1WEB_DATA": str(own)}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=told, stderr=subprocess.STDOUT)
        try:
            yield Lane(places, process, told)
        finally:
            process.kill()


def _some(values: Mapping[str, str], words: list[str]) -> list[int]:
    return [_run([sys.executable, *_pytest(words)], values)]


def _pytest(words: list[str]) -> list[str]:
    chosen = [word for word in words if word != LONG]
    if LONG not in words and "-m" not in words:
        chosen += ["-m", "not long"]
    return ["-m", "pytest", "--durations=10", *chosen]


def _on_postgres(values: Mapping[str, str]) -> int:
    with throwaway_postgres.running() as url:
        say("The concurrent tests again, on PostgreSQL:")
        return _run([sys.executable, "-m", "pytest", "-m", "concurrent"], {**values, "DATABASE_URL": url})


def _script_tests() -> list[str]:
    return [str(path) for path in sorted((ROOT / "tests" / "js").glob("**/*.test.*js"))]


def _with_node() -> str:
    """PATH with a Node at its end: Playwright's wheel brings one."""
    import playwright

    bundled = Path(playwright.__file__).parent / "driver"
    return os.pathsep.join([os.environ.get("PATH", ""), str(bundled)])


def _run(command: list[str], values: Mapping[str, str]) -> int:
    path = shutil.which(command[0], path=values.get("PATH"))
    return subprocess.run([path or command[0], *command[1:]], cwd=ROOT, env=dict(values)).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
