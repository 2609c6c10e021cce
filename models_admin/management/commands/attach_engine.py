"""`bin/manage attach_engine URL --kind K --model NAME`: make a running engine known to the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin.engines.fleet import LOCAL_HOST
from models_admin.engines.key_file import read_key
from models_admin.engines.secrets import SecretUnreadable
from models_admin.loads.attach import AttachError, Attachment, attach


class Command(BaseCommand):
    help = "Attach a running engine by its address. Repeating it updates what is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="address of the engine, for example http://127.0.0.1:8080")
        parser.add_argument(
            "--kind", required=True, help="ollama, vllm, sglang, llama.cpp, deepseek or openai-compatible"
        )
        parser.add_argument("--model", required=True, help="the model as the engine calls it")
        parser.add_argument("--name", default="", help="the model as people see it, where it is new")
        parser.add_argument("--rename", action="store_true", help="give a model that is known that name")
        parser.add_argument(
            "--unlisted", action="store_true", help="the engine takes this model though it lists others"
        )
        parser.add_argument("--host", default=LOCAL_HOST, help="the joined machine on which it runs")
        parser.add_argument("--slots", type=int, help="answers at once (default: what the engine says, else 4)")
        parser.add_argument("--context", type=int, help="tokens per slot (default: what the engine says, else 4096)")
        parser.add_argument("--key-file", type=Path, help="file with the engine's key; left out, the stored key stays")
        parser.add_argument("--tokens-per-second", type=int, help="pace the stream to readers")
        parser.add_argument("--launched", action="store_true", help="the site itself starts and ends this engine")
        parser.add_argument("--cloud", action="store_true", help="what is asked of it leaves your machines")
        parser.add_argument("--check", action="store_true", help="refuse an engine that does not answer as it should")

    def handle(self, *args: Any, **options: Any) -> None:
        wish = Attachment(
            url=options["url"],
            kind=options["kind"],
            model=options["model"],
            slots=options["slots"],
            context=options["context"],
            key=read_key(options["key_file"]) if options["key_file"] else None,
            tokens_per_second=options["tokens_per_second"],
            is_launched=options["launched"],
            is_cloud=options["cloud"],
            name=options["name"],
            renames=options["rename"],
            is_unlisted=options["unlisted"],
            host=options["host"],
        )
        try:
            attached = attach(wish, must_answer=options["check"])
        except AttachError as error:
            raise CommandError(str(error)) from error
        except SecretUnreadable as error:
            raise CommandError(_("The stored key can't be read any more; give it again with --key-file.")) from error
        for warning in attached.warnings:
            self.stderr.write(self.style.WARNING(warning))
        row = attached.deployment
        self.stdout.write(
            _("Attached %(model)s at %(url)s: %(slots)d slots of %(context)d tokens.")
            % {
                "model": row.artifact.ref,
                "url": row.engine.base_url,
                "slots": row.slots,
                "context": row.context_tokens,
            }
        )
