"""`bin/manage probe_engine URL`: what answers there, and whether it does what the site expects of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin.backends.base import Endpoint
from models_admin.backends.contract import Result
from models_admin.backends.drivers import DRIVERS
from models_admin.backends.http_client import base_of
from models_admin.engines.engine_report import About, EngineReport, NoEngine
from models_admin.engines.key_file import read_key
from models_admin.engines.promise_words import PROMISE_WORDS

SIGNS = {"kept": "✓", "broken": "✗", "not possible": "–", "not here": "·"}


class Command(BaseCommand):
    help = "Say what answers at an address, and hold the contract of the drivers against it, live."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="address of the engine, for example http://127.0.0.1:11434")
        parser.add_argument("--kind", default="", choices=["", *DRIVERS], help="instead of finding it out")
        parser.add_argument("--model", default="", help="the model to ask (default: one that is loaded)")
        parser.add_argument("--key-file", type=Path, help="file with the engine's key")
        parser.add_argument("--costly", action="store_true", help="also load, unload and pull the model")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        key = read_key(options["key_file"]) if options["key_file"] else ""
        endpoint = Endpoint(base_of(options["url"]), key, options["kind"])
        report = EngineReport(endpoint, options["model"], with_costly=options["costly"])
        try:
            results = asyncio.run(self._run(report, as_json=options["json"]))
        except NoEngine as nothing:
            raise CommandError(_why(nothing, endpoint.base_url)) from nothing
        if any(result.verdict == "broken" for result in results):
            raise SystemExit(1)

    async def _run(self, report: EngineReport, *, as_json: bool) -> list[Result]:
        results: list[Result] = []
        async with report:
            if not as_json:
                self._say_about(report.about)
            if report.about.model:
                async for result in report.results():
                    results.append(result)
                    if not as_json:
                        self._say(result)
            if as_json:
                about, rows = asdict(report.about), [asdict(result) for result in results]
                self.stdout.write(json.dumps({**about, "contract": rows}, ensure_ascii=False))
            else:
                self._say_end(report.about, results)
        return results

    def _say_about(self, about: About) -> None:
        facts = about.facts
        self.stdout.write(_("Kind: %(kind)s %(version)s") % {"kind": about.kind, "version": facts.build})
        if about.evidence:
            self.stdout.write(_("Evidence: %(evidence)s") % {"evidence": about.evidence})
        for model in about.models:
            self.stdout.write(_("Model: %(name)s") % {"name": model.name} + _details(model.context_tokens, model.bytes))
        for loaded in about.loaded:
            details = _details(loaded.context_tokens, loaded.memory_bytes)
            self.stdout.write(_("Loaded: %(name)s") % {"name": loaded.name} + details)
        if facts.slots is not None:
            self.stdout.write(_("Answers at once: %(count)d") % {"count": facts.slots})
        for balance in facts.balances:
            amount = f"{balance.micro / 1_000_000:.2f} {balance.currency}"
            self.stdout.write(_("Balance: %(amount)s") % {"amount": amount})
        for code in about.untold:
            self.stdout.write(self.style.WARNING(_("It does not tell everything: %(code)s") % {"code": code}))
        if about.model:
            self.stdout.write(_("The contract, with %(model)s:") % {"model": about.model})

    def _say(self, result: Result) -> None:
        words = str(PROMISE_WORDS[result.key])
        line = f"  {SIGNS[result.verdict]} {words}"
        if result.verdict == "not possible":
            line += " " + _("(not possible with this engine)")
        elif result.detail:
            line += f" ({result.detail})"
        style = self.style.ERROR if result.verdict == "broken" else str
        self.stdout.write(style(line))

    def _say_end(self, about: About, results: list[Result]) -> None:
        if not about.model:
            self.stdout.write(_("It serves no model: the contract was not tried."))
            return
        kept = sum(result.verdict == "kept" for result in results)
        broken = sum(result.verdict == "broken" for result in results)
        self.stdout.write(_("%(kept)d kept, %(broken)d broken.") % {"kept": kept, "broken": broken})


def _details(context_tokens: int | None, size: int | None) -> str:
    parts = []
    if context_tokens is not None:
        parts.append(_("context %(tokens)d") % {"tokens": context_tokens})
    if size is not None:
        parts.append(f"{size / 1024**3:.2f} GiB" if size >= 1024**3 else f"{size / 1024**2:.1f} MiB")
    return f" · {' · '.join(parts)}" if parts else ""


def _why(nothing: NoEngine, url: str) -> str:
    words = {
        "engine_unreachable": _("Nothing answers at %(url)s. Is the engine running, and is the port right?"),
        "wrong_key": _("What answers at %(url)s asks for a key: give it with --key-file."),
        "bad_request": _("%(url)s is no address for an engine; write it like http://127.0.0.1:11434."),
        "no_engine": _("Something answers at %(url)s, but it is no engine that the site knows."),
    }
    return words.get(nothing.reason, words["engine_unreachable"]) % {"url": url}
