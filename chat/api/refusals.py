"""What went wrong, in OpenAI's shape."""

from __future__ import annotations

from accounts.quota import QuotaExceeded
from accounts.quota_units import for_people
from chat import errors
from chat.api.openai import Refused

STATUS = {
    "no_model": 404,
    "may_not_ask": 403,
    "may_not_load": 403,
    "no_price": 403,
    "not_found": 404,
    "still_answering": 409,
    "key_reused": 409,
    "too_many_waiting": 429,
}
WORDS = {
    "message_empty": "The last message is empty.",
    "message_too_long": "A message is longer than the limit allows.",
    "bad_text": "A message holds characters that cannot be stored (NUL or half a surrogate pair).",
    "may_not_ask": "You may see this model, not ask it. Choose one that /v1/models lists, or ask an admin.",
    "may_not_load": "You may ask this model while it is warm, and it is cold now. Choose another one.",
    "no_price": (
        "This cloud's model has no price yet, and a limit of money binds you. Choose another model, or ask an admin to "
        "add its price."
    ),
    "still_answering": "This conversation's answer is still being written.",
    "too_many_waiting": "Too many of your requests are waiting already.",
}
UNITS = {
    "gpu_ms": "GPU seconds",
    "output_tokens": "output tokens",
    "requests": "requests",
    "cost_micro": "of the cloud budget's currency",
    "running": "requests at once",
}
# A generation's reason → status, type, code.
FAILURES = {
    "context_too_long": (400, "invalid_request_error", "context_length_exceeded"),
    "bad_request": (400, "invalid_request_error", "bad_request"),
    "model_missing": (503, "server_error", "model_missing"),
    "never_ready": (503, "server_error", "model_not_ready"),
    "engine_overloaded": (503, "server_error", "engine_overloaded"),
    "out_of_credit": (503, "server_error", "out_of_credit"),
    "no_model": (404, "invalid_request_error", "model_not_found"),
    "may_not_ask": (403, "invalid_request_error", "may_not_ask"),
    "may_not_load": (403, "invalid_request_error", "may_not_load"),
    "no_price": (403, "invalid_request_error", "no_price"),
}

FAILURE_WORDS = {
    "never_ready": "Nothing here could load or run this model in time. Choose another one, or ask an admin.",
}


def no_key() -> Refused:
    message = "You didn't provide a valid API key. Send it as 'Authorization: Bearer r1_…'."
    return Refused(401, message, code="invalid_api_key")


def no_model(key: str) -> Refused:
    message = f"The model '{key[:80]}' does not exist or you do not have access to it."
    return Refused(404, message, code="model_not_found", param="model")


def no_address(path: str) -> Refused:
    message = f"There is nothing at {path[:200]}. What there is: /v1/models, /v1/models/ID, /v1/chat/completions."
    return Refused(404, message, code="unknown_url")


def not_possible(param: str, key: str) -> Refused:
    message = f"'{param}' with this value is not possible with the engine of the model '{key[:80]}'."
    return Refused(400, message, code="unsupported_value", param=param)


def of_wish(error: errors.WishRefused, model_key: str) -> Refused:
    if error.code in {"no_model", "cloud_not_allowed"}:
        return no_model(model_key)
    if isinstance(error, errors.QuotaUsedUp):
        return _of_quota(error.refusal)
    message = WORDS.get(error.code, "The request was refused.")
    status = STATUS.get(error.code, 400)
    kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    param = {400: "messages", 403: "model"}.get(status)
    return Refused(status, message, kind=kind, code=error.code, param=param, retry_after=error.retry_after)


def _of_quota(refusal: QuotaExceeded) -> Refused:
    """In English like all of this door; amounts as people read them."""
    unit = UNITS[refusal.limit.unit]
    amounts = (refusal.left, refusal.standing.allowed, refusal.needs)
    left, allowed, needs = (f"{for_people(refusal.limit.unit, each):,.10g}" for each in amounts)
    message = f"You exceeded your quota: {left} of {allowed} {unit} are left, and this request needs {needs}."
    if refusal.can_never_fit:
        message += " It does not fit into the limit at all: ask for less, for example by max_tokens."
    elif refusal.resets_at is not None:
        message += f" The limit starts anew at {refusal.resets_at.isoformat()}."
    kind = "insufficient_quota"
    return Refused(429, message, kind=kind, code=kind, retry_after=refusal.retry_after)


def of_failure(reason: str) -> Refused:
    """A generation that failed after it was taken."""
    status, kind, code = FAILURES.get(reason, (502, "server_error", reason or "failed"))
    retry_after = 5 if status == 503 else None
    message = FAILURE_WORDS.get(reason) or WORDS.get(reason, f"The answer failed: {code}.")
    return Refused(status, message, kind=kind, code=code, retry_after=retry_after)
