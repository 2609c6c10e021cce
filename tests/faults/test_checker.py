"""The checker itself: each thing that should not be is seen, or no fault test would mean anything."""

from __future__ import annotations

import pytest

from tests.faults.asking import question
from tests.invariants import violations
from tests.stack import Stack
from tests.tab import Tab

LONG = 90


@pytest.mark.parametrize(
    ("deed", "undoing", "told"),
    [
        ("m = G.message; m.text += 'x'; m.save()", "m = G.message; m.text = m.text[:-1]; m.save()", "tab and database"),
        ("S.update(answer_tokens=1)", "S.update(answer_tokens=10)", "ledger"),
        (
            "SlotLease.objects.create(deployment=G.deployment, number=9, holder=pk)",
            "SlotLease.objects.all().delete()",
            "slots",
        ),
        ("R.update(state='open')", "R.update(state='settled')", "open reservations"),
        (
            "Generation.objects.filter(pk=pk).update(attempt=0)",
            "Generation.objects.filter(pk=pk).update(attempt=1)",
            "was started 1 times in 0 attempts",
        ),
    ],
    ids=["text", "ledger", "slot", "reservation", "started twice"],
)
async def test_a_wrong_is_seen(stack: Stack, deed: str, undoing: str, told: str) -> None:
    names = (
        "G = Generation.objects.get(pk=pk); R = Reservation.objects.filter(generation_id=pk);"
        "S = Segment.objects.filter(generation_id=pk);"
    )
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(question("say 5+10"))
        await tab.settled(shown, seconds=LONG)
        assert violations(stack, [tab]) == []
        stack.orm(names + deed, pk=shown.generation)
        found = violations(stack, [tab])
        stack.orm(names + undoing, pk=shown.generation)
        assert any(told in sentence for sentence in found), found
        assert violations(stack, [tab]) == []


async def test_a_lost_piece_is_seen(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(question("say 5+10"))
        await tab.settled(shown, seconds=LONG)
        shown.answer = shown.answer.replace(" t0105", "")
        assert len(violations(stack, [tab])) == 2
