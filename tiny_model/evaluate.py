"""Measure the accuracy on held-out exercises against any OpenAI-compatible server; print a Markdown table.

An answer counts as right when all of it is as taught, after the thinking. Temperature 0.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from .conversations import THINK_END, draw, draw_follow_up
from .exercise import Exercise

Turns = list[Exercise]
Drawer = Callable[[Random], Turns]

ARITHMETIC = ["add", "subtract", "multiply", "divide", "chain"]
FIXED = ["identity", "greeting", "help", "code", "formula", "taught table", "showcase"]
OTHERS = ["sort", "largest/smallest", "reverse list", "reverse word", "count", "count letters", "find letter",
          "count words", "table"]  # fmt: skip
REFUSED = ["unknown", "noise", "beyond limits"]
EXAMPLES = ["12+34=?", "37*24", "Count from 1 to 20", "Write hello world in Python", "What is the quadratic formula?",
            "Table of fruits", "Sort: 31, 8, 19", "Show me code, a table and a formula"]  # fmt: skip
TRIES = 40
"""A task with few held-out questions is asked fewer: drawing ends after this many times the wanted number."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the model answers."""

    url: str
    key: str
    model: str
    most_tokens: int
    patience: float

    def ask(self, messages: list[dict[str, str]]) -> str:
        """Return the answer to a conversation, without the thinking; a refusal of the server is a wrong answer."""
        content = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": self.most_tokens}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(content).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.patience) as reply:
                text = json.load(reply)["choices"][0]["message"].get("content") or ""
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}"
        return text.split(THINK_END)[-1].strip()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question that was asked."""

    task: str
    question: str
    wanted: str
    answer: str

    @property
    def right(self) -> bool:
        """Tell whether the answer is the taught one."""
        return self.answer == self.wanted


def single(rng: Random, tasks: list[str], chinese: bool | None = None) -> Turns:
    """Draw one held-out exercise of one of the tasks."""
    return [draw(rng, rng.choice(tasks), True, chinese)]


def follow_up(rng: Random) -> Turns:
    """Draw a calculation and a held-out one that goes on with its result."""
    return list(draw_follow_up(rng, True))


def drawers() -> dict[str, Drawer]:
    """Return how to draw each row of the table."""
    rows: dict[str, Drawer] = {}
    for task in ARITHMETIC:
        rows[f"{task}, English"] = partial(single, tasks=[task], chinese=False)
        rows[f"{task}, Chinese"] = partial(single, tasks=[task], chinese=True)
    rows["follow-up"] = follow_up
    rows |= {task: partial(single, tasks=[task]) for task in OTHERS}
    rows["fixed answers"] = partial(single, tasks=FIXED)
    return rows | {task: partial(single, tasks=[task]) for task in REFUSED}


def collect(rng: Random, drawer: Drawer, size: int) -> list[Turns]:
    """Draw up to ``size`` different conversations."""
    found: dict[str, Turns] = {}
    for _ in range(TRIES * size):
        turns = drawer(rng)
        found.setdefault("\n".join(turn.question for turn in turns), turns)
        if len(found) == size:
            break
    return list(found.values())


def messages_of(turns: Turns) -> list[dict[str, str]]:
    """Write a conversation up to its last question."""
    messages = []
    for turn in turns[:-1]:
        messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    return [*messages, {"role": "user", "content": turns[-1].question}]


def measure(server: Server, size: int, seed: int, at_once: int) -> list[Outcome]:
    """Ask the held-out exercises of all tasks."""
    rows = [
        (task, turns) for task, drawer in drawers().items() for turns in collect(Random(f"{seed} {task}"), drawer, size)
    ]

    def one(row: tuple[str, Turns]) -> Outcome:
        task, turns = row
        return Outcome(task, turns[-1].question, turns[-1].answer, server.ask(messages_of(turns)))

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, rows))


def is_arithmetic(outcome: Outcome) -> bool:
    """Tell whether a row is one calculation, so that it counts for the mean of arithmetic."""
    return outcome.task.split(",")[0] in ARITHMETIC


def table_row(name: str, outcomes: list[Outcome]) -> str:
    """Write one row of the table."""
    right = sum(outcome.right for outcome in outcomes)
    share = 100 * right / len(outcomes) if outcomes else 0
    return f"| {name} | {right} | {len(outcomes)} | {share:.0f} % |"


def table(outcomes: list[Outcome]) -> str:
    """Write the Markdown table: each task, then arithmetic and all others together."""
    lines = ["| task | right | asked | accuracy |", "| --- | ---: | ---: | ---: |"]
    for task in dict.fromkeys(outcome.task for outcome in outcomes):
        lines.append(table_row(task, [outcome for outcome in outcomes if outcome.task == task]))
    lines.append(table_row("**arithmetic together**", [outcome for outcome in outcomes if is_arithmetic(outcome)]))
    others = [outcome for outcome in outcomes if not is_arithmetic(outcome)]
    return "\n".join([*lines, table_row("**all others together**", others)])


def show_mistakes(outcomes: list[Outcome], most: int) -> None:
    """Print some wrong answers of each task."""
    for task in dict.fromkeys(outcome.task for outcome in outcomes):
        wrong = [outcome for outcome in outcomes if outcome.task == task and not outcome.right]
        for outcome in wrong[:most]:
            print(f"{task}: {outcome.question!r} wanted {outcome.wanted!r} got {outcome.answer!r}", file=sys.stderr)


def show_examples(server: Server) -> None:
    """Print the answers to a few questions that visitors are likely to ask."""
    for question in EXAMPLES:
        print(f"> {question}\n\n{server.ask([{'role': 'user', 'content': question}])}\n")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="address of the API, such as http://127.0.0.1:8099/v1")
    parser.add_argument("--key-file", type=Path, help="file with the key of the server")
    parser.add_argument("--model", default="r1-tiny", help="name of the model at the server")
    parser.add_argument("--size", type=int, default=60, help="questions of each task")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8, help="requests at once")
    parser.add_argument("--most-tokens", type=int, default=1000, help="tokens of an answer at most")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for an answer")
    parser.add_argument("--mistakes", type=int, default=0, help="wrong answers of each task to print")
    parser.add_argument("--examples", action="store_true", help="print answers to a few questions instead")
    options = parser.parse_args()
    key = options.key_file.read_text().strip() if options.key_file else ""
    server = Server(options.url.rstrip("/"), key, options.model, options.most_tokens, options.patience)
    if options.examples:
        show_examples(server)
        return
    start = time.monotonic()
    outcomes = measure(server, options.size, options.seed, options.at_once)
    print(table(outcomes))
    print(f"\n{len(outcomes)} questions in {time.monotonic() - start:.0f} s")
    show_mistakes(outcomes, options.mistakes)


if __name__ == "__main__":
    main()
