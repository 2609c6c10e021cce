from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from chat.models import Conversation, Message

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Argon2 is slow on purpose; what is tested here is not how passwords are hashed."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password=PASSWORD)


@pytest.fixture
def conversation(owner: User) -> Conversation:
    made = Conversation.objects.create(user=owner, title="Private words", model_key="m")
    question = Message.objects.create(conversation=made, role="user", text="a secret question")
    made.active_leaf = Message.objects.create(conversation=made, parent=question, role="assistant", text="an answer")
    made.save()
    return made
