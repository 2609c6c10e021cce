"""What an admin sees of the machines in /admin/."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.hosts.inventory import FoundEngine, GpuCard, GpuProcess, Inventory, Program
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, Host

pytestmark = pytest.mark.django_db
LIST = "/admin/models_admin/host/"
BACKEND = "django.contrib.auth.backends.ModelBackend"
GIB = 2**30


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


def tell(**fields: Any) -> Host:
    host = fleet.local_host()
    hosts.note_local(Inventory(**{"memory_total_bytes": 16 * GIB, "memory_free_bytes": 12 * GIB, **fields}))
    return host


def text(browser: Client, address: str = LIST) -> str:
    page = browser.get(address).content.decode()
    body = page[page.index('id="content-main"') :]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_card_is_shown_with_its_memory_sensors_and_models(admin: Client) -> None:
    process = GpuProcess(5, "VLLM::EngineCore", 24 * GIB, (8000,))
    card = GpuCard("RTX 6000 Ada", 48 * GIB, 20 * GIB, 61, 187, 300, 98, (process, GpuProcess(6, "blender", 4 * GIB)))
    host = tell(gpus=(card,), driver="580.95.05", programs=(Program("vllm", "0.11.0"), Program("ollama")))
    engine = Engine.objects.create(host=host, kind="vllm", base_url="http://127.0.0.1:8000", build="0.11.0")
    model = CatalogueModel.objects.create(key="r1:32b", name="R1 32B")
    artifact = Artifact.objects.create(model=model, ref="r1:32b", bytes=18 * GIB)
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=1, slots=1, measured_bytes=24 * GIB)
    for address in (LIST, f"{LIST}{host.pk}/change/"):
        seen = text(admin, address)
        for words in (
            "28.0 of 48.0 GiB in use 20.0 GiB free 61 °C, 187 of 300 W, 98 % busy",
            "R1 32B warm, 18.0 GiB + 6.0 GiB cache",
            "blender another program, 4.0 GiB",
            "vllm 0.11.0, ollama",
        ):
            assert words in seen
    assert "the site's machine RTX 6000 Ada, vLLM 0.11.0 driver 580.95.05" in text(admin)


def test_an_engine_that_was_found_is_offered_until_it_is_attached(admin: Client) -> None:
    host = tell(engines=(FoundEngine("http://127.0.0.1:11434", "ollama", "it says so"),
                         FoundEngine("http://127.0.0.1:8000", "vllm", "it says so", wants_key=True)))  # fmt: skip
    seen = text(admin)
    assert "bin/manage attach_engine http://127.0.0.1:11434 --kind ollama --model NAME" in seen
    assert "bin/manage attach_engine http://127.0.0.1:8000 --kind vllm --model NAME --key-file FILE" in seen
    Engine.objects.create(host=host, kind="ollama", base_url="http://localhost:11434")
    assert "--kind ollama" not in text(admin) and "--kind vllm" in text(admin)


def test_an_engine_found_on_a_joined_host_is_offered_where_the_site_reaches_it(admin: Client) -> None:
    host = Host.objects.create(name="gpu-2", queue="host.gpu-2", address="10.0.0.7")
    hosts.note("gpu-2", Inventory(GIB, GIB, engines=(FoundEngine("http://127.0.0.1:11434", "ollama", "it says so"),)))
    seen = text(admin)
    assert "bin/manage attach_engine http://10.0.0.7:11434 --kind ollama --model NAME --host gpu-2" in seen
    assert "127.0.0.1" not in seen
    Engine.objects.create(host=host, kind="ollama", base_url="http://10.0.0.7:11434")
    assert "--kind ollama" not in text(admin)


def test_the_disk_of_the_models_shows_what_is_free(admin: Client) -> None:
    tell(disk_total_bytes=2_000_000_000_000, disk_free_bytes=500_000_000_000)
    assert "75 % disk of the models: 500 GB of 2000 GB free" in text(admin)


def test_a_silent_host_is_told_from_one_that_never_spoke(admin: Client) -> None:
    Host.objects.create(name="gpu-2", queue="host.gpu-2")
    tell()
    assert "the site's machine no GPU here 4.0 of 16.0 GiB in use" in text(admin)
    assert "gpu-2 not seen yet" in text(admin)
    Host.objects.filter(name="local").update(seen_at=timezone.now() - timedelta(minutes=2))
    assert "no word since" in text(admin) and "not known while it is silent" in text(admin)
    assert "GiB" not in text(admin)


def test_a_host_of_another_shape_is_shown_without_figures(admin: Client) -> None:
    host = fleet.local_host()
    Host.objects.update(inventory={"gpus": 3}, seen_at=timezone.now())
    assert "the site's machine here" in text(admin)
    assert admin.get(f"{LIST}{host.pk}/change/").status_code == 200


def test_a_host_keeps_the_name_that_its_agent_reports_under(admin: Client) -> None:
    host = Host.objects.create(name="gpu-2", queue="host.gpu-2")
    admin.post(f"{LIST}{host.pk}/change/", {"name": "other", "queue": "run"})
    host.refresh_from_db()
    assert (host.name, host.queue) == ("gpu-2", "host.gpu-2")


def test_the_board_speaks_chinese_and_has_no_inline_code(admin: Client) -> None:
    tell(engines=(FoundEngine("http://127.0.0.1:11434", "ollama", ""),))
    admin.cookies["django_language"] = "zh-hans"
    assert "发现但未接入" in text(admin)
    body = admin.get(LIST).content.decode()
    assert not re.search(r"\sstyle=", body[body.index('id="content-main"') :])
