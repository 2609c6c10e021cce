"""The page that says which model to take."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client

from accounts.models import User
from models_admin.engines import fleet
from models_admin.family.catalogue import cards
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("reader"), backend=BACKEND)
    return client


def deploy(key: str, name: str, *, kind: str = "ollama", state: str = "warm", is_visible: bool = True) -> None:
    engine, _is_new = Engine.objects.get_or_create(
        host=fleet.local_host(), kind=kind, base_url=f"http://127.0.0.1:9/{kind}", is_cloud=kind == "deepseek"
    )
    model = CatalogueModel.objects.create(key=key, name=name, is_visible=is_visible)
    artifact = Artifact.objects.create(model=model, source="api", ref=key)
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=16384, slots=2, state=state)


def shown(browser: Client) -> dict[str, str]:
    """Name → words of its card, in the page's order."""
    page = browser.get("/models/").content.decode()
    found = re.findall(r'<article class="model-card[^"]*" aria-label="([^"]+)">(.*?)</article>', page, re.DOTALL)
    return {html.unescape(name): _words(body) for name, body in found}


def _words(body: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_without_engines_the_family_is_shown_as_not_here(browser: Client) -> None:
    seen = shown(browser)
    assert list(seen) == [card.name for card in cards()]
    assert all("not here" in words and "Chat with it" not in words for words in seen.values())


def test_a_card_tells_size_context_licence_and_figures(browser: Client) -> None:
    words = shown(browser)["R1 70B"]
    for part in (
        "DeepSeek-R1-Distill-Llama-70B",
        "70.6 B",
        "about 43.0 GB",
        "131,072",
        "MIT base: Llama 3.3 Community License",
        "AIME 2024 70.0 %",
        "Codeforces 1633",
        "Source: DeepSeek-R1, README",
    ):
        assert part in words, part


def test_the_first_machine_has_a_name_for_people(browser: Client) -> None:
    deploy("deepseek-r1:7b", "R1 7B")
    assert "on the site's machine" in shown(browser)["R1 7B"]
    assert "Warm on the site's machine." in html.unescape(browser.get("/").content.decode())


def test_figures_that_were_not_checked_bear_a_mark(browser: Client) -> None:
    seen = shown(browser)
    assert "AIME 2024 86.0 %*" in seen["R1 8B (0528)"] and "*" not in seen["R1 32B"]


def test_what_is_ready_comes_first_and_the_largest_of_it_on_top(browser: Client) -> None:
    deploy("deepseek-r1:70b", "R1 70B", state="failed")
    deploy("deepseek-r1:7b", "R1 7B")
    deploy("DeepSeek-R1-Distill-Qwen-32B", "Our 32B", kind="vllm")
    seen = shown(browser)
    assert list(seen)[:3] == ["Our 32B", "R1 7B", "R1 70B"]
    assert "ready" in seen["Our 32B"] and "72.6 %" in seen["Our 32B"] and "16,384 of 131,072" in seen["Our 32B"]
    assert "not ready" in seen["R1 70B"]
    assert "R1 32B" not in seen


def test_the_link_begins_a_chat_with_that_model(browser: Client) -> None:
    deploy("deepseek-r1:7b", "R1 7B")
    deploy("org/model a&b", "Other")
    page = browser.get("/models/").content.decode()
    links = re.findall(r'href="(/\?model=[^"]+)" aria-label="Chat with ([^"]+)"', page)
    assert sorted(name for _href, name in links) == ["Other", "R1 7B"]
    for href, name in links:
        chosen = browser.get(html.unescape(href)).content.decode()
        assert f'aria-label="Model: {name}"' in chosen


def test_the_hosted_api_is_never_called_r1(browser: Client) -> None:
    deploy("deepseek-reasoner", "DeepSeek API", kind="deepseek")
    deploy("deepseek-r1:671b", "From the cloud", kind="deepseek")
    page = _words(browser.get("/models/").content.decode())
    seen = shown(browser)
    assert "It is not R1." in seen["DeepSeek API"] and "It is not R1." in seen["From the cloud"]
    assert "AIME" not in seen["From the cloud"] and "not here" in seen["R1 671B (0528)"]
    assert "hosted API serves no R1 any more" in page


def test_hidden_models_stay_hidden(browser: Client) -> None:
    deploy("secret:1b", "Hidden one", is_visible=False)
    assert "Hidden one" not in browser.get("/models/").content.decode()


def test_the_page_speaks_chinese(browser: Client) -> None:
    browser.cookies["django_language"] = "zh-hans"
    deploy("deepseek-r1:32b", "R1 32B")
    words = shown(browser)["R1 32B"]
    assert "单块 24 GB 显卡" in words and "328 亿" in words and "就绪" in words
    assert "在本站机器" in words.replace(" ", "") and "DeepSeek-R1 的 README" in words


def test_the_page_is_reached_from_the_sidebar_and_the_picker(browser: Client) -> None:
    deploy("deepseek-r1:7b", "R1 7B")
    assert browser.get("/").content.decode().count('href="/models/"') == 2


def test_the_page_has_no_inline_code(browser: Client) -> None:
    answer = browser.get("/models/")
    page = answer.content.decode()
    assert not re.search(r"\s(?:style|on\w+)=", page)
    assert "unsafe" not in answer["Content-Security-Policy"]
