"""What an admin sees and does with models in /admin/."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from models_admin.engines import fleet
from models_admin.fit.memory_fit import GIB
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, GpuProcess, Inventory
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, Host
from tests.models_admin.registry_server import RegistryServer, manifest, registry_server

pytestmark = pytest.mark.django_db
LIST = "/admin/models_admin/cataloguemodel/"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture(autouse=True)
def server(settings: Any) -> Iterator[RegistryServer]:
    with registry_server() as server:
        settings.OLLAMA_REGISTRY = settings.HF_ENDPOINT = server.url
        yield server


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


def text(browser: Client, address: str) -> str:
    """The words of a page's content, blanks made one."""
    page = browser.get(address, follow=True).content.decode()
    body = page[page.index('id="content-main"') :]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def model(key: str = "deepseek-r1:32b", name: str = "R1 32B", **artifact: Any) -> Artifact:
    fields = {"source": "ollama", "ref": key, "digest": "d" * 64, "quantisation": "Q4_K_M", "bytes": 19_851_337_809}
    made = CatalogueModel.objects.create(key=key, name=name)
    return Artifact.objects.create(model=made, **{**fields, **artifact})


def test_the_list_tells_files_needs_and_where_it_runs_and_its_page_the_facts(admin: Client) -> None:
    artifact = model()
    engine = Engine.objects.create(host=fleet.local_host(), kind="ollama", base_url="http://127.0.0.1:9")
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=16384, slots=2)
    seen = text(admin, LIST)
    for words in ("R1 32B deepseek-r1:32b, Q4_K_M, Ollama", "16k context, 2 at once", "warm on the site's machine"):
        assert words in seen
    seen = text(admin, f"{LIST}{artifact.model.pk}/change/")
    for words in ("Architecture Qwen2ForCausalLM", "16 GB partly on CPU: slow 24 GB fits", "Parameters 32.8 B"):
        assert words in seen


def test_what_was_expected_and_measured_stand_side_by_side(admin: Client) -> None:
    engine = Engine.objects.create(host=fleet.local_host(), kind="ollama", base_url="http://127.0.0.1:9")
    row = Deployment.objects.create(
        engine=engine, artifact=model(), context_tokens=16384, slots=1,
        expected_bytes=25 * 2**30, measured_bytes=24 * 2**30,
    )  # fmt: skip
    assert "25.0 GiB expected, 24.0 GiB measured (+4.2 %)" in text(admin, f"{LIST}{row.artifact.model_id}/change/")


def test_every_machine_with_gpus_is_told_as_its_agent_saw_it(admin: Client) -> None:
    """Memory that an engine of ours holds there counts as free: it is what would be loaded anew."""
    page = f"{LIST}{model().model.pk}/change/"
    host = Host.objects.create(name="rack-1", queue="host.rack-1")
    Engine.objects.create(host=host, kind="ollama", base_url="http://10.0.0.5:11434")
    told = {}
    for name, port in (("ollama", 11434), ("game", 27015)):
        holds = GpuProcess(7, name, 18 * GIB, ports=(port,))
        cards = (GpuCard("RTX 4090", 24 * GIB, 6 * GIB, processes=(holds,)),)
        hosts.note("rack-1", Inventory(64 * GIB, 60 * GIB, gpus=cards))
        told[name] = text(admin, page)
    assert "rack-1 fits 16 GB partly on CPU: slow" in told["ollama"]
    assert "rack-1 partly on CPU: slow" in told["game"]


def test_a_large_model_is_told_how_many_cards_it_takes(admin: Client) -> None:
    files = {"source": "hf", "ref": "deepseek-ai/DeepSeek-R1-0528", "bytes": 684_530_000_000}
    page = f"{LIST}{model('deepseek-r1:671b', 'R1 671B', **files).model.pk}/change/"
    assert "8 × 80 GB does not fit 16 × 80 GB fits" in text(admin, page)


def test_a_model_without_a_card_is_listed_without_facts(admin: Client) -> None:
    model("smollm2:135m", "Smol")
    assert "Smol smollm2:135m, Q4_K_M, Ollama" in text(admin, LIST)


def test_a_change_upstream_is_shown_in_list_and_page(admin: Client, server: RegistryServer) -> None:
    artifact = model()
    new = server.serve_model("library/deepseek-r1", "32b", manifest("new"))
    chosen = {"action": "check_upstream", "_selected_action": artifact.model.pk}
    said = admin.post(LIST, chosen, follow=True).content.decode()
    assert "Changed upstream, not followed here: deepseek-r1:32b." in said and "changed upstream" in said
    seen = text(admin, f"{LIST}{artifact.model.pk}/change/")
    assert f"deepseek-r1:32b means {new[:12]} upstream" in seen and "Here it stays at dddddddddddd" in seen
    artifact.refresh_from_db()
    assert artifact.digest == "d" * 64


