"""The database file from start to start: put back from a copy, failing to migrate, and the key that reads it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import SiteProcess, free_port

READ_KEY = (
    "from models_admin import models; from models_admin.engines import secrets;"
    "print(secrets.decrypt(models.Engine.objects.get().secret))"
)


def started(data: Path, **settings: str) -> SiteProcess:
    site = SiteProcess(data, free_port(), **settings)
    site.wait_until_ready()
    return site


def run(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        return [row for statement in statements for row in database.execute(statement)]


def test_an_older_copy_put_back_into_the_same_file_is_migrated(tmp_path: Path) -> None:
    file, copy = prepared(tmp_path / "data") / "db.sqlite3", tmp_path / "copy.sqlite3"
    site = started(file.parent)
    site.manage("migrate", "accounts", "0002", "-v0")
    [(newest,)] = run(file, "PRAGMA user_version")
    run(file, "PRAGMA user_version = 1", f"VACUUM INTO '{copy}'", f"PRAGMA user_version = {newest}")
    site.manage("migrate", "-v0")
    site.end()
    assert not file.with_name("db.sqlite3-wal").exists(), "the file alone is the whole database"
    with file.open("r+b") as place:  # as `cp` does: the same inode
        place.truncate(0)
        place.write(copy.read_bytes())
    started(file.parent).end()
    assert run(file, "SELECT 1 FROM django_migrations WHERE app = 'accounts' AND name LIKE '0003%'") == [(1,)]


def test_a_migration_that_fails_again_and_again_leaves_one_copy(tmp_path: Path) -> None:
    data = prepared(tmp_path / "data")
    # Its table is there already: the migration cannot go through.
    run(data / "db.sqlite3", "DELETE FROM django_migrations WHERE app = 'chat'", "PRAGMA user_version = 1")
    for _ in range(2):
        site = SiteProcess(data, free_port())
        try:
            assert site.process.wait(timeout=60) == 2
            assert "The database could not be prepared" in site.output
        finally:
            site.end()
        time.sleep(1)  # copies are named by the second
    assert len(list((data / "backups").iterdir())) == 1


def test_manage_reads_engine_keys_with_the_secret_key_that_the_site_was_given(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "secret"
    site = started(data, R1WEB_SECRET_KEY_FILE=str(file))
    try:
        assert site.manage("shell", "-v0", "-c", READ_KEY) == (data / "engine.key").read_text()
        assert not (data / "secret_key").exists()
    finally:
        site.end()


def test_a_lost_secret_key_costs_the_built_in_engine_nothing(tmp_path: Path) -> None:
    data = prepared(tmp_path / "data")
    started(data).end()
    (data / "secret_key").unlink()
    site = started(data)
    try:
        assert site.manage("shell", "-v0", "-c", READ_KEY) == (data / "engine.key").read_text()
    finally:
        site.end()
