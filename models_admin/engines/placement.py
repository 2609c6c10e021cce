"""Which replica of a model takes an answer: filters, then scorers. Pure; a choice, or why there is none.

Only where it runs is decided here. When it runs is the line's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Why(StrEnum):
    """Why a replica cannot take it."""

    NOT_WARM = "not_warm"
    FULL = "full"
    CLOUD = "cloud"
    FAILING = "failing"
    CANNOT_GO_ON = "cannot_go_on"


@dataclass(frozen=True)
class Replica:
    """A deployment of the model. `busy` of its `slots` hold an answer.

    One that failed again and again rests, and then is on trial: it gets one answer at a time until one succeeds.
    `abilities` are fields of `Capabilities` that its engine has.
    """

    id: int
    slots: int
    busy: int
    is_warm: bool = True
    is_cloud: bool = False
    is_resting: bool = False
    is_on_trial: bool = False
    abilities: frozenset[str] = frozenset()

    @property
    def free(self) -> int:
        """Answers that it can take now."""
        if not self.is_warm or self.is_resting:
            return 0
        return max(0, (1 if self.is_on_trial else self.slots) - self.busy)

    @property
    def load(self) -> float:
        return self.busy / self.slots


@dataclass(frozen=True)
class Wish:
    """What is known of the answer: the replica of the conversation's previous one, whether it must stay at home, and
    the ability that it takes to go on behind its text ('' where there is none)."""

    previous: int | None = None
    stays_home: bool = False
    ability: str = ""


@dataclass(frozen=True)
class Nowhere:
    """No replica takes it: `reasons` by replica id."""

    reasons: dict[int, Why]

    @property
    def is_forbidden(self) -> bool:
        """Waiting will not help: every replica is a cloud's, and this must stay at home, or cannot go on with it."""
        return bool(self.reasons) and set(self.reasons.values()) <= {Why.CLOUD, Why.CANNOT_GO_ON}


def place(wish: Wish, replicas: Sequence[Replica]) -> Replica | Nowhere:
    """The best of those that can: at home before a cloud, then where the conversation was, then the least loaded.

    The previous replica still holds the conversation's prefix in its cache: reading it again costs what the whole
    prompt costs, and an idle one elsewhere is no faster for it.
    """
    reasons = {replica.id: why for replica in replicas if (why := _hindrance(wish, replica))}
    able = [replica for replica in replicas if replica.id not in reasons]
    if not able:
        return Nowhere(reasons)
    return min(able, key=lambda each: (each.is_cloud, each.id != wish.previous, each.load, each.id))


def taken(replicas: Sequence[Replica], chosen: Replica) -> list[Replica]:
    """The replicas after `chosen` has taken one more answer."""
    return [replace(each, busy=each.busy + 1) if each.id == chosen.id else each for each in replicas]


def _hindrance(wish: Wish, replica: Replica) -> Why | None:
    if replica.is_cloud and wish.stays_home:
        return Why.CLOUD
    if wish.ability and wish.ability not in replica.abilities:
        return Why.CANNOT_GO_ON
    if not replica.is_warm:
        return Why.NOT_WARM
    if replica.free:
        return None
    return Why.FAILING if replica.is_on_trial else Why.FULL
