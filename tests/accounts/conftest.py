from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Argon2 is slow on purpose; what is tested here is not how passwords are hashed."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("ann", password=PASSWORD)


@pytest.fixture
def admin_person(db: None) -> User:
    return User.objects.create_superuser("root", password=PASSWORD)
