"""About once a second: the text of all running answers of a runner, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from chat.answer_log import ANSWER, THINKING
from chat.live_answer import Live
from chat.models import Generation

State = Generation.State
# Raw SQL: the ORM has no executemany for guarded updates, and one statement per answer took 795 ms instead of 45.
WRITE_TEXT = """
    UPDATE chat_message SET text = %s, thinking = %s WHERE id = %s AND EXISTS (
        SELECT 1 FROM chat_generation WHERE id = %s AND attempt = %s AND worker_id = %s AND state = 'running')
"""
WRITE_PROGRESS = """
    UPDATE chat_generation SET last_seq = %s, thinking_tokens = %s, answer_tokens = %s, gpu_ms = %s,
        first_token_at = COALESCE(first_token_at, CURRENT_TIMESTAMP)
    WHERE id = %s AND attempt = %s AND worker_id = %s AND state = 'running'
"""


@dataclass(frozen=True)
class Checkpoint:
    """The text of a running answer up to entry `last_seq`, and what it is charged so far, earlier attempts included."""

    generation_id: uuid.UUID
    message_id: uuid.UUID
    attempt: int
    thinking: str
    text: str
    last_seq: int
    thinking_tokens: int
    answer_tokens: int
    gpu_ms: int
    has_token: bool


@dataclass(frozen=True)
class Wanted:
    """What people wish of running answers: that they stop, or that their thinking ends. Ids."""

    stop: frozenset[uuid.UUID]
    answer: frozenset[uuid.UUID]


def row_of(live: Live) -> Checkpoint:
    thinking, text = live.log.text(THINKING), live.log.text(ANSWER)
    return Checkpoint(
        live.work.generation_id,
        live.work.message_id,
        live.log.attempt,
        thinking,
        text,
        len(live.log.entries),
        live.log.tokens(THINKING),
        live.log.tokens(ANSWER),
        live.work.gpu_ms + live.work.decode_us * (live.thinking_tokens + live.answer_tokens) // 1000,
        live.first_token is not None,
    )


def checkpoint(worker_id: int, rows: Iterable[Checkpoint]) -> Wanted:
    """Write all texts in one transaction, each guarded by attempt and worker; returns what is wished of them.

    Generations before messages, as settling does, and in one order: PostgreSQL then has no deadlock, and a text is
    only written while the row lock keeps its generation running.
    """
    rows = sorted(rows, key=lambda row: row.generation_id)
    key = _database_uuid
    begun = [row for row in rows if row.has_token]
    guards = [(key(row.generation_id), row.attempt, worker_id) for row in begun]
    progress = [(row.last_seq, row.thinking_tokens, row.answer_tokens, row.gpu_ms) for row in begun]
    texts = [(row.text, row.thinking, key(row.message_id)) for row in begun]
    if begun:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(WRITE_PROGRESS, [a + b for a, b in zip(progress, guards, strict=True)])
            cursor.executemany(WRITE_TEXT, [a + b for a, b in zip(texts, guards, strict=True)])
    ids = [row.generation_id for row in rows]
    wishes = Q(wants_stop=True) | Q(wants_answer=True, thinking_end="")
    wanted = Generation.objects.filter(wishes, pk__in=ids, state=State.RUNNING)
    found = list(wanted.values_list("pk", "wants_stop", "wants_answer"))
    return Wanted(
        frozenset(pk for pk, stop, _answer in found if stop), frozenset(pk for pk, _stop, answer in found if answer)
    )


def _database_uuid(value: uuid.UUID) -> str:
    return str(value) if connection.features.has_native_uuid_field else value.hex
