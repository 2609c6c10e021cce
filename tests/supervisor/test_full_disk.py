"""What the system refuses to write does not end a site that runs.

A directory in the way of a file is refused as surely as by a full disk, and needs no disk to be filled.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from r1web.supervisor.children import LOG_BYTES
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import SiteProcess, free_port, until


def test_a_site_goes_on_when_its_record_and_logs_cannot_be_written(tmp_path: Path) -> None:
    site = SiteProcess(prepared(tmp_path / "data"), free_port())
    try:
        site.wait_until_ready()
        web, record = site.children()["Web server"], site.data / "children.json"
        record.rename(site.data / "children.kept")
        put_in_the_way(record)
        put_in_the_way(site.logs / "runner.log.new")
        grow(site.logs / "runner.log")
        web.kill()
        until(lambda: "a later start would not find what this one leaves" in site.output, "the record is missed")
        until(lambda: f"{site.logs / 'runner.log'} grows on" in site.output, "the log is missed")
        until(lambda: site.answers("/healthz"), "the web server runs again")
        shutil.rmtree(site.logs / "runner.log.new")
        until(lambda: (site.logs / "runner.log.1").is_file(), "the log is turned over once that is possible")
        assert (site.logs / "runner.log").stat().st_size < LOG_BYTES
        shutil.rmtree(record)
        assert site.process.poll() is None
    finally:
        shutil.rmtree(site.data / "children.json", ignore_errors=True)
        site.end()


def put_in_the_way(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def grow(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"\0" * LOG_BYTES)
