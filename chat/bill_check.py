"""Whether every generation is billed for what it used: generation = its segments = its lines of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from accounts.models import LedgerEntry
from chat.models import Generation, Segment

COUNTED = ("prompt_tokens", "cached_tokens", "thinking_tokens", "answer_tokens")
AT_ONCE = 500

Counts = tuple[int, ...]


def differences() -> Iterator[str]:
    """Sentences, one for each generation whose sums differ. What runs is billed at its end and left out."""
    ended = Generation.objects.exclude(state__in=Generation.LIVE).order_by("pk").values_list("pk", *COUNTED)
    chunk: list[tuple[UUID, Counts]] = []
    for pk, *counts in ended.iterator(AT_ONCE):
        chunk.append((pk, tuple(counts)))
        if len(chunk) == AT_ONCE:
            yield from _of(chunk)
            chunk = []
    yield from _of(chunk)


def _of(generations: Sequence[tuple[UUID, Counts]]) -> Iterator[str]:
    used, keys = _segments([pk for pk, _counts in generations])
    billed = _entries(keys)
    nothing = (0,) * len(COUNTED)
    for pk, counts in generations:
        for where, sums in (("segments", used.get(pk, nothing)), ("ledger", billed.get(pk, nothing))):
            for name, mine, others in zip(COUNTED, counts, sums, strict=True):
                if mine != others:
                    yield f"{pk}: {name} {mine} in the generation, {others} in the {where}"


def _segments(pks: Sequence[UUID]) -> tuple[dict[UUID, Counts], dict[str, UUID]]:
    """Sums of each, and under which keys the ledger has them."""
    sums: dict[UUID, Counts] = {}
    keys: dict[str, UUID] = {}
    for pk, attempt, *counts in Segment.objects.filter(generation__in=pks).values_list(
        "generation_id", "attempt", *COUNTED
    ):
        sums[pk] = _added(sums.get(pk), counts)
        keys |= {f"{pk}/{attempt}/{kind}": pk for kind in ("use", "part", "idle", "correction")}
    return sums, keys


def _entries(keys: dict[str, UUID]) -> dict[UUID, Counts]:
    sums: dict[UUID, Counts] = {}
    for key, *counts in LedgerEntry.objects.filter(key__in=keys).values_list("key", *COUNTED):
        sums[keys[key]] = _added(sums.get(keys[key]), counts)
    return sums


def _added(sums: Counts | None, counts: Sequence[int]) -> Counts:
    return tuple(a + b for a, b in zip(sums or (0,) * len(counts), counts, strict=True))
