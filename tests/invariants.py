"""The one checker: what clients showed, the database, the ledger, reservations, slots and the engine's own log agree.

`violations(stack, tabs)` is called after every fault, when nothing runs any more. An empty list means all is well.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from tests import scripted_text
from tests.tab import Shown, Tab

TAG = re.compile(r"\[[0-9a-f]{32}\]")
LIVE = {"waiting", "released", "running"}
READ = """
rows = Generation.objects.select_related('message__parent')
result = {
    'generations': [dict(id=str(g.pk), message=str(g.message_id), state=g.state,
        reason=g.reason, attempt=g.attempt, last_seq=g.last_seq,
        question=g.message.parent.text, text=g.message.text, thinking=g.message.thinking,
        end=g.thinking_end,
        tokens=[g.prompt_tokens, g.thinking_tokens, g.answer_tokens]) for g in rows],
    'uses': [e.key.split('/')[0] for e in LedgerEntry.objects.filter(key__endswith='/use')],
    'segments': {f'{s.generation_id}/{s.attempt}': [s.prompt_tokens, s.thinking_tokens, s.answer_tokens]
        for s in Segment.objects.all()},
    'ledger': {e.key.rpartition('/')[0]: [e.prompt_tokens, e.thinking_tokens, e.answer_tokens]
        for e in LedgerEntry.objects.all()},
    'open': [str(r.generation_id) for r in Reservation.objects.filter(state='open')],
    'reserved': sum(c.reserved for c in QuotaCounter.objects.all()),
    'slots': [str(s.holder) for s in SlotLease.objects.all()],
}
"""


class Site(Protocol):
    """A site whose tables can be read, and its engine's own account."""

    def orm(self, code: str, **names: object) -> Any: ...
    def engine_entries(self) -> list[dict[str, Any]]: ...


def violations(stack: Site, tabs: Iterable[Tab] = ()) -> list[str]:
    """Sentences, one for each thing that should not be."""
    state = stack.orm(READ)
    by_id = {row["id"]: row for row in state["generations"]}
    written: Counter[str] = Counter()  # by message: one answer may be gone on with by a second wish
    for row in by_id.values():
        written[row["message"]] += sum(row["tokens"][1:])
    found = [
        sentence
        for row in by_id.values()
        for sentence in (*_of_row(row, written[row["message"]]), *_of_bill(row, state))
    ]
    found += _of_holdings(state)
    found += _of_engine(stack.engine_entries(), by_id.values())
    for tab in tabs:
        for shown in tab.shown.values():
            found += _of_tab(shown, by_id.get(shown.generation))
    return found


def _of_row(row: dict[str, Any], written: int) -> Iterator[str]:
    name, script = f"{row['id']} ({row['state']} {row['reason']})", scripted_text.read(row["question"])
    if row["state"] in LIVE:
        yield f"{name} has not ended"
    elif row["state"] == "done":
        is_cut = bool(row["end"]) and script.thinking_text.startswith(row["thinking"])
        thought = row["thinking"].split() if is_cut else script.thinking
        if (row["thinking"], row["text"]) != ("".join(script.thinking[: len(thought)]), script.answer_text):
            yield f"{name}: the stored text is not what the engine says: …{row['text'][-60:]!r}"
        if written != len(thought) + len(script.answer):
            yield f"{name}: {written} tokens counted for {len(script.thinking)}+{len(script.answer)}"
    else:
        if not row["reason"]:
            yield f"{name} has no reason"
        if not script.thinking_text.startswith(row["thinking"]) or not script.answer_text.startswith(row["text"]):
            yield f"{name}: the partial text is no beginning of what the engine says: …{row['text'][-60:]!r}"


def _of_bill(row: dict[str, Any], state: dict[str, Any]) -> Iterator[str]:
    mine = [key for key in state["segments"] if key.startswith(row["id"])]
    if len(mine) > row["attempt"] or (row["state"] == "done" and not mine):
        yield f"{row['id']} has {len(mine)} segments after {row['attempt']} attempts"
    if mine and state["uses"].count(row["id"]) != 1:
        yield f"{row['id']} counts as {state['uses'].count(row['id'])} requests"
    for key in mine:
        if state["ledger"].get(key) != state["segments"][key]:
            yield f"{key}: ledger {state['ledger'].get(key)} for segment {state['segments'][key]}"
    billed = [sum(state["segments"][key][place] for key in mine) for place in range(3)]
    if mine and billed != row["tokens"]:
        yield f"{row['id']} was billed {billed} for {row['tokens']}"


def _of_holdings(state: dict[str, Any]) -> Iterator[str]:
    if strange := set(state["ledger"]) - set(state["segments"]):
        yield f"ledger entries without a segment: {sorted(strange)}"
    if state["open"]:
        yield f"open reservations: {state['open']}"
    if state["reserved"]:
        yield f"{state['reserved']} still reserved in counters"
    if state["slots"]:
        yield f"slots still leased to {state['slots']}"


def _of_engine(entries: list[dict[str, Any]], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    starts = Counter(_tag(entry["user"]) for entry in entries if entry["event"] == "start")
    attempts: Counter[str] = Counter()
    for row in rows:
        attempts[_tag(row["question"])] += row["attempt"] + bool(row["end"])
    for question, count in starts.items():
        if count > attempts[question]:
            yield f"{question[:60]!r} was started {count} times in {attempts[question]} attempts"
    if unclosed := _unclosed(entries):
        yield f"{len(unclosed)} requests still open at the engine: {sorted(unclosed)}"


def _tag(question: str) -> str:
    """What tells a question from all others; the drivers change control tokens in the rest of it."""
    found = TAG.search(question)
    return found[0] if found else question[:100]


def _unclosed(entries: list[dict[str, Any]]) -> set[int]:
    """Of the engine's last life: a killed one closes nothing, and the next one counts from 1 again."""
    still_open: set[int] = set()
    newest = 0
    for entry in entries:
        if entry["event"] == "start":
            still_open = still_open if entry["id"] > newest else set()
            newest = entry["id"]
            still_open.add(entry["id"])
        else:
            still_open.discard(entry["id"])
    return still_open


def _of_tab(shown: Shown, row: dict[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield f"a tab shows {shown.generation}, which is not in the database"
        return
    if shown.settled is None:
        yield f"a tab was never told the end of {shown.generation}"
        return
    for channel, here, there in (("answer", shown.answer, row["text"]), ("thinking", shown.thinking, row["thinking"])):
        if here != there:
            where = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), "the end")
            yield f"{shown.generation}: tab and database differ in {channel} ({len(here)}, {len(there)}) at {where}"
    if shown.settled["sha256"] != hashlib.sha256(shown.answer.encode()).hexdigest():
        yield f"{shown.generation}: the digest is not that of what is shown"
    if shown.settled["state"] != row["state"]:
        yield f"{shown.generation}: told {shown.settled['state']}, stored {row['state']}"
