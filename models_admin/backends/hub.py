"""What is asked of a hub of models, and on which conditions. Loads no HTTP client: `hub_http.py` does the asking."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from models_admin.backends.base import BadRequest


class Refused(BadRequest):
    """The address, a redirect or the answer is not one that may be trusted."""

    code = "hub_refused"


@dataclass(frozen=True)
class Rules:
    """`trusted` are further places (`host:port`) to which a redirect may lead though they are private.

    `stays`: redirects lead nowhere else, since a token goes with the question. `seconds` are for all of it.
    """

    trusted: Set[str] = field(default_factory=frozenset)
    stays: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: float = 60.0


@dataclass(frozen=True)
class Part:
    """Bytes of a file from `start` on; `file_bytes` None = the server does not tell."""

    content: bytes
    start: int
    file_bytes: int | None


def object_in(content: bytes, what: str) -> dict[str, Any]:
    """The JSON object in an answer. Raises Refused."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{what} is no JSON") from error
    if not isinstance(found, dict):
        raise Refused(f"{what} holds no object")
    return found
