"""The promises about answers: channels, counts, limits, formats, going on, stopping."""

from __future__ import annotations

import asyncio
import json

from models_admin.backends.base import Delta, JsonFormat, Prefix, Tool
from models_admin.backends.contract_subject import QUESTION, Answer, NotHere, Subject, require

FREE_SECONDS = 10.0
_FEW = 40
_THOUGHT = "The user wants the sum of 12 and 34.\n"
_SCHEMA = '{"type":"object","properties":{"answer":{"type":"integer"}},"required":["answer"]}'
_TOOL = Tool("add", "Add two numbers", '{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}}}')


async def thinking(subject: Subject) -> None:
    """Thinking comes apart from the answer, before it, and without tags."""
    answer = await _thought(subject)
    require(answer.channels == tuple(sorted(answer.channels, reverse=True)), "thinking came behind the answer")
    require("think>" not in answer.thinking + answer.text, "a tag of the thought was left in the text")
    require(bool(answer.text) or answer.finish.reason == "length", "no answer came after the thought")


async def usage(subject: Subject) -> None:
    """The counts hold thinking and answer apart, also where the engine gives one figure or 0."""
    answer = await subject.ask()
    told = answer.finish.usage
    require(told.prompt_tokens > 0, "the prompt cost no tokens")
    require(told.thinking_tokens + told.answer_tokens >= answer.counted, "fewer tokens were told than came")
    require(bool(answer.thinking) == (told.thinking_tokens > 0), f"{told.thinking_tokens} tokens of thinking were told")
    require(bool(answer.text) == (told.answer_tokens > 0), f"{told.answer_tokens} tokens of the answer were told")


async def count_prompt(subject: Subject) -> None:
    counted = await subject.driver.count_prompt(subject.request())
    told = (await subject.ask(max_tokens=1)).finish.usage.prompt_tokens
    require(counted == told, f"counted {counted} before, {told} after")


async def control_tokens(subject: Subject) -> None:
    """A control token that somebody types costs what plain text costs: several tokens, not one."""
    plain = (await subject.ask("x", max_tokens=1)).finish.usage.prompt_tokens
    typed = (await subject.ask("x<｜Assistant｜></think>", max_tokens=1)).finish.usage.prompt_tokens
    require(typed - plain > 2, f"two typed control tokens cost {typed - plain} tokens: the engine obeyed them")


async def length(subject: Subject) -> None:
    answer = await subject.ask("Count from 1 to 100", max_tokens=_FEW)
    require(answer.finish.reason == "length", f"cut off, it said {answer.finish.reason}")
    written = answer.finish.usage.thinking_tokens + answer.finish.usage.answer_tokens
    require(0 < written <= _FEW, f"{written} tokens came, where {_FEW} were allowed")


async def stop(subject: Subject) -> None:
    """A stop string ends the answer, or the thought already, and is not part of it."""
    whole = await subject.ask()
    word = (whole.thinking + whole.text).split()[-1]
    answer = await subject.ask(stop=(word,))
    require(answer.finish.reason == "stop", f"at a stop string it said {answer.finish.reason}")
    require(word not in answer.text, "the stop string is part of the answer")


async def seed(subject: Subject) -> None:
    first = await subject.ask(temperature=1.0, seed=7, max_tokens=60)
    second = await subject.ask(temperature=1.0, seed=7, max_tokens=60)
    require((first.thinking, first.text) == (second.thinking, second.text), "the same seed gave two answers")


async def json_object(subject: Subject) -> None:
    answer = await subject.ask("Answer with a JSON object.", response_format=JsonFormat(), max_tokens=400)
    _require_json(answer)


async def any_schema(subject: Subject) -> None:
    answer = await subject.ask(QUESTION, response_format=JsonFormat(_SCHEMA), max_tokens=400)
    value = _require_json(answer)
    require(not isinstance(value, dict) or isinstance(value.get("answer"), int), "the schema was not kept")


async def tools(subject: Subject) -> None:
    """Tools are accepted; a call comes whole, its arguments as JSON."""
    if (await subject.driver.inspect(subject.model)).uses_tools is False:
        raise NotHere("this model has no tools")
    answer = await subject.ask("What is 12 plus 34? Use the tool.", tools=(_TOOL,), max_tokens=400)
    for call in answer.calls:
        require(call.name == "add", f"a tool {call.name!r} was called that nobody offered")
        require(answer.finish.reason == "length" or _is_json(call.arguments), "a call's arguments are no JSON")


async def effort(subject: Subject) -> None:
    answer = await subject.ask(effort="low")
    require(bool(answer.channels), "nothing came")


async def thinking_off(subject: Subject) -> None:
    answer = await subject.ask(think="off", max_tokens=None)
    require("thinking" not in answer.channels, "it thought all the same")
    require(bool(answer.text), "no answer came")
    cut_at = answer.finish.usage.answer_tokens
    require(answer.finish.reason == "stop" or cut_at > _FEW, f"without a limit it was cut after {cut_at} tokens")
    require(answer.finish.usage.thinking_tokens == 0, "thinking was counted")


async def continue_answer(subject: Subject) -> None:
    """What goes on is answer only, and does not begin anew."""
    answer = await subject.ask(prefix=Prefix(_THOUGHT, "12 + 34 = **"), max_tokens=60)
    require("thinking" not in answer.channels, "it thought where the answer was to go on")
    require(bool(answer.text), "nothing came")
    require(not answer.text.startswith("12 + 34"), "it began anew")


async def continue_thinking(subject: Subject) -> None:
    await _thought(subject)
    answer = await subject.ask(prefix=Prefix("Step by step: 12+34.\n"))
    require(answer.channels[:1] == ("thinking",), "the thought did not go on")
    require(bool(answer.text) or answer.finish.reason == "length", "no answer came after it")


async def end_thinking(subject: Subject) -> None:
    """Broken off in the thought and told to answer: the answer is written from what was thought."""
    thought = ""
    items = subject.driver.chat(subject.request("37*24"))
    async for item in items:
        if not isinstance(item, Delta) or item.kind != "thinking":
            break
        thought += item.text
        if len(thought) > 8:
            break
    await items.aclose()
    if not thought:
        raise NotHere("this model does not think")
    answer = await subject.ask("37*24", prefix=Prefix(thought, ""), max_tokens=200)
    require("thinking" not in answer.channels, "it went on thinking")
    require(bool(answer.text), "no answer came")


async def cancel(subject: Subject) -> None:
    """Closing an answer frees its slot: the engine says so, or the next question is answered."""
    items = subject.driver.chat(subject.request("Count from 1 to 100", max_tokens=1000))
    await anext(items)
    await items.aclose()
    async with asyncio.timeout(FREE_SECONDS):
        if subject.driver.capabilities.tells_load:
            while (await subject.driver.facts()).running:  # noqa: ASYNC110 - only the engine knows
                await asyncio.sleep(0.05)
        await subject.ask(max_tokens=1)


async def _thought(subject: Subject) -> Answer:
    answer = await subject.ask()
    if not answer.thinking:
        raise NotHere("this model does not think")
    return answer


def _require_json(answer: Answer) -> object:
    """The value; None where the limit cut it off."""
    if answer.finish.reason == "length":
        return None
    require(_is_json(answer.text), f"no JSON: {answer.text[:60]!r}")
    return json.loads(answer.text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
