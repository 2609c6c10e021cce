"""bin/test itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.supervisor.site_process import ROOT


def test_without_a_browser_the_tests_fail_instead_of_being_left_out(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "r1web.supervisor.testing", "--version"]
    bare = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "The tests need chromium: install it" in done.stderr


def test_an_engine_that_is_not_known_is_refused_with_those_that_are() -> None:
    command = [sys.executable, "-m", "r1web.supervisor.testing", "--engine", "steam"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("invalid choice: 'steam'", "vllm", "sglang"))
