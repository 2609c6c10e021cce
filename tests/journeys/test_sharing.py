"""What people see who share one card: the line, other models, names that arrive late, what an engine cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, expect

from tests.journeys.asking import ask, newest_answer, wait_until_done
from tests.journeys.conftest import Visitor
from tests.stack import MODEL, Stack

OTHERS = """
first = Deployment.objects.get(artifact__ref='scripted')
CatalogueModel.objects.filter(key='scripted').update(name='R1 32B')
lab = Group.objects.create(name='Lab', may_use_cloud=True)
def deploy(key, name, engine):
    model = CatalogueModel.objects.create(key=key, name=name)
    artifact = Artifact.objects.create(model=model, ref='scripted', source='ollama', digest=key)
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=4096, slots=2, state='warm')
def again(address, **fields):
    url = first.engine.base_url.replace('127.0.0.1', address)
    return Engine.objects.create(host=first.engine.host, kind='openai-compatible', base_url=url,
        secret=first.engine.secret, **fields)
deploy('small', 'R1 8B', first.engine)
deploy('plain', 'R1 plain', again('localhost'))
deploy('far', 'DeepSeek', again('LOCALHOST', is_cloud=True))
"""
CROWD = """
import uuid
from chat import generation
from chat.generation import Ask
LengthSeen.objects.filter(model_key='scripted').delete()
for n in range(4):
    hog = User.objects.create_user(f'hog{n}')
    generation.submit(hog, Ask(key=uuid.uuid4(), text='say 100+800', model='scripted'))
"""
BROKEN = """
import uuid
from django.utils import timezone
talk = Conversation.objects.create(user_id=pk, title='Broken', model_key='scripted', is_named=True)
asked = Message.objects.create(conversation=talk, role='user', text='say 2+4')
answer = Message.objects.create(conversation=talk, parent=asked, role='assistant', text='t0101', model_key='scripted')
Conversation.objects.filter(pk=talk.pk).update(active_leaf=answer)
Generation.objects.create(user_id=pk, message=answer, client_key=uuid.uuid4(), request_digest='', model_key='scripted',
    state='failed', reason='engine_broke_off', ended_at=timezone.now())
result = str(talk.pk)
"""
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    made = Stack(slots=2, pace=40, R1WEB_TITLES="1")
    try:
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
        made.start()
        made.orm(OTHERS)
        yield made
    finally:
        made.end()


@pytest.fixture
def open_page(browser: Browser, shared_stack: Stack) -> Iterator[Open]:
    """A page of somebody new, of the group that may ask clouds; `code` is run for him, and its result ends the path."""
    visitors: list[Visitor] = []

    def open_one(path: str = "/", code: str = "", **options: Any) -> Page:
        person = shared_stack.person()
        shared_stack.orm("User.objects.filter(pk=pk).update(main_group=Group.objects.get())", pk=person.pk)
        end = shared_stack.orm(code, pk=person.pk) if code else ""
        visitor = Visitor(browser.new_context(viewport={"width": 1280, "height": 800}, **options), shared_stack.url())
        visitors.append(visitor)
        cookie: Any = {"name": "sessionid", "value": person.session, "url": shared_stack.url()}
        visitor.context.add_cookies([cookie])
        visitor.page.goto(f"{shared_stack.url()}{path}{end}")
        visitor.page.locator("body[data-ready]").wait_for()
        return visitor.page

    yield open_one
    errors = [error for visitor in visitors for error in visitor.errors]
    for visitor in visitors:
        visitor.context.close()
    assert errors == []


def choose(page: Page, name: str) -> None:
    page.locator(".model-button").click()
    page.locator(f"[data-choices] [data-name='{name}'] .picker__option").click()


def test_a_late_title_takes_the_place_of_the_question_in_list_and_heading(open_page: Open) -> None:
    page = open_page(f"/?model={MODEL}")
    ask(page, "say 2+4")
    wait_until_done(page)
    title = "t0101 t0102 t0103 t0104"
    expect(page.locator(".topbar__title")).to_have_text(title, timeout=60_000)
    expect(page.locator(".conversation[aria-current=page] .conversation__title")).to_have_text(title)
    expect(page).to_have_title(f"{title} · R1 Web")


def test_an_engine_that_cannot_end_a_thought_says_so(open_page: Open) -> None:
    page = open_page("/?model=plain")
    ask(page, "say 400+2")
    answer = newest_answer(page)
    expect(answer.get_by_role("button", name="Answer now")).to_be_disabled()
    expect(answer).to_contain_text("This model’s engine cannot end a thought early.")
    answer.get_by_role("button", name="Stop").click()
    expect(answer).to_have_attribute("data-state", "stopped")


def test_again_is_asked_of_the_same_model_and_shows_it(open_page: Open) -> None:
    page = open_page(f"/?model={MODEL}")
    ask(page, "say 2+4")
    wait_until_done(page)
    choose(page, "R1 8B")
    newest_answer(page).get_by_role("button", name="Regenerate").click()
    _is_by(newest_answer(page), MODEL, "R1 32B")
    _is_by(wait_until_done(page), MODEL, "R1 32B")


def test_who_was_broken_off_asks_another_model_or_the_cloud(open_page: Open) -> None:
    page = open_page("/c/", BROKEN)
    box = page.get_by_role("alert")
    expect(box.get_by_role("button", name="Continue")).to_be_visible()
    expect(box.get_by_role("button", name="Ask DeepSeek, a cloud")).to_be_visible()
    box.get_by_role("button", name="Ask R1 8B").click()
    _is_by(newest_answer(page), "small", "R1 8B")
    _is_by(wait_until_done(page), "small", "R1 8B")
    page.reload()
    _is_by(wait_until_done(page), "small", "R1 8B")


def test_who_waits_sees_the_places_and_leaves_them_for_a_warm_model(open_page: Open, shared_stack: Stack) -> None:
    shared_stack.orm(CROWD)
    page = open_page(f"/?model={MODEL}", reduced_motion="reduce")
    ask(page, "say 2+4")
    card = page.locator(".waiting")
    places = card.get_by_role("list", name="The line").get_by_role("listitem")
    expect(places).to_have_text(["next", "2nd", "you"])
    expect(places.last).to_have_attribute("aria-current", "true")
    stay = card.get_by_role("button", name="Keep waiting for R1 32B")
    expect(stay).to_have_attribute("aria-pressed", "true")
    expect(stay.locator(".choice__time")).not_to_be_empty()
    assert Axe().run(page).violations_count == 0
    card.get_by_role("button", name="Switch to R1 8B").click()
    _is_by(newest_answer(page), "small", "R1 8B")
    expect(page.get_by_role("button", name="Model: R1 8B")).to_be_visible()
    expect(card).to_have_count(0)


def _is_by(answer: Locator, key: str, name: str) -> None:
    expect(answer).to_have_attribute("data-model", key)
    expect(answer).to_have_attribute("aria-label", name)
