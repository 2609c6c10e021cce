"""Waits for a pull, a load or a deletion, and shows it: written over on a terminal, a line a stage in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from models_admin.models import Deployment, PullJob, StoredArtifact
from models_admin.pages import model_report
from models_admin.pulls import pull_words

POLL_SECONDS = 0.5
MOVING = (Deployment.State.STARTING, Deployment.State.DRAINING)


class TooLong(Exception):
    """It was not waited for any longer; what was ordered goes on."""


class Follower:
    """`output` is a command's; nothing is shown where `is_quiet`."""

    def __init__(self, output: Any, seconds: float, *, is_quiet: bool) -> None:
        self._output, self._until, self._is_quiet = output, time.monotonic() + seconds, is_quiet
        self._shown = self._stage = ""

    def pull(self, job: PullJob) -> None:
        """Until it has ended or is paused. Raises TooLong."""
        self._follow(
            job,
            lambda: job.state in PullJob.OPEN and job.state != PullJob.State.PAUSED,
            lambda: (pull_words.state(job), model_report.pull_line(job)),
        )

    def files(self, stored: StoredArtifact) -> None:
        """Until they are gone, or that was given up. Raises TooLong."""
        self._follow(
            stored,
            lambda: stored.state == StoredArtifact.State.DELETING,
            lambda: (f"{stored.state} {stored.reason}", model_report.files_line(stored)),
        )

    def deployment(self, row: Deployment) -> None:
        """Until it is warm, out of memory, failed or measured. Raises TooLong."""
        self._follow(
            row,
            lambda: row.state in MOVING or bool(row.stage),
            lambda: (f"{row.state} {row.stage}", model_report.deployment_line(row)),
        )

    def _follow(self, row: Any, is_moving: Callable[[], bool], told: Callable[[], tuple[str, str]]) -> None:
        row.refresh_from_db()
        while is_moving():
            if time.monotonic() > self._until:
                raise TooLong(_("It has not ended yet. It goes on without this command."))
            self._show(*told())
            time.sleep(POLL_SECONDS)
            row.refresh_from_db()
        if self._shown and self._output.isatty():
            self._output.write("")

    def _show(self, stage: str, line: str) -> None:
        if self._is_quiet or line == self._shown:
            return
        if self._output.isatty():
            self._output.write("\r" + line.ljust(len(self._shown)), ending="")
            self._output.flush()
        elif stage != self._stage:
            self._output.write(line)
        self._shown, self._stage = line, stage
