"""The exercise: one question with the thinking and the answer that the model is to learn."""

import hashlib
from dataclasses import dataclass
from random import Random

HELD_OUT_SHARE = 20
"""One in this many keys is kept for the evaluation and never trained on."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise. ``held`` says that it belongs to the evaluation, not to the training."""

    task: str
    question: str
    thinking: str
    answer: str
    held: bool
    chinese: bool = False
    result: int | None = None


def is_held_out(key: str, share: int = HELD_OUT_SHARE) -> bool:
    """Tell by a hash of ``key``, the same on every machine, whether it is held out."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % share == 0


def coin(rng: Random, chance: float) -> bool:
    """Return true with the probability ``chance`` (0 to 1)."""
    return rng.random() < chance


def fill(rng: Random, templates: list[str], value: str) -> str:
    """Put ``value`` in the place of ``@`` in one template."""
    return rng.choice(templates).replace("@", value)


def polite(rng: Random, text: str, chinese: bool) -> str:
    """Vary the outside of a request: politeness, first letter, closing mark."""
    if coin(rng, 0.5):
        return text
    if chinese:
        before = rng.choice(["", "", "请", "请你", "帮我", "你好，", "麻烦你", "请问"])
        return before + text + rng.choice(["", "", "。", "！", "？", "，谢谢", "吧"])
    before = rng.choice(["", "", "", "Please ", "please ", "Can you ", "Could you ", "Hi, ", "Now "])
    if before or coin(rng, 0.4):
        text = text[0].lower() + text[1:]
    return before + text.rstrip(".?!") + rng.choice(["", "", ".", "?", "!", " please", ", please."])
