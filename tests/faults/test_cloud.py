"""The DeepSeek API beside local models: who may use it, what it costs, and what still works when it is away.

The cloud is played from its documentation, the rest is the real site.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests import recorded_rules
from tests.processes import until
from tests.recorded_engine import Replay, Rule, playing
from tests.stack import MODEL, Person, Stack
from tests.tab import Tab

CLOUD = "deepseek-flash"
LONG = 60


@pytest.fixture
def cloud(stack: Stack, tmp_path: Path) -> Iterator[Replay]:
    """The cloud, attached to the site under a key."""
    replay = recorded_rules.deepseek()
    key_file = tmp_path / "key"
    key_file.write_text(replay.key)
    with playing(replay) as url:
        stack.manage("attach_engine", url, "--kind", "deepseek", "--model", CLOUD, "--key-file", str(key_file))
        yield replay
        stack.orm(
            "from models_admin.models import Deployment, Engine, SlotLease;"
            "SlotLease.objects.filter(deployment__engine__kind='deepseek').delete();"
            "Deployment.objects.filter(engine__kind='deepseek').delete();"
            "Engine.objects.filter(kind='deepseek').delete(); result = None"
        )


@pytest.fixture
def member(stack: Stack) -> Person:
    """Somebody whose group may use the cloud."""
    person = stack.person()
    stack.orm(
        "from accounts.models import Group;"
        "group, _ = Group.objects.get_or_create(name='clouded', defaults={'may_use_cloud': True});"
        "User.objects.filter(pk=pk).update(main_group=group); result = None",
        pk=person.pk,
    )
    return person


def client_of(stack: Stack, person: Person) -> Any:
    secret = stack.manage("api_token", "create", person.name, "--name", "t").strip()
    return openai.OpenAI(base_url=f"{stack.url()}/v1", api_key=secret, max_retries=0, timeout=LONG)


def ask(client: Any, text: str, model: str = CLOUD) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


def states(stack: Stack) -> list[str]:
    code = "from models_admin.models import Deployment; result = list("
    return list(stack.orm(code + "Deployment.objects.filter(engine__kind='deepseek').values_list('state', flat=True))"))


def test_an_answer_of_the_cloud_is_billed_and_its_asker_stays_unknown_there(
    stack: Stack, cloud: Replay, member: Person
) -> None:
    client = client_of(stack, member)
    assert CLOUD in {model.id for model in client.models.list()}
    found = ask(client, "12+34=?")
    assert (found.choices[0].message.reasoning_content, found.choices[0].message.content) == (
        "12 and 34 are 46.",
        "12 + 34 = **46**",
    )
    sent = next(body for path, body in reversed(cloud.seen) if path == "/chat/completions")
    assert re.fullmatch(r"[0-9a-f]{64}", sent["user_id"])
    assert member.name not in json.dumps(sent)
    row = stack.orm(
        "from accounts.models import LedgerEntry, User; u = User.objects.get(pk=pk);"
        "result = list(LedgerEntry.objects.filter(ledger_id=u.ledger_id)"
        ".values_list('prompt_tokens', 'cached_tokens', 'thinking_tokens', 'answer_tokens', 'cost_micro', 'currency'))",
        pk=member.pk,
    )
    # 4 tokens of prompt at 0.15, 16 from the cache at 0.003, 9 written at 0.60 for a million, or twice that at peak.
    assert row in ([[20, 16, 5, 4, 6, "USD"]], [[20, 16, 5, 4, 12, "USD"]])


def test_a_cloud_that_tells_more_from_the_cache_than_was_sent_pays_nobody(
    stack: Stack, cloud: Replay, member: Person
) -> None:
    cloud.rules = (Rule("POST", "/chat/completions", "documented/deepseek_cache_too_large"), *cloud.rules)
    ask(client_of(stack, member), "12+34=?")
    code = "from accounts.models import LedgerEntry, User; u = User.objects.get(pk=pk);"
    code += (
        "result = list(LedgerEntry.objects.filter(ledger_id=u.ledger_id).values_list('cached_tokens', 'cost_micro'))"
    )
    ((cached, cost),) = stack.orm(code, pk=member.pk)
    assert cached == 20 and cost > 0


def test_an_answer_that_breaks_off_is_billed_by_estimate(stack: Stack, cloud: Replay, member: Person) -> None:
    with pytest.raises(openai.APIStatusError):
        ask(client_of(stack, member), "break off " * 10)
    row = stack.orm(
        "from accounts.models import LedgerEntry, User; u = User.objects.get(pk=pk);"
        "result = list(LedgerEntry.objects.filter(ledger_id=u.ledger_id).values_list('prompt_tokens', 'cost_micro'))",
        pk=member.pk,
    )
    assert row[0][0] == 30, "a hundred letters at 0.3"
    assert row[0][1] > 0


def test_who_may_not_use_the_cloud_neither_sees_nor_reaches_it(stack: Stack, cloud: Replay) -> None:
    client = client_of(stack, stack.person())
    assert CLOUD not in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        ask(client, "hello")
    assert not [path for path, _ in cloud.seen if "completions" in path]


async def test_a_conversation_kept_from_clouds_does_not_go_there(stack: Stack, cloud: Replay, member: Person) -> None:
    async with Tab(stack, member) as tab:
        shown = await tab.ask("say 1+1")
        await tab.settled(shown, seconds=LONG)
        conversation = stack.orm(
            "from chat.models import Conversation; row = Conversation.objects.get(user_id=pk);"
            "row.is_local_only = True; row.save(); result = str(row.pk)",
            pk=member.pk,
        )
        wish = {"key": str(uuid.uuid4()), "text": "and now?", "model": CLOUD, "conversation": conversation}
        answer = await tab.wish("ask", **wish)
        assert (answer["type"], answer["code"]) == ("error", "local_only")
    assert not [path for path, _ in cloud.seen if "completions" in path]


def test_rights_that_went_while_a_question_waited_keep_it_at_home(stack: Stack, cloud: Replay, member: Person) -> None:
    generation = stack.orm(
        "import uuid; from models_admin.models import Deployment;"
        "Deployment.objects.filter(engine__kind='deepseek').update(state='quarantined');"
        "from chat.generation import submit, Ask; u = User.objects.get(pk=pk);"
        "made = submit(u, Ask(key=uuid.uuid4(), text='secret', model=model)); result = str(made.generation)",
        pk=member.pk,
        model=CLOUD,
    )
    stack.orm(
        "from models_admin.models import Deployment; User.objects.filter(pk=pk).update(main_group=None);"
        "Deployment.objects.filter(engine__kind='deepseek').update(state='warm'); result = None",
        pk=member.pk,
    )
    code = "from chat.models import Generation; g = Generation.objects.get(pk=pk); result = [g.state, g.reason]"
    until(lambda: stack.orm(code, pk=generation)[0] == "failed", "it ends", LONG)
    assert stack.orm(code, pk=generation) == ["failed", "cloud_not_allowed"]
    assert not [path for path, _ in cloud.seen if "completions" in path]


def test_a_used_up_account_is_told_and_local_models_go_on(stack: Stack, cloud: Replay, member: Person) -> None:
    client = client_of(stack, member)
    with pytest.raises(openai.APIStatusError) as told:
        ask(client, "no credit")
    assert (told.value.status_code, told.value.body["code"]) == (503, "out_of_credit")  # type: ignore[index, call-overload]
    assert states(stack) == ["failed"], "nobody else is sent into the same wall"
    assert ask(client, "say 1+1", MODEL).choices[0].message.content
    until(lambda: states(stack) == ["warm"], "the account is found to be good again", LONG)


def test_the_key_is_nowhere_but_encrypted(stack: Stack, cloud: Replay, member: Person) -> None:
    ask(client_of(stack, member), "12+34=?")
    stored = stack.orm("from models_admin.models import Engine; result = Engine.objects.get(kind='deepseek').secret")
    assert cloud.key not in stored
    assert cloud.key not in stack.runner_log()
