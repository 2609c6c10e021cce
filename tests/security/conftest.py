from __future__ import annotations

import pytest

from accounts.models import User
from chat.models import Conversation, Message

PASSWORD = "a long enough password"


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
