"""A new secret for the site: engine keys stay readable at every step, by processes of their own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADD = (
    "from models_admin.engines import fleet, secrets; from models_admin.models import Engine;"
    "Engine.objects.create(host=fleet.local_host(), kind='vllm', base_url='http://h', secret=secrets.encrypt('k-1'))"
)
READ = "from models_admin.engines import secrets; from models_admin.models import Engine;"
READ += "print(secrets.decrypt(Engine.objects.get().secret))"


class Site:
    """A site of its own folder, one process a command."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret_key"
        self._values = {**os.environ, "R1WEB_DATA": str(folder)}
        self._values.pop("DATABASE_URL", None)

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self._values, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def shell(self, code: str) -> str:
        return self.manage("shell", "--verbosity=0", "-c", code)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.manage("migrate", "--verbosity=0")
    made.shell(ADD)
    return made


def test_keys_are_readable_before_between_and_after(site: Site) -> None:
    old = site.secret.read_text().strip()
    site.manage("rotate_secret_key")
    assert site.secret.read_text().split()[1] == old != site.secret.read_text().split()[0]
    assert site.shell(READ) == "k-1"
    assert "1 engine keys" in site.manage("rotate_secret_key", "--finish")
    assert old not in site.secret.read_text()
    assert site.shell(READ) == "k-1"
    assert stat.S_IMODE(site.secret.stat().st_mode) == 0o600
