from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from accounts.models import User
from chat.generation import Ask
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine


@pytest.fixture
def deployment(db: None) -> Deployment:
    model = CatalogueModel.objects.create(key="known", name="Known")
    artifact = Artifact.objects.create(model=model, ref="known")
    engine = Engine.objects.create(host=fleet.local_host(), kind="openai-compatible", base_url="http://127.0.0.1:9")
    return Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=2048, slots=2)


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("ann", password="a long password")


@pytest.fixture
def ask() -> Callable[..., Ask]:
    def make(text: str = "12+34=?", **fields: object) -> Ask:
        return Ask(key=uuid.uuid4(), text=text, model="known", **fields)  # type: ignore[arg-type]

    return make
