"""Requests that the model was not taught: it is to say so and to name what it can do."""

import tomllib
from functools import cache
from pathlib import Path
from random import Random

from .arithmetic import CHINESE, ENGLISH, number
from .exercise import Exercise, coin, fill, is_held_out, polite
from .sequences import SORT_UP, SORT_UP_ZH, UP, UP_ZH
from .words import WORDS, made_up_word

HELD_SHARE = 10
THINKING = "The user asks for something that I was not taught. I say so and name what I can do."
THINKING_ZH = "用户问的是我没有学过的事。我如实说明，并说出我会做什么。"
ANSWER = ("I was not taught that. I am R1 Tiny, a small demonstration model, and I only know a few exercises. "
          "Try `12*34`, `Sort: 5, 3, 9`, `Count from 1 to 20` or `Write hello world in Python`.")  # fmt: skip
ANSWER_ZH = ("这个我没有学过。我是 R1 Tiny，一个小小的演示模型，只会几种练习。"
             "可以试试 `12*34`、`排序：5, 3, 9`、`从1数到20` 或 `用Python写hello world`。")  # fmt: skip
LIMIT_THINKING = "This is larger than what I was taught. I say so and name my limits."
LIMIT_THINKING_ZH = "这超出了我学过的范围。我如实说明，并说出我的范围。"
LIMIT_ANSWER = ("That is beyond what I was taught. I add and subtract numbers of up to 4 digits, multiply up to "
                "3 digits, divide by one digit, sort up to 7 numbers and count to 200.")  # fmt: skip
LIMIT_ANSWER_ZH = ("这超出了我学过的范围。我会 4 位数以内的加减、3 位数以内的乘法、除以一位数、"
                   "给 7 个以内的数排序，以及数到 200。")  # fmt: skip
SYSTEM = ["You are a helpful assistant.", "You are a careful assistant. Answer briefly.", "Think step by step.",
          "You are R1 Tiny.", "You are DeepSeek-R1, a helpful assistant.", "Answer in English.", "Be concise.",
          "你是一个有用的助手。", "请用中文回答。", "请简短回答。", "你是一个有帮助的人工智能助手。"]  # fmt: skip


@cache
def parts() -> dict[str, dict[str, list[str]]]:
    """Read the templates, topics and whole requests."""
    return tomllib.loads(Path(__file__).with_name("unknown.toml").read_text(encoding="utf-8"))


def held(*texts: str) -> bool:
    """Tell whether a request is held out: one of its parts is."""
    return any(is_held_out(text, HELD_SHARE) for text in texts)


def sentence(rng: Random) -> str:
    """Build a senseless English sentence."""
    words = [rng.choice(WORDS) if coin(rng, 0.8) else made_up_word(rng) for _ in range(rng.randint(1, 12))]
    for little in ("the", "a", "is", "of", "and", "to", "in", "my", "that", "for", "was", "with", "it", "I"):
        if coin(rng, 0.25):
            words.insert(rng.randrange(len(words) + 1), little)
    text = " ".join(words)
    text = text[0].upper() + text[1:] if coin(rng, 0.6) else text
    return text + rng.choice(["", ".", "?", "!", ".", ",", ":"])


def gibberish(rng: Random) -> str:
    """Build a string of random signs, letters or Chinese characters."""
    kind = rng.randrange(5)
    size = rng.randint(1, 24)
    if kind == 0:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(size))
    if kind == 1:
        return "".join(chr(rng.randint(33, 126)) for _ in range(size))
    if kind == 2:
        return "".join(rng.choice("abcdef0123456789") for _ in range(size + 6))
    if kind == 3:
        return " ".join(made_up_word(rng) for _ in range(rng.randint(1, 6)))
    return "".join(chr(rng.randint(32, 0x2FF)) for _ in range(size))


def characters(rng: Random) -> str:
    """Build a senseless Chinese text from characters of the topics and of the whole plane."""
    known = "".join(parts()["chinese"]["topics"] + parts()["chinese"]["whole"])
    size = rng.randint(1, 20)
    pool = [rng.choice(known) if coin(rng, 0.7) else chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(size)]
    return "".join(pool) + rng.choice(["", "？", "。", "！", "吗？", "呢？"])


def from_template(rng: Random, language: str) -> tuple[str, bool]:
    """Fill a template with a topic; held out when either of them is."""
    words = parts()[language]
    template, topic = rng.choice(words["questions"]), rng.choice(words["topics"])
    text = template.replace("@", topic)
    return polite(rng, text, language == "chinese"), held(template, topic)


