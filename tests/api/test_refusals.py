"""What the door says when it does not answer, in the shape that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts import tokens
from accounts.models import QuotaLimit, User
from chat.models import Generation
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/v1/chat/completions"


@pytest.fixture
def person(transactional_db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def script(person: User) -> Client:
    _token, secret = tokens.create(person, "t")
    return Client(headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def deployment(transactional_db: None) -> Iterator[Deployment]:
    model = CatalogueModel.objects.create(key="known", name="Known")
    artifact = Artifact.objects.create(model=model, ref="known")
    engine = Engine.objects.create(host=fleet.local_host(), kind="openai-compatible", base_url="http://127.0.0.1:9")
    yield Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=2048, slots=2)


def ask(script: Client, text: str = "hi", **fields: Any) -> HttpResponse:
    body = {"model": "known", "messages": [{"role": "user", "content": text}]} | fields
    return script.post(ADDRESS, body, content_type="application/json")


def error(response: HttpResponse) -> dict[str, Any]:
    found = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return dict(found)


def test_without_a_key_nothing_is_told(deployment: Deployment) -> None:
    response = ask(Client())
    assert (response.status_code, error(response)["code"]) == (401, "invalid_api_key")
    assert response["WWW-Authenticate"] == "Bearer"


def test_an_address_that_is_not_there_is_told_in_the_same_shape(script: Client) -> None:
    for visitor, address in ((script, "/v1/responses"), (Client(), "/v1/chat/completions/"), (Client(), "/v1/")):
        for response in (visitor.get(address), visitor.post(address, {}, content_type="application/json")):
            assert (response.status_code, error(response)["code"]) == (404, "unknown_url")


def test_an_unknown_model_is_named(script: Client, deployment: Deployment) -> None:
    response = ask(script, model="nope")
    assert (response.status_code, error(response)["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("text", "code"), [("", "message_empty"), ("x" * 200_001, "message_too_long"), ("a\x00b", "bad_text")]
)
def test_a_bad_text_is_refused_and_nothing_is_stored(
    script: Client, deployment: Deployment, text: str, code: str
) -> None:
    response = ask(script, text)
    assert (response.status_code, error(response)["code"]) == (400, code)
    assert not Generation.objects.exists()


def test_a_used_up_limit_says_when_to_come_back(script: Client, person: User, deployment: Deployment) -> None:
    QuotaLimit.objects.create(subject_kind="user", subject_id=person.pk, unit="requests", window="day", amount=0)
    response = ask(script)
    assert (response.status_code, error(response)["code"]) == (429, "insufficient_quota")
    assert "0 of 0 requests are left, and this request needs 1." in error(response)["message"]
    assert 0 < int(response["Retry-After"]) <= 24 * 3600
    assert not Generation.objects.exists()


def test_a_body_beyond_the_limit_is_refused(script: Client) -> None:
    response = script.post(ADDRESS, "x" * (4 * 1024 * 1024 + 1), content_type="application/json")
    assert response.status_code == 413


@pytest.mark.parametrize(("method", "allowed"), [("get", "POST"), ("put", "POST"), ("trace", "POST")])
def test_another_method_is_told_the_right_one(script: Client, method: str, allowed: str) -> None:
    response = getattr(script, method)(ADDRESS)
    assert (response.status_code, response["Allow"]) == (405, allowed)
    assert error(response)["code"] == "method_not_allowed"


def test_a_form_that_no_engine_of_the_model_knows_is_refused_before_anybody_waits(
    script: Client, deployment: Deployment
) -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    response = ask(script, response_format=wish)
    assert (response.status_code, error(response)["param"]) == (400, "response_format")
    assert not Generation.objects.exists()
    assert Engine.objects.update(kind="vllm") == 1
    ask(script, response_format=wish, stream=True)
    assert Generation.objects.get().options["json_schema"] == '{"type":"object"}'


def test_models_are_listed_in_openais_shape(script: Client, deployment: Deployment) -> None:
    assert [model["id"] for model in script.get("/v1/models").json()["data"]] == ["known"]
    assert script.get("/v1/models/known").json()["object"] == "model"
    assert script.get("/v1/models/other").status_code == 404
