"""The real `openai` client against the real site and the scripted engine."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.processes import until
from tests.stack import MODEL, Stack

THOUGHT, ANSWER = "t0001 t0002 t0003 ", "t0101 t0102"


@pytest.fixture
def secret(stack: Stack) -> str:
    return stack.manage("api_token", "create", stack.person().name, "--name", "t").strip()


@pytest.fixture
def client(stack: Stack, secret: str) -> Any:
    return openai.OpenAI(base_url=f"{stack.url()}/v1", api_key=secret, max_retries=0, timeout=30)


def ask(client: Any, text: str, **more: Any) -> Any:
    turns = [{"role": "system", "content": "be exact"}, {"role": "user", "content": text}]
    return client.chat.completions.create(model=MODEL, messages=turns, **more)


def generations(stack: Stack, secret: str) -> list[list[Any]]:
    """State, thinking tokens and answer tokens of each, oldest first."""
    return list(
        stack.orm(
            "from chat.models import Generation; from accounts.tokens import digest_of;"
            "rows = Generation.objects.filter(token__digest=digest_of(secret)).order_by('created_at');"
            "result = [list(row) for row in rows.values_list('state', 'thinking_tokens', 'answer_tokens')]",
            secret=secret,
        )
    )


def test_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_an_answer_comes_whole_with_thinking_apart_and_usage(client: Any) -> None:
    found = ask(client, "say 3+2")
    message = found.choices[0].message
    assert message.reasoning_content.split() == THOUGHT.split()
    assert message.content.split() == ANSWER.split()
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.completion_tokens == 5
    assert found.usage.completion_tokens_details.reasoning_tokens == 3


def test_the_wish_for_json_reaches_the_engine(client: Any, stack: Stack) -> None:
    ask(client, "say 1+1 as json", response_format={"type": "json_object"})
    asked = [row for row in stack.engine_entries() if row.get("user") == "say 1+1 as json"]
    assert [row["form"] for row in asked] == [{"type": "json_object"}]


def test_a_stream_has_the_same_words_as_the_whole_answer(client: Any) -> None:
    thought = answer = ""
    usage = finish = None
    for chunk in ask(client, "say 3+2", stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            thought += getattr(choice.delta, "reasoning_content", None) or ""
            answer += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert (thought.split(), answer.split(), finish) == (THOUGHT.split(), ANSWER.split(), "stop")
    assert usage is not None and usage.completion_tokens == 5


def test_a_limit_of_tokens_ends_with_length(client: Any) -> None:
    found = ask(client, "say 3+20", max_completion_tokens=5)
    assert found.choices[0].finish_reason == "length"
    assert found.usage.completion_tokens == 5


def test_a_script_that_leaves_a_stream_stops_the_answer_and_frees_the_slot(
    client: Any, stack: Stack, secret: str
) -> None:
    stream = ask(client, "say 10+2000", stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()
    until(lambda: [row[0] for row in generations(stack, secret)] == ["stopped"], "the answer is stopped")
    until(lambda: stack.busy_slots() == 0, "the engine's slot is free")


def test_a_script_that_gives_up_waiting_stops_the_answer(client: Any, stack: Stack, secret: str) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=1.5), "say 10+2000")
    until(lambda: [row[0] for row in generations(stack, secret)] == ["stopped"], "the answer is stopped")


def test_a_failure_of_the_engine_is_an_error_with_its_reason(client: Any) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        ask(client, "say 3+20 dies_every=5")
    assert failed.value.status_code == 502
    assert failed.value.body["code"] == "engine_broke_off"


def test_a_failure_within_a_stream_reaches_the_script(client: Any) -> None:
    with pytest.raises(openai.APIError, match="engine_broke_off"):
        for _chunk in ask(client, "say 3+20 dies_every=5", stream=True):
            pass


def test_a_token_revoked_in_mid_stream_gets_no_more(client: Any, stack: Stack, secret: str) -> None:
    with pytest.raises(openai.APIError, match="API key"):
        for number, _chunk in enumerate(ask(client, "say 10+5000", stream=True)):
            if number == 5:
                stack.manage("api_token", "revoke", secret[:9])
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_what_the_script_used_is_in_the_ledger_under_its_tokens_name(client: Any, stack: Stack) -> None:
    ask(client, "say 4+3")
    row = stack.orm(
        "from accounts.models import LedgerEntry;"
        "result = LedgerEntry.objects.filter(source='api').order_by('-pk').values_list("
        "'token_name', 'thinking_tokens', 'answer_tokens').first()"
    )
    assert list(row) == ["t", 4, 3]


def test_a_refusal_bears_the_phrase_of_its_status(client: Any, stack: Stack, secret: str) -> None:
    stack.orm(
        "from accounts.models import ApiToken, QuotaLimit; from accounts.tokens import digest_of;"
        "person = ApiToken.objects.get(digest=digest_of(secret)).user_id;"
        "QuotaLimit.objects.create(subject_kind='user', subject_id=person, unit='requests', window='day', amount=0);"
        "result = None",
        secret=secret,
    )
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, "say 1+1")
    assert refused.value.response.reason_phrase == "Too Many Requests"
