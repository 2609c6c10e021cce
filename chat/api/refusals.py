"""What went wrong, in OpenAI's shape."""

from __future__ import annotations

import math

from django.utils import timezone

from accounts.quota import QuotaExceeded
from chat import errors
from chat.api.openai import Refused

STATUS = {
    "no_model": 404,
    "not_found": 404,
    "still_answering": 409,
    "key_reused": 409,
    "too_many_waiting": 429,
}
WORDS = {
    "message_empty": "The last message is empty.",
    "message_too_long": "A message is longer than the limit allows.",
    "bad_text": "A message holds characters that cannot be stored (NUL or half a surrogate pair).",
    "still_answering": "This conversation's answer is still being written.",
    "too_many_waiting": "Too many of your requests are waiting already.",
}
# A generation's reason → status, type, code.
FAILURES = {
    "context_too_long": (400, "invalid_request_error", "context_length_exceeded"),
    "bad_request": (400, "invalid_request_error", "bad_request"),
    "model_missing": (503, "server_error", "model_missing"),
    "engine_overloaded": (503, "server_error", "engine_overloaded"),
    "out_of_credit": (503, "server_error", "out_of_credit"),
}


def no_key() -> Refused:
    message = "You didn't provide a valid API key. Send it as 'Authorization: Bearer r1_…'."
    return Refused(401, message, code="invalid_api_key")


def no_model(key: str) -> Refused:
    message = f"The model '{key[:80]}' does not exist or you do not have access to it."
    return Refused(404, message, code="model_not_found", param="model")


def not_possible(param: str, key: str) -> Refused:
    message = f"'{param}' with this value is not possible with the engine of the model '{key[:80]}'."
    return Refused(400, message, code="unsupported_value", param=param)


def of_wish(error: errors.WishRefused, model_key: str) -> Refused:
    if error.code in {"no_model", "cloud_not_allowed"}:
        return no_model(model_key)
    if isinstance(error.__cause__, QuotaExceeded):
        return _of_quota(error.__cause__)
    message = WORDS.get(error.code, "The request was refused.")
    status = STATUS.get(error.code, 400)
    kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    param = "messages" if status == 400 else None
    return Refused(status, message, kind=kind, code=error.code, param=param, retry_after=error.retry_after)


def _of_quota(error: QuotaExceeded) -> Refused:
    seconds = max(1, math.ceil((error.resets_at - timezone.now()).total_seconds()))
    message = f"You exceeded your quota: {error.left} {error.limit.unit} left until {error.resets_at.isoformat()}."
    return Refused(429, message, kind="insufficient_quota", code="insufficient_quota", retry_after=seconds)


def of_failure(reason: str) -> Refused:
    """A generation that failed after it was taken."""
    status, kind, code = FAILURES.get(reason, (502, "server_error", reason or "failed"))
    retry_after = 5 if status == 503 else None
    return Refused(status, f"The answer failed: {code}.", kind=kind, code=code, retry_after=retry_after)
