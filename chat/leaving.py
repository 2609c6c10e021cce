"""A person is deleted while something of his waits or runs: it is ended and booked first, and holds nothing afterwards.

Else his answers would hold limits of everybody for a day, and what they took would be in no ledger.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import pre_delete

from accounts.models import User
from chat import bells, reaping, settlement
from chat.models import Generation
from live import doorbell

State = Generation.State


def end_all_of(person: User) -> None:
    """What waits is stopped; what runs ends with what is known of it, and its runner drops it."""
    for row in Generation.objects.filter(user=person, state__in=Generation.LIVE).order_by("pk"):
        if not settlement.end_unstarted(row.pk, State.STOPPED, "stopped"):
            reaping.end_as(row.pk, State.STOPPED, "stopped")
        transaction.on_commit(partial(doorbell.ring, bells.control(row.pk)))


def watch() -> None:
    pre_delete.connect(_leave, sender=User, dispatch_uid="chat.leaving")


def _leave(sender: type[User], instance: User, **more: Any) -> None:
    end_all_of(instance)
