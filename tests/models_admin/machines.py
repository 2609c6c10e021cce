"""A small machine room in the database: hosts with a card each, an Ollama on every one, models in any state."""

from __future__ import annotations

import html
import re
from typing import Any

from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from models_admin.fit.memory_fit import GIB
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, Inventory
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, Host, StoredArtifact

BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(person: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(person, backend=BACKEND)
    return client


def text(answer: Any) -> str:
    """The words of a page's content, blanks made one; those of messages as well."""
    page = answer.content.decode()
    body = page[page.index('id="container"') :] if 'id="container"' in page else page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def host(name: str, *, card: int = 48, free: int = 48, disk: int = 900) -> Host:
    """With one card; sizes in GiB, the disk's in GB."""
    made = Host.objects.create(name=name, queue=f"host.{name}")
    cards = (GpuCard("RTX 6000", card * GIB, free * GIB),)
    hosts.note(name, Inventory(64 * GIB, 60 * GIB, 2000 * 10**9, disk * 10**9, gpus=cards))
    made.address = f"10.0.0.{made.pk}"
    made.save(update_fields=["address"])
    Engine.objects.create(host=made, kind="ollama", base_url=f"http://10.0.0.{made.pk}:11434")
    return made


def files(key: str, name: str, size: float = 19.8, **fields: Any) -> Artifact:
    """Of a model of its own; the size in GB."""
    model = CatalogueModel.objects.create(key=key, name=name)
    usual = {"source": "ollama", "ref": key, "digest": "d" * 64, "quantisation": "Q4_K_M", "bytes": int(size * 10**9)}
    return Artifact.objects.create(model=model, **{**usual, **fields})


def deployed(artifact: Artifact, on: Host, state: str, **fields: Any) -> Deployment:
    """On the host's Ollama, its files there."""
    stored(artifact, on)
    usual = {"context_tokens": 16_384, "slots": 4}
    return Deployment.objects.create(artifact=artifact, engine=on.engines.get(), state=state, **{**usual, **fields})


def stored(artifact: Artifact, on: Host, state: str = "ready") -> StoredArtifact:
    verified = now() if state == "ready" else None
    return StoredArtifact.objects.create(artifact=artifact, host=on, state=state, verified_at=verified, path="/m")
