"""What was billed, beside what the scripted engine noted itself of each request: where it began and what it wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.stack import Stack

PARTS = """
rows = Generation.objects.select_related('message__parent').prefetch_related('segments')
result = [dict(question=g.message.parent.text, state=g.state, thinking=g.message.thinking, text=g.message.text,
    parts=[dict(thinking_from=s.thinking_from, text_from=s.text_from, finish=s.finish, prompt=s.prompt_tokens,
        tokens=s.thinking_tokens + s.answer_tokens) for s in sorted(g.segments.all(), key=lambda s: s.attempt)])
    for g in rows]
"""
READ_TO_ITS_END = ("stop", "length")


@dataclass
class Request:
    """`begun` tokens were there, `tokens` it wrote; None where the engine itself was killed before it could say."""

    prompt: int
    begun: int
    tokens: int | None = None
    is_whole: bool = False


def strange_parts(stack: Stack) -> tuple[list[str], str]:
    """Sentences, one for each part that was billed otherwise than written; and a line that sums all up."""
    requests, rows = _requests(stack.engine_entries()), stack.orm(PARTS)
    found = [sentence for row in rows for sentence in _of_row(row, requests.get(row["question"], []))]
    billed = sum(part["tokens"] for row in rows for part in row["parts"])
    written = sum(each.tokens or 0 for of_one in requests.values() for each in of_one)
    states, parts = Counter(row["state"] for row in rows), Counter(len(row["parts"]) for row in rows)
    killed = sum(each.tokens is None for of_one in requests.values() for each in of_one)
    return found, (
        f"{len(rows)} answers {dict(states)}, by parts {dict(parts)}; {billed} tokens billed, {written} noted by the"
        f" engine, which was killed in {killed} more requests"
    )


def _requests(entries: list[dict[str, Any]]) -> dict[str, list[Request]]:
    """By question, oldest first. A killed engine counts from 1 again."""
    found: dict[str, list[Request]] = {}
    by_id: dict[int, Request] = {}
    for entry in entries:
        if entry["event"] == "start":
            request = by_id[entry["id"]] = Request(entry["prompt"], entry["begun"])
            found.setdefault(entry["user"], []).append(request)
        else:
            request = by_id[entry["id"]]
            request.tokens, request.is_whole = entry["tokens"], entry["reason"] == "done"
    return found


def _of_row(row: dict[str, Any], requests: list[Request]) -> Iterator[str]:
    name, expected = f"{row['question']} ({row['state']})", 0
    for part in row["parts"]:
        begun = _count(row["thinking"][: part["thinking_from"]]) + _count(row["text"][: part["text_from"]])
        if begun != expected:
            yield f"{name}: a part begins behind {begun} tokens, {expected} were billed before it"
        expected = begun + part["tokens"]
        of_part = [each for each in requests if each.begun == begun]
        if part["finish"] in READ_TO_ITS_END:
            if (part["tokens"], part["prompt"]) not in [(e.tokens, e.prompt) for e in of_part if e.is_whole]:
                yield f"{name}: billed {part}, the engine says {of_part}"
        elif not any(each.tokens is None or part["tokens"] <= each.tokens for each in of_part):
            yield f"{name}: billed {part}, more than the engine says: {of_part}"
    if expected != (there := _count(row["thinking"]) + _count(row["text"])):
        yield f"{name}: {there} tokens stand there, {expected} were billed"


def _count(text: str) -> int:
    return len(text.split())
