from __future__ import annotations

import pytest

from accounts.models import User

PASSWORD = "a long enough password"


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("ann", password=PASSWORD)


@pytest.fixture
def admin_person(db: None) -> User:
    return User.objects.create_superuser("root", password=PASSWORD)
