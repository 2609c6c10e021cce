"""The built-in engine from outside: silent, moved, forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import SiteProcess, free_port, until


def test_a_silent_engine_is_told_and_the_site_is_up_all_the_same(tmp_path: Path) -> None:
    site = SiteProcess(prepared(tmp_path / "data"), free_port())
    try:
        until(lambda: "Engine" in site.children(), "the engine's process runs")
        site.children()["Engine"].suspend()
        site.wait_until_told("no question can be answered yet: the built-in engine does not answer")
        assert "Ready" not in site.output
        assert site.answers("/livez")
    finally:
        site.end()


def test_it_listens_where_runners_of_other_machines_find_it_and_as_fast_as_it_can(tmp_path: Path) -> None:
    settings = {"R1WEB_ENGINE_HOST": "127.0.0.2", "R1WEB_DEMO_TOKENS_PER_SECOND": "0"}
    site = SiteProcess(prepared(tmp_path / "data"), free_port(), **settings)
    try:
        site.wait_until_ready()
        script = "from models_admin.models import *; d = Deployment.objects.get(); print(d, d.tokens_per_second)"
        port = (site.data / "engine.port").read_text().strip()
        assert site.manage("shell", "-v0", "-c", script).endswith(f"http://127.0.0.2:{port} None\n")
    finally:
        site.end()
