"""The built-in engine from outside: silent, moved, forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.supervisor.site_process import SiteProcess, free_port, until


def test_a_silent_engine_is_told_and_the_site_is_up_all_the_same(tmp_path: Path) -> None:
    first = SiteProcess(tmp_path / "data", free_port())
    first.wait_until_ready()
    first.end()
    site = SiteProcess(tmp_path / "data", free_port())
    try:
        until(lambda: "Engine" in site.children(), "the engine's process runs")
        site.children()["Engine"].suspend()
        site.wait_until_told("no question can be answered yet: the built-in engine does not answer")
        assert "Ready" not in site.output
        assert site.answers("/livez")
    finally:
        site.end()
