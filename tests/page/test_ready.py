"""'Tell me when it is ready': from the bell to the line on the person's page."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import Group, User
from chat import scheduling
from chat.models import ReadyWish
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("reader")


@pytest.fixture
def browser(reader: User) -> Client:
    client = Client()
    client.force_login(reader, backend=BACKEND)
    return client


def deploy(key: str, state: str = "stopped", *, kind: str = "ollama", **fields: Any) -> Deployment:
    engine, _is_new = Engine.objects.get_or_create(
        host=fleet.local_host(), kind=kind, base_url=f"http://127.0.0.1:9/{kind}", is_cloud=kind == "deepseek"
    )
    model = CatalogueModel.objects.create(key=key, name=key, **fields)
    artifact = Artifact.objects.create(model=model, ref=key)
    return Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=4096, slots=1, state=state)


def wish(browser: Client, key: str) -> int:
    return browser.post("/ready/wish/", {"model": key}).status_code


def lines(browser: Client, address: str = "/") -> list[str]:
    page = browser.get(address).content.decode()
    return [html.unescape(line) for line in re.findall(r"<p data-text>(.*?)</p>", page)]


def is_pressed(browser: Client, key: str) -> bool:
    return f'data-tell-me="{key}" aria-pressed="true"' in browser.get("/").content.decode()


def sweep() -> None:
    """What the line's leader does every few seconds."""
    scheduling.sweep(may_reap=False)


def test_who_wished_is_told_on_every_page_until_he_dismisses_it(browser: Client) -> None:
    row = deploy("R1 32B")
    assert wish(browser, "R1 32B") == 204 and wish(browser, "R1 32B") == 204
    sweep()
    assert lines(browser) == [] and is_pressed(browser, "R1 32B")
    Deployment.objects.filter(pk=row.pk).update(state="warm")
    sweep()
    for address in ("/", "/models/", "/box/", "/ready/"):
        assert lines(browser, address) == ["R1 32B is ready on the site's machine."]
    assert 'href="/?model=R1%2032B" data-ask' in browser.get("/").content.decode()
    browser.post("/ready/forget/", {"model": "R1 32B"})
    sweep()
    assert lines(browser) == [] and not ReadyWish.objects.exists()


def test_what_is_warm_already_is_told_at_once(browser: Client) -> None:
    deploy("R1 32B", "warm")
    wish(browser, "R1 32B")
    assert lines(browser) == ["R1 32B is ready on the site's machine."]


def test_a_line_never_says_ready_of_what_went_cold_again(browser: Client) -> None:
    row = deploy("R1 32B", "warm")
    wish(browser, "R1 32B")
    Deployment.objects.filter(pk=row.pk).update(state="stopped")
    assert lines(browser) == []
    sweep()
    assert is_pressed(browser, "R1 32B")
    Deployment.objects.filter(pk=row.pk).update(state="warm")
    sweep()
    assert lines(browser) == ["R1 32B is ready on the site's machine."]


def test_nobody_is_told_of_what_others_wished(browser: Client) -> None:
    deploy("R1 32B", "warm")
    wish(browser, "R1 32B")
    other = Client()
    other.force_login(User.objects.create_user("other"), backend=BACKEND)
    assert lines(other) == []
    other.post("/ready/forget/", {"model": "R1 32B"})
    assert len(lines(browser)) == 1


def test_a_person_has_ten_wishes_and_no_more(browser: Client) -> None:
    for number in range(11):
        deploy(f"m{number}")
    assert [wish(browser, f"m{number}") for number in range(11)] == [204] * 10 + [409]
    assert wish(browser, "m3") == 204
    browser.post("/ready/forget/", {"model": "m3"})
    assert wish(browser, "m10") == 204


@pytest.mark.parametrize("key", ["", "unknown", "hidden", "cloud", "../../etc", "x" * 10_000, "a\x00b"])
def test_only_what_a_person_may_ask_for_can_be_wished(browser: Client, reader: User, key: str) -> None:
    deploy("hidden", is_visible=False)
    deploy("cloud", kind="deepseek")
    assert wish(browser, key) == 404
    assert browser.post("/ready/forget/", {"model": key}).status_code == 204
    reader.main_group = Group.objects.create(name="clouded", may_use_cloud=True)
    reader.save()
    assert wish(browser, "cloud") == 204


def test_wishes_end_with_their_person(browser: Client, reader: User) -> None:
    deploy("R1 32B")
    wish(browser, "R1 32B")
    reader.delete()
    assert not ReadyWish.objects.exists()


def test_the_line_speaks_chinese(browser: Client) -> None:
    browser.cookies["django_language"] = "zh-hans"
    deploy("R1 32B", "warm")
    wish(browser, "R1 32B")
    assert re.fullmatch("R1 32B 已在.*就绪。", lines(browser)[0])
