"""manage.py as a child of the set-up: runs to its end, and its failure becomes one sentence."""

from __future__ import annotations

import subprocess
import sys

from r1web.supervisor import children
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site


class Tool:
    """One manage.py command under way."""

    def __init__(self, site: Site, *words: str) -> None:
        self._site, self._words = site, words
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *words],
            cwd=ROOT,
            env=site.process_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=children.end_with_parent,
        )

    def output(self, *, failing_means: str) -> str:
        """Wait for it and return what it printed."""
        try:
            output, error = self._process.communicate()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        if self._process.returncode == 0:
            return output.strip()
        report = self._keep(output + error)
        last = next((line.strip() for line in reversed(error.splitlines()) if line.strip()), "no reason given")
        raise CannotGoOn(f"{failing_means}: {last.removeprefix('CommandError: ')} (the whole report: {report})")

    def _keep(self, text: str) -> str:
        path = self._site.logs / "setup.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a") as log:
            log.write(f"manage.py {self._words[0]}\n{text}\n")
        return str(path)
