"""The first half of bin/up, on whatever Python the machine has: checks, then the site's environment."""

from __future__ import annotations

import os
import sys

from r1web.supervisor import arguments, environment, preflight, settings_file, systemd
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn, sentence_for
from r1web.supervisor.terminal import note_beginning, say


def up(words: list[str]) -> int:
    """Prepare the environment, then become the supervisor inside it."""
    note_beginning()
    wanted = arguments.parse(words)
    if wanted.systemd:
        print(systemd.unit(wanted))
        return 0
    try:
        preflight.check(wanted, installs=not environment.is_ready(), root=ROOT)
        say("R1 Web")
        environment.prepare("runtime")
    except CannotGoOn as problem:
        return _fail(str(problem))
    except OSError as error:
        return _fail(sentence_for(error))
    except KeyboardInterrupt:
        return _fail("Stopped before the site was set up.")
    environment.keep_bytecode()
    # Not from ROOT: paths on the command line mean the folder in which it was typed.
    os.environ["PYTHONPATH"] = str(ROOT)
    os.execv(environment.PYTHON, [str(environment.PYTHON), "-P", "-m", "r1web.supervisor", *words])


def manage(words: list[str]) -> int:
    """Run manage.py in the site's environment, with the settings that the site last ran with."""
    if status := _prepare("runtime"):
        return status
    data = os.environ.setdefault("R1WEB_DATA", str(ROOT / "var"))
    settings_file.load(data)
    os.umask(0o077)
    environment.keep_bytecode()
    os.execv(environment.PYTHON, [str(environment.PYTHON), str(ROOT / "manage.py"), *words])


def develop(module: str, words: list[str]) -> int:
    """Run one of our modules in the environment with the tools for tests and checks."""
    if status := _prepare("runtime", "dev"):
        return status
    os.chdir(ROOT)
    environment.keep_bytecode()
    os.execv(environment.PYTHON, [str(environment.PYTHON), "-m", module, *words])


def _prepare(*locks: str) -> int:
    try:
        environment.prepare(*locks)
    except CannotGoOn as problem:
        return _fail(str(problem))
    except OSError as error:
        return _fail(sentence_for(error))
    return 0


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return 2
