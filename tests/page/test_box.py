"""The page that shows members what their machines do."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Group, User
from chat.models import Generation
from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, GpuProcess, Inventory
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, Host, Pin

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
GIB = 2**30


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("reader")


@pytest.fixture
def browser(reader: User) -> Client:
    client = Client()
    client.force_login(reader, backend=BACKEND)
    return client


def engine(host: Host | None = None, *, kind: str = "vllm", port: int = 8000, **fields: Any) -> Engine:
    url = f"http://127.0.0.1:{port}"
    return Engine.objects.create(host=host or fleet.local_host(), kind=kind, base_url=url, build="0.11.0", **fields)


def deploy(
    at: Engine, name: str, *, memory: int | None = None, weights: int | None = None, **fields: Any
) -> Deployment:
    model = CatalogueModel.objects.create(key=name, name=name, is_visible=fields.pop("is_visible", True))
    artifact = Artifact.objects.create(model=model, source="api", ref=name, bytes=weights)
    fields = {"context_tokens": 16384, "slots": 4, **fields}
    return Deployment.objects.create(engine=at, artifact=artifact, measured_bytes=memory, **fields)


def card(held: int, *processes: GpuProcess, name: str = "RTX 6000 Ada") -> GpuCard:
    return GpuCard(name, 48 * GIB, (48 - held) * GIB, processes=processes)


def tell(*cards: GpuCard, name: str = "local") -> None:
    fleet.local_host()
    hosts.note(name, Inventory(memory_total_bytes=16 * GIB, memory_free_bytes=12 * GIB, gpus=cards))


def ask(person: User, key: str, state: str = "waiting", **fields: Any) -> Generation:
    return Generation.objects.create(
        user=person, client_key=uuid.uuid4(), request_digest="", model_key=key, state=state, **fields
    )


def words(browser: Client, address: str = "/box/") -> str:
    """What stands on the page beside the sidebar, blanks made one."""
    page = browser.get(address).content.decode()
    body = page[page.index("data-box") : page.index("</main>")] if "</main>" in page else page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def bar(browser: Client) -> tuple[str, dict[str, float]]:
    """The label of the first bar, and classes → width of its stretches in % of it."""
    page = browser.get("/box/").content.decode()
    drawn = re.search(r'<svg class="memory__bar"[^>]*aria-label="([^"]+)">(.*?)</svg>', page)
    assert drawn
    stretches = re.findall(r'class="([^"]+)" x="([\d.]+)" width="([\d.]+)"', drawn[2])
    ends = [float(x) + float(width) for _look, x, width in stretches]
    assert [round(float(x), 1) for _look, x, _width in stretches[1:]] == [round(end, 1) for end in ends[:-1]]
    return html.unescape(drawn[1]), {look: round(float(width) / 4.8, 1) for look, _x, width in stretches}


def test_without_hosts_and_engines_the_page_says_what_to_do(browser: Client) -> None:
    assert "No host yet A host is a machine with an engine" in words(browser)
    assert "See the hosts" not in words(browser)
    browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    assert "See the hosts" in words(browser)


def test_a_machine_without_engines_shows_itself(browser: Client) -> None:
    tell()
    seen = words(browser)
    assert (
        "No engine yet" in seen
        and "the site's machine no GPU nothing loaded 4.0 of 16.0 GiB in use 12.0 GiB free" in seen
    )
    assert "No engine is attached here." in seen


def test_a_bar_shows_weights_cache_other_programs_and_what_is_free(browser: Client) -> None:
    deploy(engine(port=8000), "R1 32B", memory=24 * GIB, weights=18 * GIB)
    tell(card(36, GpuProcess(5, "python", 24 * GIB, (8000,)), GpuProcess(6, "blender", 6 * GIB)))
    label, stretches = bar(browser)
    assert label == "36.0 of 48.0 GiB in use: R1 32B 24.0 GiB"
    assert stretches == {
        "series-1": 37.5, "series-1 is-cache": 12.5, "series-rest": 12.5, "series-rest is-cache": 12.5,
    }  # fmt: skip
    seen = words(browser)
    assert "R1 32B 18.0 GiB + 6.0 GiB cache idle warm" in seen
    assert "blender another program, none of this site 6.0 GiB" in seen
    assert "36.0 of 48.0 GiB in use 12.0 GiB free" in seen and "RTX 6000 Ada, vLLM 0.11.0" in seen


def test_an_engine_of_another_user_is_known_by_the_name_of_its_process(browser: Client) -> None:
    deploy(engine(kind="ollama", port=11434), "R1 7B", memory=6 * GIB)
    tell(card(6, GpuProcess(5, "ollama", 6 * GIB)))
    assert bar(browser)[1] == {"series-1": 12.5}
    assert "none of this site" not in words(browser)


def test_another_engine_of_the_same_kind_is_not_taken_for_ours(browser: Client) -> None:
    deploy(engine(port=8000), "R1 7B", memory=6 * GIB)
    tell(
        card(
            12, GpuProcess(5, "VLLM::EngineCore", 6 * GIB, (8000,)), GpuProcess(6, "VLLM::EngineCore", 6 * GIB, (9000,))
        )
    )
    assert bar(browser)[1] == {"series-1": 12.5, "series-rest": 12.5}


def test_inside_a_container_models_take_their_share_of_what_no_process_explains(browser: Client) -> None:
    deploy(engine(), "R1 7B", memory=12 * GIB)
    tell(card(18), card(6))
    seen = browser.get("/box/").content.decode()
    assert "GPU 0: 18.0 of 48.0 GiB in use: R1 7B 9.0 GiB" in seen
    assert "GPU 1: 6.0 of 48.0 GiB in use: R1 7B 3.0 GiB" in seen
    assert "2 × RTX 6000 Ada" in seen


def test_models_never_take_more_than_is_in_use(browser: Client) -> None:
    deploy(engine(), "R1 70B", memory=90 * GIB)
    tell(card(12))
    assert bar(browser) == ("12.0 of 48.0 GiB in use: R1 70B 12.0 GiB", {"series-1": 25.0})


def test_a_model_that_its_engine_has_unloaded_holds_nothing(browser: Client) -> None:
    facts = {"models": [{"name": "R1 7B", "is_loaded": False}]}
    deploy(engine(kind="ollama", facts=facts), "R1 7B", memory=6 * GIB)
    tell(card(0))
    assert bar(browser)[1] == {}
    seen = words(browser)
    assert "R1 7B idle not loaded" in seen and "The next question loads what it asks for." in seen


def test_states_are_told_in_words(browser: Client) -> None:
    here = engine()
    for state in ("warm", "starting", "failed"):
        deploy(here, f"a {state} model", state=state)
    tell(card(1))
    seen = words(browser)
    for part in ("a warm model memory not known idle warm", "a starting model memory not known loading now",
                 "a failed model Its engine does not answer. failed"):  # fmt: skip
        assert part in seen


def test_a_silent_host_shows_no_old_figures(browser: Client) -> None:
    other = Host.objects.create(name="gpu-2", queue="host.gpu-2")
    deploy(engine(other), "R1 7B", memory=6 * GIB)
    tell(card(6), name="gpu-2")
    tell(card(0))
    Host.objects.filter(name="gpu-2").update(seen_at=timezone.now() - timedelta(minutes=2))
    seen = words(browser)
    assert "1 of 2 hosts answer. Nobody is waiting. Memory: 0.0 of 48.0 GiB in use." in seen
    assert "gpu-2 RTX 6000 Ada, vLLM 0.11.0 no word since" in seen and "6.0 GiB" not in seen
    assert "gpu-2 is silent" in browser.get("/").content.decode()


def test_running_and_waiting_are_counted_and_the_pace_of_the_last_minute_told(browser: Client, reader: User) -> None:
    model, now = deploy(engine(), "R1 7B"), timezone.now()
    tell(card(1))
    running = ask(reader, "R1 7B", "running", deployment=model, answer_tokens=700, thinking_tokens=20)
    Generation.objects.filter(pk=running.pk).update(first_token_at=now - timedelta(seconds=20))
    fleet.take_slots(model, [running.pk])
    old = {"first_token_at": now - timedelta(minutes=9), "ended_at": now - timedelta(minutes=4)}
    ask(reader, "R1 7B", "done", deployment=model, answer_tokens=9999, **old)
    for _ in range(2):
        ask(User.objects.create_user(uuid.uuid4().hex), "R1 7B")
    seen = words(browser)
    assert "One answer is being written. 2 people wait." in seen
    assert "12 tokens/s 1 running 2 waiting" in seen
    assert re.search(r"1 of 4 running, 3[456] tokens/s each", seen)
    assert "2 R1 7B all slots are taken –" in seen
    assert "2 waiting" in browser.get("/").content.decode()


def test_who_waits_is_numbers_and_the_readers_own_place(browser: Client, reader: User) -> None:
    deploy(engine(), "R1 7B", state="failed")
    tell(card(0))
    ask(User.objects.create_user("aylin"), "R1 7B")
    ask(reader, "R1 7B")
    seen = words(browser)
    assert "2 R1 7B no engine answers for it 2" in seen
    assert "aylin" not in seen


def test_pins_and_loads_are_seen_and_names_only_where_the_admin_lets_people_see_them(
    browser: Client, reader: User, settings: Any
) -> None:
    here = engine(kind="ollama")
    pinned = deploy(here, "R1 32B")
    ends = timezone.localtime().replace(hour=23, minute=59, second=0)
    Pin.objects.create(deployment=pinned, owner="li", reason="demo for the visitors", ends_at=ends)
    Pin.objects.create(deployment=pinned, owner="jo", reason="over", ends_at=timezone.now() - timedelta(hours=1))
    loading = deploy(here, "R1 70B", state="starting", stage="loading", progress=62, load_ms=90_000)
    Deployment.objects.filter(pk=loading.pk).update(state_since=timezone.now() - timedelta(seconds=50))
    cold = deploy(here, "R1 14B", state="stopped", reason="unloaded_outside")
    Pin.objects.create(deployment=cold, owner="jo", reason="over", ends_at=timezone.now() - timedelta(hours=1))
    tell(card(1))
    ask(User.objects.create_user("aylin", first_name="Aylin"), "R1 70B")
    ask(reader, "R1 70B")
    seen = words(browser)
    assert "R1 32B pinned until 11:59 p.m.: demo for the visitors" in seen and "over" not in seen
    assert "ready in about 40 s loading, 62 %" in seen and "R1 14B Somebody else unloaded it. stopped" in seen
    assert "2 R1 70B it is loading, 62 % 2" in seen and "Aylin" not in seen and "li until" not in seen
    settings.SHOW_NAMES = True
    seen = words(browser)
    assert "2 R1 70B it is loading, 62 % Aylin, you 2" in seen and "pinned by li until 11:59 p.m." in seen
    settings.SHOW_NAMES = False
    browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    assert "Aylin, reader" in words(browser)


def test_hidden_models_have_no_name_for_members(browser: Client, reader: User) -> None:
    deploy(engine(), "secret:1b", memory=6 * GIB, is_visible=False)
    tell(card(6))
    ask(reader, "secret:1b")
    page = browser.get("/box/").content.decode()
    assert "secret:1b" not in page and "Another model" in words(browser)
    browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    assert "secret:1b" in words(browser)


def test_a_cloud_stands_apart_with_its_balance_for_admins_only(browser: Client, reader: User) -> None:
    facts = {"balances": [{"currency": "CNY", "micro": 12_340_000}]}
    deploy(engine(kind="deepseek", is_cloud=True, facts=facts), "DeepSeek V4")
    assert "DeepSeek" not in words(browser)
    reader.main_group = Group.objects.create(name="cloud", may_use_cloud=True)
    reader.save()
    browser.force_login(reader, backend=BACKEND)
    seen = words(browser)
    assert "DeepSeek API a cloud: what it is asked leaves this site" in seen and "12.34" not in seen
    browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    assert "Balance: 12.34 CNY" in words(browser)


def test_what_is_fetched_again_is_the_page_without_its_frame(browser: Client) -> None:
    deploy(engine(), "R1 7B")
    tell(card(1))
    piece = browser.get("/box/live/").content.decode()
    assert "data-box" in piece and "data-glance" in piece and "<html" not in piece
    assert piece[piece.index("data-box") : piece.index("<a class")].strip() in browser.get("/box/").content.decode()


def test_the_sidebar_of_every_page_shows_how_full_each_host_is(browser: Client) -> None:
    deploy(engine(), "R1 7B")
    tell(card(12))
    for address in ("/", "/models/", "/box/"):
        page = browser.get(address).content.decode()
        assert 'value="25" aria-label="Memory in use on the site&#x27;s machine"' in page
        assert ('href="/box/" aria-current="page"' in page) == (address == "/box/")


def test_the_page_speaks_chinese(browser: Client) -> None:
    browser.cookies["django_language"] = "zh-hans"
    deploy(engine(), "R1 32B", memory=24 * GIB, weights=18 * GIB)
    tell(card(24))
    seen = words(browser)
    assert "没有人在排队。内存：已用 24.0 / 48.0 GiB。" in seen and "18.0 GiB + 6.0 GiB 缓存" in seen


def test_the_page_has_no_inline_code(browser: Client) -> None:
    deploy(engine(), "R1 32B")
    tell(card(24))
    assert not re.search(r"\s(?:style|on\w+)=", browser.get("/box/").content.decode())
