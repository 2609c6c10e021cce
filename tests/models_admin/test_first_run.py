"""Setting up a new box in the browser: what the page proposes, and what pressing does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Invitation, QuotaLimit, User
from models_admin.hosts.inventory import FoundEngine
from models_admin.models import Deployment, Engine, FirstRun, PullJob
from models_admin.orders.pull_orders import End, Step
from models_admin.pulls import pulling
from r1web.celery import app
from tests.models_admin import ollama_server
from tests.models_admin.ollama_server import OllamaServer
from tests.models_admin.registry_server import Answer, RegistryServer, manifest, registry_server
from tests.models_admin.told_machine import GB, OLLAMA, attached, tell

pytestmark = pytest.mark.django_db
PAGE = "/setup/box/"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with ollama_server.serving() as server:
        yield server


@pytest.fixture
def registry(settings: Any) -> Iterator[RegistryServer]:
    with registry_server() as server:
        settings.OLLAMA_REGISTRY = settings.HF_ENDPOINT = server.url
        yield server


def text(browser: Client, address: str = PAGE) -> str:
    return words(browser.get(address).content.decode())


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def press(browser: Client, do: str, value: str = "") -> str:
    """What the admin reads after it."""
    return words(browser.post(PAGE, {"do": do, "value": value}, follow=True).content.decode())


def runner_does(name: str) -> None:
    """The runner's turn: the task that the page's press has sent."""
    app.loader.import_default_modules()
    app.tasks[f"models_admin.{name}"]()


def outcome(seen: str, step: str) -> str:
    """The text of a step, up to the next one."""
    order = ["Engines and GPUs", "Model", "Limits", "People", "Ready"]
    following = order[order.index(step) + 1] if step != "Ready" else "Send the first"
    return seen.split(f" {step} ", 1)[1].split(f" {following} ", 1)[0]


@pytest.mark.parametrize(
    ("cards", "has_ollama", "programs", "proposed"),
    [
        (
            (48,), True, (),
            "The largest R1 that fits with 16k context for 4 people at once. Model "
            "R1 70B, 4 bit tight 43.0 GB on disk, 47.9 of 48.0 GiB in use. Fits with 5k context for 4 people. "
            "R1 32B, 4 bit fits 19.9 GB on disk, 35.5 of 48.0 GiB in use. Suggested. "
            "R1 14B, 4 bit fits 9.0 GB on disk, 21.4 of 48.0 GiB in use.",
        ),
        (
            (24,), False, ("vllm",),
            "R1 8B (0528), 16 bit tight 16.4 GB on disk, 22.0 of 24.0 GiB in use. Fits with 10k context for 4 people. "
            "R1 7B, 16 bit fits 15.2 GB on disk, 18.7 of 24.0 GiB in use. Suggested.",
        ),
        (
            (), False, (),
            "Larger ones would be too slow on the processor. Model "
            "R1 8B (0528), 4 bit fits 5.2 GB on disk, 14.0 of 40.0 GiB in use. Suggested. R1 7B",
        ),
        ((24,), False, (), "No engine here uses the GPUs: attach Ollama, or install vLLM or llama-server."),
        ((2,), True, (), "None of the R1 models fits into this machine with room to think."),
    ],
    ids=["Ollama", "vLLM", "no GPU", "idle GPU", "too small"],
)  # fmt: skip
def test_the_largest_that_fits_is_proposed_with_its_neighbours(
    admin: Client, cards: tuple[int, ...], has_ollama: bool, programs: tuple[str, ...], proposed: str
) -> None:
    tell(*cards, programs=programs)
    if has_ollama:
        attached()
    assert proposed in outcome(text(admin), "Model")


def test_a_model_that_the_disk_cannot_hold_is_not_suggested(admin: Client) -> None:
    tell(48, disk=12)
    attached()
    seen = outcome(text(admin), "Model")
    assert "R1 32B, 4 bit no room on the disk 19.9 GB on disk, of which 7.9 GB are missing." in seen
    assert "R1 14B, 4 bit fits 9.0 GB on disk, 21.4 of 48.0 GiB in use. Suggested." in seen
    assert "R1 32B does not fit into this machine." in press(admin, "model", "deepseek-r1:32b")
    assert not FirstRun.objects.get().model_name


def test_what_the_machine_has_is_listed(admin: Client) -> None:
    locked = FoundEngine("http://127.0.0.1:8000", "vllm", "it says so", wants_key=True)
    tell(48, engines=(FoundEngine(OLLAMA, "ollama", "it says so"), locked), programs=("llama-server",))
    seen = outcome(text(admin), "Engines and GPUs")
    for line in (
        f"Ollama {OLLAMA} Attach", "vLLM http://127.0.0.1:8000, asks for a key Add by address", "llama.cpp installed",
        "RTX 6000 Ada 48.0 GiB, driver 580.95 48.0 GiB free", "Disk of the models 1000 GB 900 GB free",
        "llama.cpp, SGLang no answer on 8080, 30000 Add by address",
    ):  # fmt: skip
        assert line in seen
    tell()
    assert "No GPU small models run on the processor, slowly 40.0 GiB free" in outcome(text(admin), "Engines and GPUs")


def test_before_the_machine_has_told_of_itself_the_page_says_so(admin: Client) -> None:
    seen = text(admin)
    assert "This machine is being looked at." in seen and "It does so some seconds after the start" in seen
    assert "This machine has no way to load R1 7B." in press(admin, "model", "deepseek-r1:7b")


def test_a_found_ollama_is_attached_by_one_press_with_the_models_of_the_family(
    admin: Client, ollama: OllamaServer
) -> None:
    ollama.pulled += ["deepseek-r1:7b", "llama3:8b"]
    tell(48, engines=(FoundEngine(ollama.address, "ollama", "it says so"),))
    assert "being attached" in press(admin, "attach", ollama.address)
    runner_does("attach_found")
    assert f"Ollama {ollama.address} attached" in text(admin, f"{PAGE}live/")
    assert [row.artifact.ref for row in Deployment.objects.all()] == ["deepseek-r1:7b"]
    assert "No engine that can be attached was found there." in press(admin, "attach", ollama.address)


def test_an_engine_that_left_meanwhile_is_told(admin: Client) -> None:
    tell(engines=(FoundEngine("http://127.0.0.1:9", "ollama", "it said so"),))
    press(admin, "attach", "http://127.0.0.1:9")
    runner_does("attach_found")
    seen = text(admin)
    assert "The engine at http://127.0.0.1:9 does not say what it serves (engine_unreachable)." in seen
    assert "Ollama http://127.0.0.1:9 Attach" in seen and not Engine.objects.exists()


def test_only_what_was_found_here_can_be_attached(admin: Client) -> None:
    tell(engines=(FoundEngine("http://127.0.0.1:8000", "vllm", "", wants_key=True),))
    for url in ("http://evil.example", "http://127.0.0.1:8000", "file:///etc/passwd", "", "x" * 10_000):
        assert "No engine that can be attached was found there." in press(admin, "attach", url)
    assert FirstRun.objects.get().engine_asked_at is None


def test_the_chosen_model_is_pulled_and_its_way_is_seen(admin: Client, registry: RegistryServer) -> None:
    tell(48)
    attached()
    registry.serve_model("library/deepseek-r1", "32b", manifest())
    assert "deepseek-r1:32b asking its source" in press(admin, "model", "deepseek-r1:32b")
    runner_does("add_and_pull")
    job = PullJob.objects.get()
    deployment = Deployment.objects.get()
    assert (job.then_warm, deployment.state, deployment.slots, deployment.context_tokens) == (True, "stopped", 4, 16384)
    pulling.note_step(job.pk, job.attempt, Step("loading", 2 * GB, 4 * GB, GB // 100))
    seen = text(admin, f"{PAGE}live/")
    assert "Pulling R1 32B running: loading · 2.00 GB / 4.00 GB (50 %) · about 3 minutes left 50 %" in seen
    pulling.note_end(job.pk, job.attempt, End("failure", reason="disk_full"))
    assert "The disk has no room for it." in text(admin)
    assert 'aria-current="step"><span class="step__number">2' in admin.get(PAGE).content.decode(), "it is to do again"
    for state, told in (("starting", "Loading R1 32B"), ("warm", "R1 32B warm: it answers now")):
        PullJob.objects.update(state="done")
        Deployment.objects.update(state=state)
        assert told in text(admin, f"{PAGE}live/")
    assert "Answers now: R1 32B." in outcome(text(admin), "Ready")


def test_choosing_a_model_whose_pull_is_paused_goes_on_with_it(admin: Client, registry: RegistryServer) -> None:
    tell(48)
    attached()
    registry.serve_model("library/deepseek-r1", "32b", manifest())
    press(admin, "model", "deepseek-r1:32b")
    runner_does("add_and_pull")
    pulling.pause(PullJob.objects.get(), by="root")
    assert "paused" in text(admin, f"{PAGE}live/")
    press(admin, "model", "deepseek-r1:32b")
    runner_does("add_and_pull")
    assert (PullJob.objects.get().state, PullJob.objects.get().then_warm) == ("planned", True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(404), ("The registry knows no “deepseek-r1:32b”.", "仓库站点上没有“deepseek-r1:32b”。")),
        (Answer(503), ("The registry is busy", "仓库站点繁忙")),
    ],
)
def test_a_refusal_of_the_source_is_read_on_the_page_and_another_try_helps(
    admin: Client, registry: RegistryServer, answer: Answer, told: tuple[str, str]
) -> None:
    tell(48)
    attached()
    registry.answers["/v2/library/deepseek-r1/manifests/32b"] = answer
    press(admin, "model", "deepseek-r1:32b")
    runner_does("add_and_pull")
    assert told[0] in text(admin) and not PullJob.objects.exists()
    chinese = admin.get(PAGE, headers={"accept-language": "zh-hans"}).content.decode()
    assert told[1] in chinese and told[0] not in chinese
    registry.serve_model("library/deepseek-r1", "32b", manifest())
    press(admin, "model", "deepseek-r1:32b")
    for _ in range(2):  # a message may come twice
        runner_does("add_and_pull")
    assert told[0] not in text(admin) and PullJob.objects.count() == 1


def test_a_wish_that_nobody_takes_up_is_told(admin: Client) -> None:
    tell(48)
    attached()
    press(admin, "model", "deepseek-r1:32b")
    FirstRun.objects.update(model_asked_at=timezone.now() - timedelta(minutes=5))
    assert "No runner took it up. Is the site running? Choose it again." in text(admin)


def test_each_preset_takes_the_place_of_the_one_before(admin: Client) -> None:
    other = QuotaLimit.objects.create(subject_kind="everyone", unit="requests", window="day", amount=9)
    admin.cookies["time_zone"] = "Asia/Shanghai"
    team, school = [(3_600_000, "gpu_ms"), (120, "requests")], [(600_000, "gpu_ms"), (60, "requests")]
    for name, amounts in (("team", team), ("class", school), ("few", []), ("class", school)):
        press(admin, "limits", name)
        rows = QuotaLimit.objects.exclude(pk=other.pk).order_by("unit")
        assert list(rows.values_list("amount", "unit")) == amounts
    assert {(row.subject_kind, row.is_each, row.time_zone) for row in rows} == {("everyone", True, "Asia/Shanghai")}
    assert "10 minutes of GPU time a day and 60 questions an hour each" in text(admin)
    assert "Choose one of the three." in press(admin, "limits", "unlimited; drop")


def test_the_invitation_is_shown_once_and_works(admin: Client) -> None:
    link = re.search(r'value="http://testserver(/join/[^"]+)"', admin.post(PAGE, {"do": "invite"}).content.decode())
    assert link and "You were invited" in text(Client(), link[1])
    seen = admin.get(PAGE).content.decode()
    assert link[1] not in seen and "with 20 places left" in seen
    local = admin.post(PAGE, {"do": "invite"}, headers={"host": "localhost:8000"}).content.decode()
    assert "http://localhost:8000/join/" in local and "open this page by the machine" in local
    assert {row.made_by for row in Invitation.objects.all()} == {"root"}


def test_every_step_can_be_skipped_and_done_later(admin: Client) -> None:
    tell(48)
    for step in ("model", "limits", "people"):
        assert f'value="{step}"' in admin.get(PAGE).content.decode()
        press(admin, "skip", step)
    assert text(admin).count("skipped for now") == 3 and 'aria-current="step"' not in admin.get(PAGE).content.decode()
    press(admin, "limits", "team")
    assert text(admin).count("skipped for now") == 2
    assert "There is no such step." in press(admin, "skip", "all")
    assert admin.post(PAGE, {"do": "explode"}).status_code == 400


def test_the_admin_leads_back_until_it_is_finished(admin: Client) -> None:
    assert "Set up this box" in text(admin, "/admin/")
    assert admin.post(PAGE, {"do": "finish"})["Location"] == "/"
    assert "Set up this box" not in text(admin, "/admin/")
    assert admin.get(PAGE).status_code == 200


def test_only_administrators_find_it(client: Client) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff, backend=BACKEND)
    for address in (PAGE, f"{PAGE}live/"):
        assert client.get(address).status_code == 404
        assert Client().get(address)["Location"].startswith("/signin/")
    assert client.post(PAGE, {"do": "invite"}).status_code == 404 and not Invitation.objects.exists()
    assert "Set up this box" not in text(client, "/admin/")


def test_it_speaks_chinese_without_inline_code(admin: Client) -> None:
    tell(48)
    admin.cookies["django_language"] = "zh-hans"
    page = admin.get(PAGE).content.decode()
    assert "设置这台机器" in page and not re.search(r"\sstyle=|\son\w+=|<script>", page)
