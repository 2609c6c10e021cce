"""The script door in OpenAI's shape: the same submit, line, log, ledger and rights as the page."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import wraps
from typing import Any, Concatenate

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts import rights, tokens
from accounts.ids import uuid7
from accounts.models import ApiToken, User
from chat import errors, generation
from chat.api import answers, openai, refusals, sse
from chat.api.openai import Completion, Frame, Refused
from chat.database import in_database
from chat.generation import Ask, Submitted
from chat.models import Conversation, Generation
from models_admin.engines import access, fleet

Class = Generation.QueueClass
LEAD = "Bearer "
View = Callable[Concatenate[HttpRequest, ...], Coroutine[Any, Any, HttpResponseBase]]
TokenView = Callable[Concatenate[HttpRequest, ApiToken, ...], Coroutine[Any, Any, HttpResponseBase]]


def door(method: str) -> Callable[[TokenView], View]:
    """Only `method`, only with a token; every refusal in OpenAI's shape."""

    def wrap(view: TokenView) -> View:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            try:
                if request.method != method:
                    raise Refused(
                        405, f"Not allowed to {request.method} here; use {method}.", code="method_not_allowed"
                    )
                return await view(request, await _token(request), **arguments)
            except Refused as refused:
                response = _refusal(refused)
                if refused.status == 405:
                    response["Allow"] = method
                return response

        return guarded

    return wrap


@door("GET")
async def list_models(request: HttpRequest, token: ApiToken) -> HttpResponse:
    choices = await in_database(_choices, token)
    return JsonResponse(openai.model_list([openai.model(choice.key, choice.name) for choice in choices]))


@door("GET")
async def one_model(request: HttpRequest, token: ApiToken, key: str) -> HttpResponse:
    for choice in await in_database(_choices, token):
        if choice.key == key:
            return JsonResponse(openai.model(choice.key, choice.name))
    raise refusals.no_model(key)


@door("POST")
async def chat_completions(request: HttpRequest, token: ApiToken) -> HttpResponseBase:
    wish = openai.parse(_raw(request))
    submitted = await _submit(token, wish)
    frame = Frame(f"chatcmpl-{submitted.generation.hex}", int(time.time()), wish.model, wish.wants_usage)
    if wish.is_stream:
        return sse.response(_events(token, submitted, frame))
    return await _whole(token, submitted, frame)


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """Any other address, with a token or without: there is nothing to keep from anybody."""
    return _refusal(refusals.no_address(request.path))


def _check_abilities(user: User, ask: Ask) -> None:
    """What the model's engines cannot do is said before anybody waits for it, to those who see the model."""
    if not access.of(user, ask.model).asks(ask.model):
        return
    schema = ask.options.get("json_schema")
    if schema is not None and not fleet.can(ask.model, "any_schema" if schema else "json_object"):
        raise refusals.not_possible("response_format", ask.model)


def _choices(token: ApiToken) -> list[fleet.Choice]:
    """What the token's person may ask for."""
    may_use_cloud, may = rights.may_use_cloud(token.user), access.of(token.user)
    return [each for each in fleet.choices() if may.asks(each.key) and (may_use_cloud or not each.is_cloud)]


async def _token(request: HttpRequest) -> ApiToken:
    given = request.headers.get("Authorization", "")
    secret = given[len(LEAD) :].strip() if given[: len(LEAD)].lower() == LEAD.lower() else ""
    token = await in_database(tokens.authenticate, secret) if secret else None
    if token is None:
        raise refusals.no_key()
    return token


def _raw(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        raise Refused(413, "The request is too large.", code="request_too_large") from None


async def _submit(token: ApiToken, wish: Completion) -> Submitted:
    ask = Ask(
        key=uuid7(),
        text=wish.text,
        model=wish.model,
        think=wish.think,
        options=wish.options,
        turns=wish.turns,
        source=Conversation.Source.API,
        token=token,
        queue_class=Class.BACKGROUND if token.is_background else Class.SCRIPT,
    )
    try:
        await in_database(_check_abilities, token.user, ask)
        return await in_database(generation.submit, token.user, ask)
    except errors.WishRefused as error:
        raise refusals.of_wish(error, wish.model) from None


async def _whole(token: ApiToken, submitted: Submitted, frame: Frame) -> HttpResponse:
    try:
        end = await answers.finished(token.user, token, submitted)
    except answers.RightsLost:
        raise refusals.no_key() from None
    if end.state == Generation.State.FAILED:
        raise refusals.of_failure(end.reason)
    body = frame.completion(text=end.text, thinking=end.thinking, finish=_finish(end), counts=end.counts)
    return JsonResponse(body)


async def _events(token: ApiToken, submitted: Submitted, frame: Frame) -> AsyncIterator[bytes]:
    try:
        async with aclosing(answers.follow(token.user, token, submitted)) as stream:
            async for news in stream:
                for event in _event(news, frame):
                    yield event
    except answers.RightsLost:
        yield sse.event(refusals.no_key().body)
    except answers.Restarted:
        yield sse.event(refusals.of_failure("restarted").body)


def _event(news: answers.News, frame: Frame) -> list[bytes]:
    match news:
        case answers.Begun():
            return [sse.event(frame.chunk({"role": "assistant", "content": ""}))]
        case answers.Text(thinking, answer):
            deltas = [{"reasoning_content": thinking}] * bool(thinking) + [{"content": answer}] * bool(answer)
            return [sse.event(frame.chunk(delta)) for delta in deltas]
        case answers.Pause():
            return [sse.KEEP_ALIVE]
        case answers.Finished(state=Generation.State.FAILED):
            return [sse.event(refusals.of_failure(news.reason).body)]
        case answers.Finished():
            last = [sse.event(frame.chunk({}, _finish(news)))]
            return last + [sse.event(frame.usage_chunk(news.counts))] * frame.wants_usage + [sse.DONE]


def _finish(end: answers.Finished) -> str:
    return "length" if end.finish == "length" else "stop"


def _refusal(refused: Refused) -> JsonResponse:
    response = JsonResponse(refused.body, status=refused.status)
    if refused.retry_after is not None:
        response["Retry-After"] = str(refused.retry_after)
    if refused.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
