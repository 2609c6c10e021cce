"""`bin/manage first_run --no-input`: all that the page does, again and again, with a reason where it fails."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import QuotaLimit
from models_admin.engines import fleet
from models_admin.hosts.inventory import FoundEngine
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, FirstRun, PullJob
from tests.models_admin import ollama_server
from tests.models_admin.ollama_server import OllamaServer
from tests.models_admin.registry_server import RegistryServer, manifest, registry_server
from tests.models_admin.told_machine import attached, tell

pytestmark = pytest.mark.django_db


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with ollama_server.serving() as server:
        yield server


@pytest.fixture
def registry(settings: Any) -> Iterator[RegistryServer]:
    with registry_server() as server:
        settings.OLLAMA_REGISTRY = settings.HF_ENDPOINT = server.url
        yield server


def command(*given: str) -> tuple[int, str]:
    """The exit code, and what was said."""
    out = io.StringIO()
    try:
        call_command("first_run", "--no-input", *given, stdout=out, stderr=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_does_all_of_it_and_again(ollama: OllamaServer, registry: RegistryServer) -> None:
    ollama.pulled.append("deepseek-r1:1.5b")
    tell(48, engines=(FoundEngine(ollama.address, "ollama", "it says so"),))
    registry.serve_model("library/deepseek-r1", "14b", manifest())
    code, said = command("--model", "14b", "--limits", "team", "--invite", "--json")
    told = json.loads(said)
    assert code == 0 and told["engines"] == [{"url": ollama.address, "kind": "ollama", "problem": ""}]
    assert told["model"] == {"name": "deepseek-r1:14b", "state": told["model"]["state"], "problem": ""}
    assert told["limits"] == "team" and Client().get(told["invitation"]).status_code == 200
    assert FirstRun.objects.get().finished_at
    code, said = command("--limits", "class", "--json")
    assert code == 0 and json.loads(said)["model"]["name"] == "deepseek-r1:14b"
    counts = (Engine.objects.count(), PullJob.objects.count(), Artifact.objects.filter(source="ollama").count())
    assert counts == (1, 1, 1) and QuotaLimit.objects.get(unit="gpu_ms").amount == 600_000


def test_the_command_takes_the_largest_that_fits(registry: RegistryServer) -> None:
    tell(48)
    attached()
    registry.serve_model("library/deepseek-r1", "32b", manifest())
    assert command() == (0, "deepseek-r1:32b: planned · 0.0 MB / 4.68 GB (0 %).\n")
    assert Deployment.objects.get().artifact.ref == "deepseek-r1:32b"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--model", "deepseek-r1:671b"), "R1 671B (0528) does not fit into this machine."),
        (("--model", "deepseek-r1:1.5b"), "The registry knows no “deepseek-r1:1.5b”."),
        (("--model", "../../etc"), "is no repository"),
        (("--model", "; rm -rf /"), "is no repository"),
        (("--model", "x" * 10_000), "at most"),
    ],
)
def test_the_command_says_why_it_failed(registry: RegistryServer, given: tuple[str, ...], told: str) -> None:
    tell(48)
    attached()
    code, said = command(*given)
    assert code == 1 and told in said
    assert FirstRun.objects.get().finished_at is None and not PullJob.objects.exists()


def test_the_command_leaves_a_served_model_alone(registry: RegistryServer) -> None:
    tell(48)
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(model=model, source="api", ref="m")
    engine = Engine.objects.create(host=fleet.local_host(), kind="vllm", base_url="http://127.0.0.1:9")
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=1, slots=1)
    code, said = command("--json")
    assert code == 0 and json.loads(said)["model"] is None and registry.asked == []


def test_without_no_input_the_page_is_named() -> None:
    with pytest.raises(CommandError, match="/setup/box/"):
        call_command("first_run")
