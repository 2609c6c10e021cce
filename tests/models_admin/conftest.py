"""Every test here begins in English: a request of a Chinese reader leaves its language behind in the thread."""

from __future__ import annotations

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def english() -> None:
    translation.deactivate()
