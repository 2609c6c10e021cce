"""Who did what to which thing: a row for every verb that changes a machine, in the transaction of the change."""

from __future__ import annotations

from django.db import models

from models_admin.models import AuditEntry

MAX_WORDS = {"actor": 150, "object_name": 300, "before": 200, "after": 200, "why": 300}


def record(actor: str, verb: str, thing: models.Model, *, before: str = "", after: str = "", why: str = "") -> None:
    """`actor` is a person's user name, or '' for the site itself."""
    words = {"actor": actor, "object_name": str(thing), "before": before, "after": after, "why": why}
    AuditEntry.objects.create(
        verb=verb,
        object_kind=thing._meta.model_name or "",
        object_id=str(thing.pk),
        **{name: value[: MAX_WORDS[name]] for name, value in words.items()},
    )
