"""What has to leave a host's memory so that a model fits: least recently used first. Pure; a choice, or why none.

Bytes everywhere. Only deployments are counted here; what other programs hold is missing from `free` already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Why there is no room."""

    TOO_BIG = "too_big"
    PINNED = "pinned"
    IN_USE = "in_use"


@dataclass(frozen=True)
class Card:
    """A GPU, or the machine's own memory where it has none. `free` for models now."""

    total: int
    free: int


@dataclass(frozen=True)
class Resident:
    """A deployment in memory. `cards` it lies on, () = all. `used_at` only orders: smaller is longer ago."""

    id: int
    bytes: int
    used_at: float
    is_busy: bool = False
    is_pinned: bool = False
    cards: tuple[int, ...] = ()


@dataclass(frozen=True)
class Need:
    """`bytes` spread over all cards, or where `cards` is not 0 so many bytes on each of so many cards."""

    bytes: int
    cards: int = 0


@dataclass(frozen=True)
class Room:
    """`unloads` are to go first, the least recently used first; `cards` are indices where the need named a number."""

    unloads: tuple[int, ...] = ()
    cards: tuple[int, ...] = ()


@dataclass(frozen=True)
class NoRoom:
    why: Why


def make_room(need: Need, cards: Sequence[Card], residents: Sequence[Resident]) -> Room | NoRoom:
    """Unload as little as will do, of those that nobody uses and no pin holds."""
    ours = sorted((each for each in residents if not each.is_busy and not each.is_pinned), key=lambda r: r.used_at)
    gone: list[Resident] = []
    for resident in [None, *ours]:
        gone += [resident] if resident else []
        if _fits(need, cards, gone):
            return _least(need, cards, gone)
    return NoRoom(_why(need, cards, residents))


def without(cards: Sequence[Card], residents: Sequence[Resident]) -> list[Card]:
    """The cards with no more free than their total less what is known to lie there: a look at them may be old."""
    taken = [0.0] * len(cards)
    for resident in residents:
        for index in (on := _on(resident, cards)):
            taken[index] += resident.bytes / len(on)
    return [
        Card(card.total, max(0, min(card.free, card.total - round(used))))
        for card, used in zip(cards, taken, strict=True)
    ]


def _least(need: Need, cards: Sequence[Card], gone: list[Resident]) -> Room:
    """The last one made it fit; of those before it the most recently used that need not go may stay."""
    for resident in reversed(gone[:-1]):
        fewer = [each for each in gone if each is not resident]
        if _fits(need, cards, fewer):
            gone = fewer
    free = _free(cards, gone)
    roomiest = sorted(range(len(cards)), key=lambda index: (-free[index], index))[: need.cards]
    return Room(tuple(each.id for each in gone), tuple(sorted(roomiest)))


def _why(need: Need, cards: Sequence[Card], residents: Sequence[Resident]) -> Why:
    if not _fits(need, cards, residents):
        return Why.TOO_BIG
    unpinned = [each for each in residents if not each.is_pinned]
    return Why.IN_USE if _fits(need, cards, unpinned) else Why.PINNED


def _fits(need: Need, cards: Sequence[Card], gone: Collection[Resident]) -> bool:
    free = _free(cards, gone)
    if need.cards:
        return sum(each >= need.bytes for each in free) >= need.cards
    return sum(free) >= need.bytes


def _free(cards: Sequence[Card], gone: Collection[Resident]) -> list[float]:
    free = [float(card.free) for card in cards]
    for resident in gone:
        for index in (on := _on(resident, cards)):
            free[index] = min(free[index] + resident.bytes / len(on), cards[index].total)
    return free


def _on(resident: Resident, cards: Sequence[Card]) -> Sequence[int]:
    return [index for index in resident.cards if index < len(cards)] or range(len(cards))
