"""What site and host tell each other about a pull: JSON on the broker, structs in code. No Django here."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SourceKind = Literal["ollama", "hf", "gguf", "url"]
# starting: the source is asked; checking: bytes at hand are read again; waiting: the source is silent, tried again.
Stage = Literal["starting", "checking", "loading", "waiting", "verifying"]


class Wanted(msgspec.Struct, frozen=True):
    """Files and where they come from. `digest` pins them; `engine_url` is the Ollama that fetches them itself."""

    source: SourceKind
    ref: str
    digest: str = ""
    bytes: int | None = None
    engine_url: str = ""


class PullOrder(msgspec.Struct, frozen=True):
    """A later attempt of a job, and a later job for the same files, supersedes an earlier one."""

    job: int
    attempt: int
    wanted: Wanted


class StopOrder(msgspec.Struct, frozen=True):
    """Ends what runs up to this attempt. `discard`: the files go as well."""

    job: int
    attempt: int
    wanted: Wanted
    discard: bool = False


class Step(msgspec.Struct, frozen=True):
    """How far it is, in bytes and bytes/s; `total` None where the source does not tell."""

    stage: Stage
    done: int = 0
    total: int | None = None
    speed: int = 0


class End(msgspec.Struct, frozen=True):
    """How an attempt ended. `path` is the host's own; `reason` a word of `pull_words`, `detail` for logs."""

    outcome: Literal["success", "failure"]
    verified: bool = False
    path: str = ""
    bytes: int = 0
    reason: str = ""
    detail: str = ""


class Discarded(msgspec.Struct, frozen=True):
    """The files of a pull are gone; with a `reason` (a word of `deletion_words`) they are there still."""

    reason: str = ""
    detail: str = ""


class Told(msgspec.Struct, frozen=True):
    """A word from a host about an attempt: a step, the end, or that what it brought is gone."""

    job: int
    attempt: int
    step: Step | None = None
    end: End | None = None
    discarded: Discarded | None = None


def as_json(message: msgspec.Struct) -> dict[str, Any]:
    """What Celery can carry."""
    found: dict[str, Any] = msgspec.to_builtins(message)
    return found
