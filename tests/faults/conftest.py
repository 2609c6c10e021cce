from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network_island import Island, NotAllowed, island


@pytest.fixture(scope="module")
def cable() -> Iterator[Island]:
    """Left out, with the reason, where no namespace can be made."""
    try:
        with island() as made:
            yield made
    except NotAllowed as error:
        pytest.skip(str(error))
