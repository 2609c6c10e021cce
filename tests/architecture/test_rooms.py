"""The house keeps its plan: fixed rooms, import rules, and every message has somebody who takes it."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("r1web", "chat", "models_admin", "accounts", "live")
FOLDERS = {*PACKAGES, "templates", "static", "locale", "requirements", "tests", "docs", "bench", "bin", "tiny_model"}
FILES = {
    "README.md", "ARCHITECTURE.md", "compose.yaml", "manage.py", "pyproject.toml", "package.json", "package-lock.json",
}  # fmt: skip
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def imported_by(path: Path) -> set[str]:
    """Full names of what a file imports, `from a import b` as both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def importers_of(name: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(found == name or found.startswith(f"{name}.") for found in imported_by(path))
    }


def test_the_top_level_is_as_planned() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [line for line in listed.stdout.splitlines() if not line.startswith(".")]
    assert {path.split("/")[0] for path in paths if "/" in path} <= FOLDERS
    assert {path for path in paths if "/" not in path} <= FILES


def test_no_room_has_a_drawer_for_everything() -> None:
    assert not [path for path in sources() if path.stem in FORBIDDEN_NAMES]


def test_every_task_that_is_sent_is_registered() -> None:
    from chat import queue
    from models_admin.hosts import queue as host_queue
    from r1web.celery import app

    app.loader.import_default_modules()
    for module in (queue, host_queue):
        room = module.__name__.split(".")[0]
        sent = {str(value) for name, value in vars(module).items() if name.isupper() and str(value).startswith(room)}
        assert sent
        assert sent <= set(app.tasks)


def test_nobody_imports_the_tasks() -> None:
    assert importers_of("chat.tasks") | importers_of("models_admin.tasks") == set()


def test_only_live_and_the_log_open_redis() -> None:
    """Others may name its errors, never its clients."""

    def opens(path: str) -> bool:
        names = {name for name in imported_by(ROOT / path) if name.split(".")[0] == "redis"}
        return any(not name.startswith("redis.exceptions") for name in names)

    assert {path for path in importers_of("redis") if opens(path)} == {
        "live/access.py",
        "live/board.py",
        "live/doorbell.py",
        "live/mailbox.py",
        "live/redis.py",
        "chat/stream_log.py",
    }


def test_only_drivers_open_connections_to_engines() -> None:
    users = importers_of("httpx") | importers_of("aiohttp") | importers_of("httpx_aiohttp")
    assert users and all(path.startswith("models_admin/backends/") for path in users)


def test_a_web_server_starts_without_clients_of_engines_and_gpus() -> None:
    """What Daphne loads. httpx and aiohttp cost half a second and memory for nothing; a GPU's driver may hang."""
    program = (
        "import django, os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'r1web.settings'; django.setup(); "
        "import r1web.asgi, r1web.urls, models_admin.admin; "
        "print([name for name in ('httpx', 'aiohttp', 'pynvml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_supervisor_starts_on_the_standard_library_alone() -> None:
    """What bin/up imports before the site's environment exists; -S hides everything installed."""
    program = Path(sysconfig.get_config_var("BINDIR") or sys.prefix) / Path(sys.executable).name
    python = str(program) if program.exists() else sys.executable
    done = subprocess.run(
        [python, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import r1web.supervisor.bootstrap"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
