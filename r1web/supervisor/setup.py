"""The steps between the environment and the first process: translations, static files, database, engine entry."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from r1web.supervisor import browser_libraries, engine, stamps, translations
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.site import Site
from r1web.supervisor.terminal import step
from r1web.supervisor.tools import Tool

BACKUPS_KEPT = 3
OURS = ("accounts", "chat", "models_admin", "live", "r1web")


def prepare_files(site: Site) -> Tool | None:
    """Bring browser libraries and translations up to date; returns collectstatic, started, when it has to run."""
    if not browser_libraries.are_current():
        with step("Browser libraries"):
            browser_libraries.prepare()
    translations.compile_all()
    if stamps.is_current(_static_stamp(site), _static_digest()):
        return None
    return Tool(site, "collectstatic", "--noinput", "--verbosity=0")


def finish_files(site: Site, collecting: Tool | None) -> None:
    if collecting:
        with step("Static files"):
            collecting.output(failing_means="The page's files could not be collected")
            stamps.write(_static_stamp(site), _static_digest())


def _static_stamp(site: Site) -> Path:
    return site.data / "staticfiles.stamp"


def _static_digest() -> str:
    files = (path for path in (ROOT / "static").rglob("*") if path.is_file() and not path.name.startswith("."))
    return stamps.digest_of_files(files, version("django"))


def migrate(site: Site) -> None:
    """Bring the database to the newest shape; a SQLite file is copied first."""
    stamp = site.data / "migrations.stamp"
    if site.database_path and stamps.is_current(stamp, _migrations_digest(site)):
        return
    with step("Database") as under_way:
        if copy := _back_up(site):
            under_way.note = f"copied before to {copy.relative_to(site.data)}"
        Tool(site, "migrate", "--noinput", "--verbosity=0").output(failing_means="The database could not be prepared")
        stamps.write(stamp, _migrations_digest(site))


def _migrations_digest(site: Site) -> str:
    files = (path for app in OURS for path in (ROOT / app).glob("migrations/*.py"))
    return stamps.digest_of_files(files, version("django"), _identity(site))


def _identity(site: Site) -> str:
    """Tells a database file from a new one of the same name; empty for a database server."""
    path = site.database_path
    return f"{path} {path.stat().st_ino}" if path and path.exists() else ""


def _back_up(site: Site) -> Path | None:
    source = site.database_path
    if source is None or not source.exists() or source.stat().st_size == 0:
        return None
    folder = site.data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"db-{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite3"
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as copy:
        old.backup(copy)
    target.chmod(0o600)
    for outdated in sorted(folder.glob("db-*.sqlite3"))[:-BACKUPS_KEPT]:
        outdated.unlink()
    return target


def knows_engine(site: Site, number: int) -> bool:
    """Whether the database names the built-in engine as it runs now."""
    if site.database_path is None:
        return False
    return stamps.is_current(site.data / "engine.stamp", _engine_digest(site, number))


def attach_engine(site: Site, number: int, *, is_lasting: bool) -> None:
    """Make the built-in engine known to the site; only what `is_lasting` need not be done at the next start."""
    tool = Tool(site, *engine.attach_words(site, number))
    tool.output(failing_means="The built-in engine could not be made known to the site")
    if is_lasting:
        stamps.write(site.data / "engine.stamp", _engine_digest(site, number))


def _engine_digest(site: Site, number: int) -> str:
    words = engine.attach_words(site, number)
    return stamps.digest_of_files([engine.MODEL, engine.key_file(site)], *words, _identity(site))


def first_admin(site: Site) -> Tool | None:
    """Make the user admin from the password file, or print the path of the one-time set-up link.

    None where an administrator exists: starting Django to learn that would take a second of every start.
    """
    file = site.arguments.admin_password_file
    if file:
        return Tool(site, "create_admin", "--password-file", str(file))
    return None if _has_admin(site) else Tool(site, "setup_link")


def _has_admin(site: Site) -> bool:
    if site.database_path is None:
        return False
    question = "SELECT EXISTS (SELECT 1 FROM accounts_user WHERE is_superuser AND is_active)"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(site.database_path))}?mode=ro", uri=True)) as database:
            return bool(database.execute(question).fetchone()[0])
    except sqlite3.Error:
        return False
