"""`bin/manage catalogue [--json]`: the models of the DeepSeek-R1 family and what is known of each."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from models_admin.family import catalogue
from models_admin.family.catalogue import Card


class Command(BaseCommand):
    help = "List the models of the DeepSeek-R1 family: sizes, context, licence, formats, AIME 2024."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="everything that is known, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"]:
            self.stdout.write(
                json.dumps([_everything(card) for card in catalogue.cards()], ensure_ascii=False, indent=1)
            )
            return
        rows = [_head(), *(_row(card) for card in catalogue.cards())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        self.stdout.write(
            "\n" + _("~ rounded or reckoned, ? not seen at its source. bin/manage add_model NAME adds one.")
        )


def _head() -> tuple[str, ...]:
    published, aime = _("as published"), "AIME 2024"
    return (_("name"), _("parameters"), _("4 bit"), published, _("context"), aime, _("licence"), _("formats"))


def _row(card: Card) -> tuple[str, ...]:
    aime = card.figure("aime_2024")
    return (
        card.key,
        f"{card.parameters / 1e9:.1f} B",
        _size(card, "Q4_K_M"),
        _size(card, "FP8" if card.is_mixture else "BF16"),
        f"{card.context:,}",
        f"{aime.value} %{'' if aime.is_verified else ' ?'}" if aime else "-",
        f"{card.licence} + {card.base_licence}" if card.base_licence else card.licence,
        ", ".join(card.formats),
    )


def _size(card: Card, quantisation: str) -> str:
    size = next((size for size in card.sizes if size.quantisation == quantisation), None)
    return f"{'' if size.is_exact else '~'}{size.bytes / 1e9:.1f} GB" if size else "-"


def _everything(card: Card) -> dict[str, Any]:
    return {
        "key": card.key,
        "name": card.name,
        "published": card.generation,
        "base": card.base,
        "architecture": card.architecture,
        "parameters": card.parameters,
        "active_parameters": card.active_parameters,
        "context": card.context,
        "licence": card.licence,
        "base_licence": card.base_licence,
        "ollama_tags": card.ollama_tags,
        "ollama_tags_verified": card.tags_are_verified,
        "repositories": [asdict(entry) for entry in card.repositories],
        "weights": [
            {"quantisation": size.quantisation, "bytes": size.bytes, "exact": size.is_exact} for size in card.sizes
        ],
        "shape": asdict(card.shape),
        "sampling": asdict(card.sampling),
        "tensor_parallel": card.tensor_parallel,
        "figures": [
            {"name": figure.title, "value": figure.value, "source": figure.source.url, "verified": figure.is_verified}
            for figure in card.figures
        ],
    }
