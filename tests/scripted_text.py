"""What the scripted engine says: known text, so that any gap, doubling or change is seen.

A directive stands anywhere in the user's last message: `say 20+200` = 20 tokens of thinking, 200 of answer,
and any of the faults below as `name=value`. Thinking is `t0001 t0002 …`, the answer `t0101 t0102 …`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SAY = re.compile(r"\bsay (\d+)\+(\d+)")
_OPTION = re.compile(
    r"\b(die_after|dies_every|end_after|exit_after|hang_after|error_after|error|retry_after|slow_first|big|pace|nested_after)=([0-9.]+)"
)
_WORD = re.compile(r"\b(overflow|markdown|bare|tags|echo)\b")
BIG_TOKEN_BYTES = 1000
FIRST_ANSWER_NUMBER = 101
MARKDOWN = """Here is **bold**, `code`, a list and more.

1. one
2. two

```python
def add(a, b):
    return a + b  # <script>alert(1)</script>
```

| n | square |
|---|--------|
| 2 | 4 |
| 3 | 9 |

Inline $a^2+b^2=c^2$ and a block:

$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$

<img src=x onerror=alert(1)> and [a link](https://example.org) end."""


@dataclass
class Script:
    """One answer as lists of tokens (each with its own leading space) and the faults to play.

    `*_after` count tokens over both channels; `error` is an HTTP status; seconds for times.
    """

    thinking: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    options: dict[str, float] = field(default_factory=dict)
    words: frozenset[str] = frozenset()

    @property
    def thinking_text(self) -> str:
        return "".join(self.thinking)

    @property
    def answer_text(self) -> str:
        return "".join(self.answer)

    def after(self, name: str) -> int | None:
        """The number of tokens after which the fault `name` happens."""
        value = self.options.get(name)
        return None if value is None else int(value)


def read(message: str) -> Script:
    """The script that a user's message asks for; without a directive, `say 20+50`."""
    said = _SAY.search(message)
    thinking, answer = (int(said[1]), int(said[2])) if said else (20, 50)
    script = Script(
        thinking=numbered(1, thinking),
        answer=numbered(max(FIRST_ANSWER_NUMBER, thinking + 1), answer),
        options={name: float(value) for name, value in _OPTION.findall(message)},
        words=frozenset(_WORD.findall(message)),
    )
    if "markdown" in script.words:
        script.answer = re.findall(r"\s*\S+", MARKDOWN)
    if "echo" in script.words:
        script.answer = [message[at : at + 8] for at in range(0, len(message), 8)]
    if "big" in script.options:
        script.answer = _padded(int(script.options["big"]) // BIG_TOKEN_BYTES)
    return script


def rest(script: Script, given: str) -> tuple[int, list[str]]:
    """How many tokens an answer holds already by `given` (a thought, and behind its end an answer), and what follows.

    Raises ValueError where this engine would not have said it.
    """
    thinking, end, answer = given.partition("</think>")
    thought = _count(script.thinking, thinking.removesuffix("\n") if end else thinking)
    if end:
        said = _count(script.answer, answer.removeprefix("\n\n"))
        return thought + said, script.answer[said:]
    first, *others = script.answer or [""]
    return thought, [*script.thinking[thought:], f"</think>\n\n{first}", *others]


def _count(tokens: list[str], text: str) -> int:
    for count in range(len(tokens) + 1):
        if "".join(tokens[:count]) == text:
            return count
    raise ValueError(f"this engine does not say {text[:60]!r}")


def numbered(first: int, count: int) -> list[str]:
    return [f"{'' if number == first else ' '}t{number:04d}" for number in range(first, first + count)]


def _padded(count: int) -> list[str]:
    return [word + "x" * (BIG_TOKEN_BYTES - len(word)) for word in numbered(FIRST_ANSWER_NUMBER, count)]
