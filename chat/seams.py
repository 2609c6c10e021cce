"""Where an answer went on after a loss, as pages show it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Collection, Iterable

import msgspec

from chat.models import Generation, Segment
from models_admin.models import Deployment


class Seam(msgspec.Struct, frozen=True):
    """`thinking` and `text` are the characters before it, `tokens` those of all attempts before it.

    `host` goes on, as it is stored; `engine` and `reason` are those of the attempt that ended here.
    """

    thinking: int
    text: int
    tokens: int
    host: str
    engine: str
    reason: str


class _Part(msgspec.Struct, frozen=True):
    """An attempt, ended or running."""

    thinking_from: int
    text_from: int
    tokens: int
    deployment: Deployment | None
    reason: str = ""


def of_messages(message_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Seam]]:
    """By message; those without a seam are missing."""
    generations = Generation.objects.filter(message__in=message_ids).order_by("created_at", "pk")
    rows = list(generations.select_related("deployment__engine__host"))
    ended: dict[uuid.UUID, list[_Part]] = {}
    segments = Segment.objects.filter(generation__in=[row.pk for row in rows]).order_by("attempt")
    for each in segments.select_related("deployment__engine__host"):
        ended.setdefault(each.generation_id, []).append(_ended(each))
    parts: dict[uuid.UUID, list[_Part]] = {}
    for row in rows:
        if row.message_id is not None:
            parts.setdefault(row.message_id, []).extend([*ended.get(row.pk, []), *_running(row)])
    return {message: found for message, mine in parts.items() if (found := _between(mine))}


def _ended(row: Segment) -> _Part:
    return _Part(row.thinking_from, row.text_from, row.thinking_tokens + row.answer_tokens, row.deployment, row.finish)


def _running(row: Generation) -> Iterable[_Part]:
    if row.state == Generation.State.RUNNING:
        yield _Part(row.thinking_from, row.text_from, 0, row.deployment)


def _between(parts: list[_Part]) -> list[Seam]:
    found, tokens = [], 0
    for before, after in itertools.pairwise(parts):
        tokens += before.tokens
        if after.thinking_from or after.text_from:
            host, engine = _host(after.deployment), _engine(before.deployment)
            found.append(Seam(after.thinking_from, after.text_from, tokens, host, engine, before.reason))
    return found


def _host(deployment: Deployment | None) -> str:
    if deployment is None:
        return "?"
    engine = deployment.engine
    return str(engine.get_kind_display()) if engine.is_cloud else engine.host.name


def _engine(deployment: Deployment | None) -> str:
    return str(deployment.engine.get_kind_display()) if deployment else "?"
