"""A question that an engine stumbles over is its asker's trouble alone."""

from __future__ import annotations

import pytest

from tests.faults.asking import question
from tests.stack import Stack
from tests.tab import Tab

LONG = 90


@pytest.mark.parametrize("fault", ["error=500", "end_after=0"])
async def test_the_engine_stays_ready_for_everybody_else(stack: Stack, fault: str) -> None:
    since = _since(stack)
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(question(fault))
        await tab.settled(shown, seconds=LONG)
        assert shown.settled is not None
        assert (shown.settled["state"], shown.settled["reason"]) == ("failed", "engine_unreachable")
    assert _since(stack) == since, "it was never taken out of the line"


def _since(stack: Stack) -> list[str]:
    """When each deployment came into its state, with the state."""
    rows = "Deployment.objects.order_by('pk').values_list('state', 'state_since')"
    return list(stack.orm(f"from models_admin.models import Deployment; result = [f'{{a}} {{b}}' for a, b in {rows}]"))
