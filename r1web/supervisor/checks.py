"""What bin/check runs: every check is one command, and all run even when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from r1web.supervisor import translations
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.terminal import say

PYTHON = sys.executable
OURS = ["accounts", "chat", "live", "models_admin", "r1web"]
MANAGE = [PYTHON, "manage.py"]
CHECKS: dict[str, list[str]] = {
    "Types": [PYTHON, "-m", "mypy"],
    "Style": [PYTHON, "-m", "ruff", "check", "."],
    "Format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "Import rules": [PYTHON, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
    "Templates": [PYTHON, "-m", "djlint", "templates", "--lint", "--quiet"],
    "Migrations": [*MANAGE, "makemigrations", "--check", "--dry-run"],
    "Translations": [PYTHON, "-m", "r1web.supervisor.untranslated"],
    "Security of the code": [PYTHON, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", *OURS],
    "Security of the site": [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
}
# Two at a time suits the smallest machine that runs them.
AT_ONCE = 2


def main() -> int:
    translations.compile_all()
    with tempfile.TemporaryDirectory(prefix="r1web-check-") as data, ThreadPoolExecutor(AT_ONCE) as pool:
        values = {**os.environ, "R1WEB_DATA": data, "R1WEB_HTTPS": "1", "R1WEB_HSTS": "1", "PYTHONPATH": str(ROOT)}
        passed = list(pool.map(lambda name: _passes(name, values), CHECKS))
    return 0 if all(passed) else 1


def _passes(name: str, values: Mapping[str, str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(CHECKS[name], cwd=ROOT, env=values, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    verdict = "ok" if done.returncode == 0 else "FAILED"
    say(f"  {name:<24} {time.monotonic() - started:6.1f} s  {verdict}")
    if done.returncode:
        say((done.stdout + done.stderr).rstrip())
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
