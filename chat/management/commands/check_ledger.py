"""bin/manage check_ledger: do the ledger, its roll-ups and what the generations used add up?"""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import ledger_check, rollup
from chat import bill_check

SHOWN = 50


class Command(BaseCommand):
    help = "Compares the ledger with its roll-ups and with every generation, and names what differs."

    def handle(self, *args: Any, **options: Any) -> None:
        rollup.catch_up()
        found = list(islice(chain(ledger_check.differences(), bill_check.differences()), SHOWN))
        for sentence in found:
            self.stdout.write(sentence)
        if found:
            raise CommandError(f"Differences: {len(found)}{' or more' if len(found) == SHOWN else ''}.")
        self.stdout.write("Ledger, roll-ups and generations add up.")