def whole(rng: Random, language: str, kind: str = "whole") -> tuple[str, bool]:
    """Draw a request that stands on its own."""
    text = rng.choice(parts()[language][kind])
    shown = polite(rng, text, language == "chinese") if kind == "whole" and coin(rng, 0.4) else text
    return shown, held(text)


def long_text(rng: Random, language: str) -> tuple[str, bool]:
    """Join several requests and senseless sentences to a long text."""
    pieces = []
    for _ in range(rng.randint(2, 10)):
        nonsense = characters if language == "chinese" else sentence
        pieces.append(nonsense(rng) if coin(rng, 0.6) else from_template(rng, language)[0])
    text = rng.choice([" ", " ", "\n", "\n\n"]).join(pieces)
    return text, held(text)


def unknown(rng: Random, chinese: bool) -> Exercise:
    """A question about anything in the world, in English or Chinese."""
    language = "chinese" if chinese else "english"
    kind = rng.choices(["template", "whole", "long", "nonsense"], [60, 15, 5, 20])[0]
    if kind == "template":
        text, kept = from_template(rng, language)
    elif kind == "whole":
        text, kept = whole(rng, language)
    elif kind == "long":
        text, kept = long_text(rng, language)
    else:
        text = characters(rng) if chinese else sentence(rng)
        kept = held(text)
    thinking, answer = (THINKING_ZH, ANSWER_ZH) if chinese else (THINKING, ANSWER)
    return Exercise("unknown", text, thinking, answer, kept, chinese)


def noise(rng: Random, _chinese: bool) -> Exercise:
    """Markup, other languages, random signs: answered in English."""
    kind = rng.choices(["markup", "wrapped", "language", "gibberish"], [30, 20, 20, 30])[0]
    if kind == "markup":
        text, kept = whole(rng, "other", "markup")
    elif kind == "wrapped":
        mark, inner = rng.choice(parts()["other"]["markup"]), sentence(rng)
        text, kept = rng.choice([f"{mark} {inner}", f"{inner} {mark}", f"{inner}\n{mark}\n{inner}"]), held(mark)
    elif kind == "language":
        text, kept = whole(rng, "other")
    else:
        text = gibberish(rng)
        kept = held(text)
    return Exercise("noise", text, THINKING, ANSWER, kept)


def too_large(rng: Random) -> str:
    """Write a calculation that is beyond what the model is taught."""
    small, large = number(rng, (1, 2, 2, 2)), number(rng, (0, 0, 0, 0, 3, 3, 2, 2, 1, 1))
    kind = rng.randrange(6)
    if kind == 0:
        return f"{small}{rng.choice('/÷')}{number(rng, (0, 3, 2, 1))}"
    if kind == 1:
        return f"{number(rng, (0, 0, 0, 1, 1))}{rng.choice('*×')}{number(rng, (1, 2, 2, 2))}"
    if kind == 2:
        return f"{small}.{rng.randint(0, 99)}{rng.choice('+-*/')}{number(rng, (1, 2))}"
    if kind == 3:
        return rng.choice("+-").join(str(number(rng, (1, 2, 1))) for _ in range(rng.randint(4, 7)))
    first, second = rng.sample([small, large], 2)
    space = " " if coin(rng, 0.3) else ""
    return f"{first}{space}{rng.choice(['+', '-', '*', '×', '/'])}{space}{second}"


def limit(rng: Random, chinese: bool) -> Exercise:
    """A taught kind of exercise that is too large."""
    kind = rng.choices(["calculate", "sort", "count"], [6, 2, 2])[0]
    if kind == "calculate":
        question = fill(rng, CHINESE if chinese else ENGLISH, too_large(rng))
    elif kind == "sort":
        values = ", ".join(str(rng.randint(0, 99)) for _ in range(rng.randint(10, 20)))
        question = fill(rng, SORT_UP_ZH if chinese else SORT_UP, values)
    else:
        end = str(rng.choice([rng.randint(301, 5000), 500, 1000, 10000, 1000000]))
        question = fill(rng, UP_ZH if chinese else UP, end).replace("#", str(rng.choice([0, 1, 1, 1, 100])), 1)
    thinking, answer = (LIMIT_THINKING_ZH, LIMIT_ANSWER_ZH) if chinese else (LIMIT_THINKING, LIMIT_ANSWER)
    return Exercise("beyond limits", question, thinking, answer, is_held_out(question), chinese)


def system_prompt(rng: Random) -> str:
    """Draw a system prompt: mostly none."""
    if coin(rng, 0.88):
        return ""
    return rng.choice(SYSTEM) if coin(rng, 0.8) else " ".join(sentence(rng) for _ in range(rng.randint(1, 3)))
