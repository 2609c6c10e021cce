"""Models in and out of memory through the whole site: a scripted Ollama that holds one of two, and its bad days."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.processes import until
from tests.scripted_ollama import ScriptedOllama, serving
from tests.stack import Stack

GIB = 1 << 30
ONE, TWO, THREE = "one:latest", "two:latest", "three:latest"


@pytest.fixture(scope="module")
def warming_stack() -> Iterator[Stack]:
    made = Stack()
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def box(warming_stack: Stack) -> Iterator[ScriptedOllama]:
    """Three models of which two fit, none of them in memory."""
    with serving(one=GIB, two=GIB, three=GIB) as ollama:
        for name in ollama.models:
            warming_stack.manage("attach_engine", ollama.address, "--kind", "ollama", "--model", name,
                                 "--slots", "2", "--context", "4096")  # fmt: skip
        warming_stack.orm(
            "rows = Deployment.objects.filter(engine__base_url=url)\n"
            "rows.update(measured_bytes=size)\n"
            "Host.objects.update(memory_limit_bytes=limit)\n",
            url=ollama.address, size=GIB, limit=2 * GIB + GIB // 2,
        )  # fmt: skip
        until(lambda: warming_stack.orm("result = bool(Host.objects.get().inventory)"), "the agent has looked", 30)
        yield ollama
        ollama.may_load.set()
        ollama.may_answer.set()
        until(lambda: not warming_stack.orm("result = SlotLease.objects.count()"), "nothing runs", 30)
        warming_stack.orm(
            """
from django.utils import timezone
Generation.objects.filter(state='waiting').update(state='stopped', ended_at=timezone.now())
Pin.objects.all().delete()
Generation.objects.update(deployment=None)
rows = Deployment.objects.filter(engine__base_url=url)
Segment.objects.filter(deployment__in=rows).update(deployment=None)
rows.delete()
Engine.objects.filter(base_url=url).delete()
""",
            url=ollama.address,
        )
        warming_stack.revive()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


class Asking:
    """A script's questions."""

    def __init__(self, stack: Stack, pool: ThreadPoolExecutor) -> None:
        self.stack, self._pool = stack, pool
        person = stack.person()
        self._token = stack.orm(
            "from accounts import tokens\nresult = tokens.create(User.objects.get(pk=pk), name='script')[1]",
            pk=person.pk,
        )

    def ask(self, model: str) -> Future[str]:
        return self._pool.submit(self._ask, model)

    def _ask(self, model: str) -> str:
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Count"}]}).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.stack.url()}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            found: str = json.load(response)["choices"][0]["message"]["content"]
            return found


@pytest.fixture
def script(warming_stack: Stack, pool: ThreadPoolExecutor) -> Asking:
    return Asking(warming_stack, pool)


def state(stack: Stack, model: str) -> list[Any]:
    found: list[Any] = stack.orm(
        "result = list(Deployment.objects.filter(artifact__ref=model).values_list('state', 'reason', 'stage')[0])",
        model=model,
    )
    return found


def until_state(stack: Stack, model: str, wanted: str) -> list[Any]:
    until(lambda: state(stack, model)[0] == wanted, f"{model} is {wanted}", 30)
    return state(stack, model)


def order(stack: Stack, verb: str, model: str, **more: str) -> None:
    """What an admin's page does."""
    stack.orm(
        "from models_admin.loads import warming\n"
        "row = Deployment.objects.select_related('engine').get(artifact__ref=model)\n"
        "getattr(warming, verb)(row, by='ada', **more)",
        verb=verb, model=model, more=more,
    )  # fmt: skip


def warm(stack: Stack, model: str) -> None:
    order(stack, "warm", model)
    until_state(stack, model, "warm")


def test_a_cold_model_is_loaded_because_somebody_asks_for_it(
    warming_stack: Stack, box: ScriptedOllama, script: Asking
) -> None:
    until_state(warming_stack, ONE, "stopped")
    assert "t0012" in script.ask(ONE).result(60)
    assert box.loaded == {ONE: 4096} and state(warming_stack, ONE)[0] == "warm"
    assert box.contexts() == {4096}
    speeds = warming_stack.orm("result = list(Measurement.objects.values_list('streams', 'tokens_per_second'))")
    assert speeds and speeds[0][0] == 1 and speeds[0][1] > 0


def test_the_model_that_nobody_used_for_longest_makes_room(
    warming_stack: Stack, box: ScriptedOllama, script: Asking
) -> None:
    for model in (ONE, TWO, ONE):
        script.ask(model).result(60)
    script.ask(THREE).result(60)
    assert set(box.loaded) == {ONE, THREE}
    verbs = warming_stack.orm(
        "result = list(AuditEntry.objects.filter(object_name__startswith=model).values_list('verb', 'actor', 'after'))",
        model=TWO,
    )
    assert ["unload", "", "draining"] in verbs


