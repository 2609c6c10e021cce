"""A data folder as a first start leaves it, for tests of what comes later: a second start costs a third of it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.supervisor.site_process import SiteProcess, free_port

# Of one site alone: two that were copied from it may run at once.
OF_THE_FIRST = ("engine.port", "engine.stamp", "logs", "site.env")


def prepared(data: Path) -> Path:
    """Fill `data`, which is not there yet; its database has every table, and nobody has an account."""
    shutil.copytree(_first(), data, ignore=shutil.ignore_patterns(*OF_THE_FIRST))
    return data


@cache
def _first() -> Path:
    """Of a site that was started and ended once for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="r1web-first-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = SiteProcess(folder / "data", free_port())
    try:
        site.wait_until_ready()
    finally:
        site.end()
    return site.data
