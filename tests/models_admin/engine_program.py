"""Plays an engine's server for tests of the keeper: installed under a program's name, told what to do by a file.

    python engine_program.py FOLDER serve MODEL … --host H --port P

FOLDER holds scenario.json (see `Scenario`) and gets starts.jsonl, a line for each start. No package of ours is needed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FIELDS = {"lines": [], "exit_code": None, "is_deaf": False, "has_child": False, "opens": True, "needs_go": False}


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    scenario = FIELDS | json.loads((folder / "scenario.json").read_text())
    if scenario["is_deaf"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    child = _child() if scenario["has_child"] else None
    row = {"pid": os.getpid(), "child": child, "words": words, "environment": dict(os.environ)}
    with (folder / "starts.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    for line in scenario["lines"]:
        print(line, end="", flush=True)
    while scenario["needs_go"] and not (folder / "go").exists():
        time.sleep(0.02)
    if scenario["exit_code"] is not None:
        os._exit(scenario["exit_code"])
    if scenario["opens"]:
        _serve(words)
    threading.Event().wait()


def _child() -> int:
    """One that hears no SIGTERM either, in a folder and a session of its own choice."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], cwd="/", start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    return child.pid


def _serve(words: list[str]) -> None:
    address = words[words.index("--host") + 1], int(words[words.index("--port") + 1])
    ThreadingHTTPServer(address, _Health).serve_forever()


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The log is the scenario's."""


if __name__ == "__main__":
    main()
