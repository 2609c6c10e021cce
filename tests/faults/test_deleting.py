"""Files are deleted through the whole site although nobody could be told when it was ordered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.models_admin.model_server import ModelServer, content, serving
from tests.processes import until
from tests.scripted_ollama import serving as ollama
from tests.stack import Stack

FILE = "o/m/x.gguf"


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server:
        server.files = {"x.gguf": content(1_000_000)}
        server.let_go.set()
        yield server


@pytest.fixture(scope="module")
def stack(hub: ModelServer) -> Iterator[Stack]:
    made = Stack(HF_ENDPOINT=hub.address, R1WEB_MODELS_SPARE_MB="0")
    try:
        yield made.start()
    finally:
        made.end()


def test_what_was_deleted_while_redis_was_away_is_gone_soon_after(stack: Stack) -> None:
    with ollama(one=1000) as box:
        stack.manage("attach_engine", box.address, "--kind", "ollama", "--model", "one:latest", "--slots", "1",
                     "--context", "4096")  # fmt: skip
        stack.orm(
            "from django.utils import timezone\n"
            "row = Artifact.objects.get(ref='one:latest')\n"
            "Deployment.objects.filter(artifact=row).delete()\n"
            "Artifact.objects.filter(pk=row.pk).update(source='ollama')\n"
            "StoredArtifact.objects.create(host=Host.objects.get(), artifact=row, state='ready',"
            " verified_at=timezone.now())\n"
        )
        stack.manage("model", "pull", FILE, "--wait")
        stack.redis.kill9()
        for name in ("one:latest", FILE):
            assert "are being removed" in stack.manage("model", "delete", name)
        stack.redis.start()
        until(lambda: states(stack) == ["absent", "absent"], "both are told at last", 60)
        assert box.models == {} and not list((stack.folder / "models").rglob("*.gguf"))


def states(stack: Stack) -> list[str]:
    found: list[str] = stack.orm("result = list(StoredArtifact.objects.values_list('state', flat=True))")
    return found