def test_the_same_upstream_is_said_to_be_the_same(admin: Client, server: RegistryServer) -> None:
    artifact = model(digest=server.serve_model("library/deepseek-r1", "32b", manifest()))
    chosen = {"action": "check_upstream", "_selected_action": artifact.model.pk}
    assert "All names still mean what is pinned here." in admin.post(LIST, chosen, follow=True).content.decode()


def test_the_page_tells_facts_with_their_sources(admin: Client) -> None:
    seen = text(admin, f"{LIST}{model().model.pk}/change/")
    for words in (
        "DeepSeek-R1-Distill-Qwen-32B",
        "temperature 0.6, top-p 0.95 no system prompt",
        "GPUs for vLLM and SGLang 1, 2, 4, 8",
        "AIME 2024 72.6 % DeepSeek-R1, README",
        "safetensors BF16 about 65.5 GB parameters × bytes of each",
        "casperhansen/deepseek-r1-distill-qwen-32b-awq",
    ):
        assert words in seen
    assert (
        'href="https://github.com/deepseek-ai/DeepSeek-R1"'
        in admin.get(LIST + "1/change/", follow=True).content.decode()
    )


def test_a_model_is_added_by_name(admin: Client, server: RegistryServer) -> None:
    digest = server.serve_model("library/deepseek-r1", "7b", manifest())
    done = admin.post(f"{LIST}add/", {"name": "deepseek-r1:7b", "source": ""})
    artifact = Artifact.objects.get()
    assert done["Location"] == f"{LIST}{artifact.model.pk}/change/"
    assert artifact.digest == digest
    assert LogEntry.objects.get().object_repr == "R1 7B"


def test_names_that_are_known_are_offered(admin: Client) -> None:
    page = admin.get(f"{LIST}add/").content.decode()
    assert '<option value="deepseek-r1:32b">R1 32B</option>' in page
    assert '<option value="deepseek-ai/DeepSeek-R1-Zero">R1-Zero 671B</option>' in page


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("evil.example/a:b", "names a registry"),
        ("deepseek-r1", "two architectures"),
        ("", "required"),
        ("nobody:1b", "knows no"),
    ],
)
def test_a_refused_name_is_told_beside_the_field(admin: Client, name: str, told: str) -> None:
    page = admin.post(f"{LIST}add/", {"name": name, "source": "ollama"})
    assert page.status_code == 200
    assert re.search(rf'class="errorlist"[^>]*><li>[^<]*{told}', page.content.decode())
    assert not Artifact.objects.exists()


def test_who_may_only_look_adds_nothing(server: RegistryServer) -> None:
    client = Client()
    client.force_login(User.objects.create_user("staff", is_staff=True), backend=BACKEND)
    assert client.post(f"{LIST}add/", {"name": "7b"}).status_code == 403
    assert server.asked == []


def test_who_may_only_view_asks_nothing_upstream(server: RegistryServer) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_cataloguemodel"))
    client = Client()
    client.force_login(viewer, backend=BACKEND)
    chosen = {"action": "check_upstream", "_selected_action": model().model.pk}
    client.post(LIST, chosen)
    assert server.asked == []


def test_adding_wants_the_token_of_the_form(server: RegistryServer) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    assert client.post(f"{LIST}add/", {"name": "7b"}).status_code == 403
    assert client.get(f"{LIST}add/?name=7b").status_code == 200
    assert server.asked == []


def test_names_of_files_are_pinned_and_not_edited(admin: Client) -> None:
    artifact = model()
    page = admin.get(f"{LIST}{artifact.model.pk}/change/").content.decode()
    assert "dddddddddddd" in page
    assert 'name="artifacts-0-ref"' not in page and 'name="artifacts-0-digest"' not in page


def test_the_name_that_people_see_is_changed(admin: Client) -> None:
    made = model().model
    fields = {"name": "The big one", "is_visible": "on", "temperature": "0.5", "top_p": "0.9"}
    rest = {f"artifacts-{name}": count for name, count in (("TOTAL_FORMS", 1), ("INITIAL_FORMS", 1))}
    rest |= {f"access-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    rest |= {"artifacts-0-id": made.artifacts.get().pk, "artifacts-0-model": made.pk}
    assert admin.post(f"{LIST}{made.pk}/change/", {**fields, **rest}).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.temperature, made.key) == ("The big one", 0.5, "deepseek-r1:32b")


def test_the_admin_speaks_chinese(admin: Client) -> None:
    artifact = model(upstream_digest="e" * 64)
    admin.cookies["django_language"] = "zh-hans"
    assert "上游已变" in text(admin, LIST)
    assert "建议的采样" in text(admin, f"{LIST}{artifact.model.pk}/change/")
