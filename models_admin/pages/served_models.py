"""What an engine that has no model yet says that it serves, to be attached from its page. From tables, no HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied

from models_admin import audit
from models_admin.engines import engine_facts
from models_admin.family import catalogue
from models_admin.loads import attachments
from models_admin.models import Engine
from models_admin.pages.model_verbs import Person

RIGHT = "models_admin.add_deployment"


@dataclass(frozen=True)
class Offer:
    """`names` as the engine calls them, each with whether it is of the family. `is_asked`: it has answered."""

    engine: Engine
    names: tuple[tuple[str, bool], ...]
    is_asked: bool


def of(engine: Engine, person: Person) -> Offer | None:
    """None where it has models already, or the person may not attach any."""
    if engine.is_launched or engine.deployments.exists() or not person.has_perm(RIGHT):  # type: ignore[union-attr]
        return None
    told = engine_facts.stored(engine)
    names = tuple((name, catalogue.find(name) is not None) for name in (told.served if told else ()))
    return Offer(engine, names, told is not None)


def attach_all(engine: Engine, names: Iterable[str], *, person: Person) -> int:
    """How many were attached. Raises AttachError, PermissionDenied."""
    if not person.has_perm(RIGHT):  # type: ignore[union-attr]
        raise PermissionDenied
    rows = attachments.attach_served(engine, names)
    for row in rows:
        audit.record(person.get_username(), "deploy", row, after=f"{row.context_tokens} × {row.slots}")
    return len(rows)
