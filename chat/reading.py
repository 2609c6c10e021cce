"""Reading an engine's answer into its log, at its deployment's pace, and ending the thought where that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace

from django.db import DatabaseError

from chat import thinking_end
from chat.answer_log import ANSWER, THINKING
from chat.claiming import left_of
from chat.database import in_database
from chat.live_answer import ANSWER_LIMIT, Live
from chat.stream_log import Writer
from models_admin.backends import base

log = logging.getLogger(__name__)
KINDS = {"thinking": THINKING, "answer": ANSWER}


async def read(live: Live, driver: base.Driver, writer: Writer) -> None:
    """All of it; what went wrong is left in `live.error`."""
    try:
        await _read(live, driver, writer, live.work.request)
        if live.thinking_end:
            await _tell_thinking_end(live, writer)
            await _read(live, driver, writer, _answering(live))
    except base.BackendError as error:
        live.error = error
    except Exception:  # a driver that stumbles over what an engine sends must not leave an answer without an end
        log.exception("generation %s: the driver failed", live.log.generation)
        live.error = base.BackendError("the driver failed")


async def _read(live: Live, driver: base.Driver, writer: Writer, request: base.ChatRequest) -> None:
    """Until its end, or until the thought shall end: then the engine is left, and its slot is free."""
    async with contextlib.aclosing(driver.chat(request)) as stream:
        async for item in stream:
            if isinstance(item, base.Delta):
                await _take(live, writer, item)
                if live.shall_answer:
                    live.end_thinking()
                    return
            elif isinstance(item, base.Finish):
                live.finish = item


async def _tell_thinking_end(live: Live, writer: Writer) -> None:
    with contextlib.suppress(DatabaseError):  # the line on the page is worth no answer
        await in_database(thinking_end.note, live.work.generation_id, live.work.attempt, live.thinking_end)
    await writer.tell_stage(live.log, thinking_end.STAGES[live.thinking_end])


def _answering(live: Live) -> base.ChatRequest:
    """The same question behind a closed thought."""
    prefix = base.Prefix(live.log.text(THINKING), "")
    written = live.thinking_tokens + live.answer_tokens
    return replace(live.work.request, prefix=prefix, max_tokens=left_of(live.work.request.max_tokens, written))


async def _take(live: Live, writer: Writer, delta: base.Delta) -> None:
    now = time.monotonic()
    live.first_token = live.first_token or now
    if delta.kind == "answer":
        live.first_answer = live.first_answer or now
    live.characters += len(delta.text)
    if live.characters > ANSWER_LIMIT:
        raise base.BrokeOff("the answer is too long")
    for text, tokens in _paces(delta) if live.work.tokens_per_second else [(delta.text, delta.tokens)]:
        writer.add(live.log, KINDS[delta.kind], text, tokens)
        await _keep_pace(live)
    await writer.keep_step()


async def _keep_pace(live: Live) -> None:
    pace = live.work.tokens_per_second
    if pace and live.first_token is not None:
        count = live.thinking_tokens + live.answer_tokens
        await asyncio.sleep(max(0.0, live.first_token + count / pace - time.monotonic()))


def _paces(delta: base.Delta) -> list[tuple[str, int]]:
    """A delta of several tokens in about as many pieces, so that a paced stream does not come in lumps."""
    count = max(1, min(delta.tokens, len(delta.text)))
    cuts = [len(delta.text) * index // count for index in range(count + 1)]
    pieces = [(delta.text[start:end], 1) for start, end in itertools.pairwise(cuts)]
    return [*pieces[:-1], (pieces[-1][0], delta.tokens - count + 1)]