def test_what_is_answering_is_never_unloaded_and_who_waits_is_told_why(
    warming_stack: Stack, box: ScriptedOllama, script: Asking
) -> None:
    warm(warming_stack, ONE)
    warm(warming_stack, TWO)
    box.may_answer.clear()
    running = [script.ask(ONE), script.ask(TWO)]
    until(lambda: warming_stack.orm("result = SlotLease.objects.count()") == 2, "both answer", 30)
    third = script.ask(THREE)
    until(lambda: state(warming_stack, THREE)[1] == "no_room_in_use", "the reason is known", 30)
    assert set(box.loaded) == {ONE, TWO}
    box.may_answer.set()
    assert all("t0012" in each.result(60) for each in [*running, third])
    assert THREE in box.loaded and len(box.loaded) == 2


def test_a_pinned_model_stays_and_the_other_one_goes(warming_stack: Stack, box: ScriptedOllama, script: Asking) -> None:
    warm(warming_stack, ONE)
    warm(warming_stack, TWO)
    script.ask(TWO).result(60)
    order(warming_stack, "pin", ONE, reason="visitors at three")
    script.ask(THREE).result(60)
    assert set(box.loaded) == {ONE, THREE}


def test_what_somebody_else_unloads_is_noticed_and_loaded_again_when_asked_for(
    warming_stack: Stack, box: ScriptedOllama, script: Asking
) -> None:
    warm(warming_stack, ONE)
    box.loaded.clear()  # `ollama stop`
    assert until_state(warming_stack, ONE, "stopped")[1] == "unloaded_outside"
    script.ask(ONE).result(60)
    assert ONE in box.loaded


@pytest.mark.long
def test_a_load_with_another_context_by_somebody_else_is_not_called_warm(
    warming_stack: Stack, box: ScriptedOllama
) -> None:
    warm(warming_stack, ONE)
    box.loaded[ONE] = 2048
    assert until_state(warming_stack, ONE, "stopped")[1] == "other_context"
    box.loaded[ONE] = 4096
    until_state(warming_stack, ONE, "warm")


def test_a_runner_killed_while_it_loads_costs_nobody_his_question(
    warming_stack: Stack, box: ScriptedOllama, script: Asking
) -> None:
    box.may_load.clear()
    asked = script.ask(ONE)
    until(lambda: box.loads() == [ONE], "the load has begun", 30)
    warming_stack.add_runner()
    warming_stack.runner.kill9()
    until(lambda: len(box.loads()) == 2, "another runner loads it", 60)
    box.may_load.set()
    assert "t0012" in asked.result(60)


@pytest.mark.long
def test_a_load_that_fails_again_and_again_is_left_alone_until_an_admin_says_otherwise(
    warming_stack: Stack, box: ScriptedOllama
) -> None:
    box.fails_loads = True
    for outcome in ("failed", "failed", "quarantined"):
        order(warming_stack, "warm", ONE)
        until_state(warming_stack, ONE, outcome)
    box.fails_loads = False
    warm(warming_stack, ONE)


@pytest.mark.long
def test_an_idle_model_goes_after_its_time_and_not_before(warming_stack: Stack, box: ScriptedOllama) -> None:
    warm(warming_stack, ONE)
    warm(warming_stack, TWO)
    warming_stack.orm(
        "from datetime import timedelta\nfrom django.utils import timezone\n"
        "rows = Deployment.objects.filter(engine__base_url=url)\nrows.update(idle_seconds=3600)\n"
        "rows.filter(artifact__ref=model).update(last_used_at=timezone.now() - timedelta(hours=2))",
        url=box.address, model=ONE,
    )  # fmt: skip
    assert until_state(warming_stack, ONE, "stopped")[1] == "idle"
    assert set(box.loaded) == {TWO}


def test_a_measurement_is_stored_and_gives_the_rate_card(warming_stack: Stack, box: ScriptedOllama) -> None:
    warm(warming_stack, ONE)
    order(warming_stack, "measure", ONE)
    until(lambda: warming_stack.orm("result = RateCard.objects.filter(deployment__artifact__ref=model).count()",
                                    model=ONE), "the rate card is there", 30)  # fmt: skip
    streams = warming_stack.orm(
        "result = list(Measurement.objects.filter(deployment__artifact__ref=model).values_list('streams', flat=True))",
        model=ONE,
    )
    assert sorted(streams) == [1, 1, 2]
    until(lambda: state(warming_stack, ONE) == ["warm", "", ""], "it takes answers again", 10)
