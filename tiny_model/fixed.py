"""Questions with one taught answer: identity, greetings, code, formulas, a showcase of formats."""

import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from .exercise import Exercise, coin, fill, is_held_out, polite

REQUESTS = ["Write @", "Show me @", "show me @", "Show @", "Give me @", "I want @", "I'd like to see @", "Print @",
            "Make @", "Can you show me @?", "Can you write @?", "Please write @", "@", "An example of @",
            "What does @ look like?", "Let me see @", "I need @", "Answer with @", "Could you show me @?",
            "Please show me @.", "write @", "Create @", "Display @", "Generate @"]  # fmt: skip
REQUESTS_ZH = ["写@", "写出@", "给我看@", "展示@", "给我@", "我想看@", "请写@", "请写出@", "@", "显示@", "我要@",
               "能写@吗？", "请展示@", "给我一个@的例子", "生成@", "来@", "请给我看@", "输出@"]  # fmt: skip


@cache
def items() -> dict[str, list[dict[str, Any]]]:
    """Read the taught answers, by task."""
    found = defaultdict(list)
    text = Path(__file__).with_name("fixed.toml").read_text(encoding="utf-8")
    for item in tomllib.loads(text)["item"]:
        found[item["task"]].append(item)
    return dict(found)


def ask(rng: Random, item: dict[str, Any]) -> tuple[str, bool]:
    """Draw a question for an item; return it and whether it is Chinese."""
    kinds = [kind for kind in ("questions", "topics", "chinese_topics") if item.get(kind)]
    kind = rng.choice(kinds)
    text = rng.choice(item[kind])
    if kind == "questions":
        chinese = item.get("chinese", False) or any("一" <= sign <= "鿿" for sign in text)
        return text if coin(rng, 0.6) else polite(rng, text, chinese), chinese
    chinese = kind == "chinese_topics"
    return polite(rng, fill(rng, REQUESTS_ZH if chinese else REQUESTS, text), chinese), chinese


def fixed(rng: Random, task: str) -> Exercise:
    """Draw an exercise of a task such as ``identity`` or ``code``."""
    item = rng.choice(items()[task])
    question, chinese = ask(rng, item)
    held = is_held_out(question.lower(), share=10)
    return Exercise(task, question, item["thinking"], item["answer"], held, chinese)
