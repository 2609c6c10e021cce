"""The steps between the environment and the first process: translations, static files, database, engine entry."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from r1web.supervisor import browser_libraries, engine, environment, stamps, translations
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.site import Site
from r1web.supervisor.terminal import step
from r1web.supervisor.tools import Tool

BACKUPS_KEPT = 3
OURS = ("accounts", "chat", "models_admin", "live", "r1web")
THEIRS = ("django", "django-axes")


def prepare_clone() -> None:
    """Bring browser libraries and translations up to date, for every site that starts from this clone."""
    with environment.alone():
        if not browser_libraries.are_current():
            with step("Browser libraries"):
                browser_libraries.prepare()
        translations.compile_all()


def collect_files(site: Site) -> Tool | None:
    """collectstatic, started, or None where nothing changed."""
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


def is_migrated(site: Site) -> bool:
    """Whether the SQLite file itself says that it has this version's shape; a database server is always asked."""
    path = site.database_path
    if path is None or not path.exists():
        return False
    return _ask(site, "PRAGMA user_version") == [(_shape(),)]


def migrate(site: Site) -> None:
    """Bring the database to the newest shape; a SQLite file is copied first."""
    if is_migrated(site):
        return
    with step("Database") as under_way:
        under_way.note = _back_up(site)
        Tool(site, "migrate", "--noinput", "--verbosity=0").output(failing_means="The database could not be prepared")
        if site.database_path:
            with closing(sqlite3.connect(site.database_path)) as database:
                database.execute(f"PRAGMA user_version = {_shape()}")
        _copied_stamp(site).unlink(missing_ok=True)


def _shape() -> int:
    """A number for the tables that this version needs, of the 31 bits that SQLite keeps in the file for its owner.

    It stands in the database, not beside it: an older copy that is put back tells by itself that it is older.
    """
    files = sorted(path for app in OURS for path in (ROOT / app).glob("migrations/*.py"))
    parts = [part for path in files for part in (path.name, path.read_bytes())]
    return int(stamps.digest_of(*parts, *map(version, THEIRS))[:8], 16) >> 1


def _back_up(site: Site) -> str:
    """Copy a SQLite file and say so. A migration that fails again and again leaves one copy, the good one."""
    source, stamp = site.database_path, _copied_stamp(site)
    if source is None or not source.exists() or source.stat().st_size == 0:
        return ""
    if stamps.is_current(stamp, str(_shape())):
        return "copied at an earlier try"
    folder = site.data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"db-{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite3"
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as copy:
            target.chmod(0o600)
            old.backup(copy)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise CannotGoOn(f"The database {source} could not be copied before its migration: {error}.") from None
    for outdated in sorted(folder.glob("db-*.sqlite3"))[:-BACKUPS_KEPT]:
        outdated.unlink()
    stamps.write(stamp, str(_shape()))
    return f"copied before to {target.relative_to(site.data)}"


def fold_database(site: Site) -> None:
    """Write SQLite's log into its file, so that the file alone is the whole database once nothing runs.

    Processes that end leave the log behind, and its frames would be laid over a copy that somebody puts back.
    """
    if site.database_path is None or not site.database_path.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(site.database_path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copied_stamp(site: Site) -> Path:
    return site.data / "migrating.stamp"


def knows_engine(site: Site, number: int) -> bool:
    """Whether the database names the built-in engine as it runs now."""
    if site.database_path is None:
        return False
    return stamps.is_current(site.data / "engine.stamp", _engine_digest(site, number))


def attach_engine(site: Site, number: int, *, is_lasting: bool) -> None:
    """Make the built-in engine known to the site; only what `is_lasting` need not be done at the next start."""
    tool = Tool(site, *engine.attach_words(site, number), "--skip-checks")
    tool.output(failing_means="The built-in engine could not be made known to the site")
    if is_lasting:
        stamps.write(site.data / "engine.stamp", _engine_digest(site, number))


def _engine_digest(site: Site, number: int) -> str:
    """Hash over the wish, what can read the stored key, and what the database says of the engine."""
    words = engine.attach_words(site, number)
    known = _ask(site, "SELECT base_url, secret FROM models_admin_engine WHERE is_launched ORDER BY id")
    files = [path for path in (engine.MODEL, engine.key_file(site), site.secret_key_file) if path.exists()]
    return stamps.digest_of_files(files, *words, repr(known))


def first_admin(site: Site) -> Tool | None:
    """Make the user admin from the password file, or print the path of the one-time set-up link.

    None where there is nothing to do: starting Django to learn that would take a second of every start.
    """
    file = site.arguments.admin_password_file
    if file:
        return Tool(site, "create_admin", "--password-file", str(file), "--skip-checks")
    return None if _has_admin(site) or open_link(site) else Tool(site, "setup_link", "--skip-checks")


def keep_link(site: Site, link: str) -> None:
    """Keep the link for later starts, beside the digest that the database has of it."""
    if link.startswith("/") and (digest := _open_digest(site)):
        stamps.write_private(site.data / "setup.link", f"{link}\n{digest}\n")


def open_link(site: Site) -> str:
    """The path of the set-up link that an earlier start made and nobody used; '' where there is none."""
    with suppress(OSError, ValueError):
        link, digest = (site.data / "setup.link").read_text().split()
        if digest == _open_digest(site) and not _has_admin(site):
            return link
    return ""


def _open_digest(site: Site) -> str:
    rows = _ask(site, "SELECT digest FROM accounts_setuplink WHERE used_at IS NULL")
    return str(rows[0][0]) if len(rows) == 1 else ""


def _has_admin(site: Site) -> bool:
    return bool(_ask(site, "SELECT 1 FROM accounts_user WHERE is_superuser AND is_active LIMIT 1"))


def _ask(site: Site, question: str) -> list[tuple[Any, ...]]:
    """Rows of a SQLite file without starting Django; none where there is no such file or table."""
    if site.database_path is None:
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(str(site.database_path))}?mode=ro", uri=True)) as database:
            return database.execute(question).fetchall()
    except sqlite3.Error:
        return []
