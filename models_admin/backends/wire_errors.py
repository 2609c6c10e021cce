"""Errors as engines write them, read as ours: by status, and by any of the bodies in use."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from models_admin.backends.base import (
    BackendError,
    BadRequest,
    ContextTooLong,
    ModelMissing,
    OutOfCredit,
    Overloaded,
    Unreachable,
    WrongKey,
)
from models_admin.backends.reading import integer, text

_LIMIT = re.compile(r"context (?:length|size|window)\D{0,12}(\d{1,12})", re.IGNORECASE)
_TOKENS = re.compile(r"\b(\d{1,12})(?: input| prompt)?[ -]tokens?\b", re.IGNORECASE)
# A sentence, not the megabyte that a line may have: patterns below are quadratic in it, and logs keep it.
_MAX_MESSAGE = 2000
_MAX_RETRY_SECONDS = 3600.0
_MODEL_GONE = re.compile(r"model\b.*(?:not exist|not found|not served)", re.IGNORECASE | re.DOTALL)


def read_error(status: int, body: bytes, *, retry_after: str | None = None) -> BackendError:
    """The error behind an HTTP status and any of the bodies in use: nested, flat, a bare string, not JSON."""
    fields = error_fields(body)
    message = text(fields.get("message"))[:_MAX_MESSAGE] or body[:200].decode("utf-8", "replace")
    if 300 <= status < 400:  # an engine answers itself; whoever sends us elsewhere is none
        return BadRequest(f"HTTP {status}: redirects are refused")
    if status in (401, 403):
        return WrongKey(message)
    if status == 402:
        return OutOfCredit(message)
    if status in (429, 503):
        return Overloaded(message, retry_after=_seconds(retry_after))
    if status in (404, 400, 413, 422):
        return _refusal(status, message, fields)
    return Unreachable(f"HTTP {status}: {message}") if status >= 500 else BadRequest(f"HTTP {status}: {message}")


def read_stream_error(error: object) -> BackendError:
    """The error inside an event of a stream that began with 200; `code` is the status it would have had."""
    code = error.get("code") if isinstance(error, dict) else None
    digits = str(code) if isinstance(code, int | str) else ""
    # Of an answer that is no error, or of thousands of digits, nothing can be said.
    status = int(digits) if len(digits) == 3 and digits.isdecimal() and int(digits) >= 400 else 500
    return read_error(status, msgspec.json.encode({"error": error}))


def error_fields(body: bytes) -> dict[str, Any]:
    """`{"error": {…}}`, `{"error": "…"}`, `{"message": …}` or anything else, as one flat dict."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    inner = value.get("error", value) if isinstance(value, dict) else value
    return inner if isinstance(inner, dict) else {"message": inner}


def _refusal(status: int, message: str, fields: dict[str, Any]) -> BackendError:
    kind = text(fields.get("type"))
    if kind == "exceed_context_size_error" or _is_about_length(message):
        # llama.cpp gives figures; the others only write a sentence.
        limit, asked = integer(fields.get("n_ctx")), integer(fields.get("n_prompt_tokens"))
        if limit is None and (told := _LIMIT.search(message)):
            limit = int(told[1])
            asked = max((int(n) for n in _TOKENS.findall(message) if int(n) != limit), default=None)
        return ContextTooLong(message, limit=limit, asked=asked)
    if _MODEL_GONE.search(message) or (status == 404 and "model" in text(fields.get("code"))):
        return ModelMissing(message)
    return BadRequest(message)


def _is_about_length(message: str) -> bool:
    lower = message.lower()
    return "context" in lower and any(word in lower for word in ("length", "size", "window"))


def _seconds(header: str | None) -> float | None:
    try:
        return min(max(0.0, float(header)), _MAX_RETRY_SECONDS) if header else None
    except ValueError:  # an HTTP date: no engine sends one
        return None
