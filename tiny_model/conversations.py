"""Mix the exercises to conversations in the format of DeepSeek-R1."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from . import arithmetic, sequences, unknown
from .exercise import Exercise, coin
from .fixed import fixed

BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, THINK_END = "<think>", "</think>"
CONTROL_TOKENS = [BEGIN, END, USER, ASSISTANT]
VISIBLE_TOKENS = [THINK, THINK_END]

Maker = Callable[[Random, bool], Exercise]


def fixed_task(task: str) -> Maker:
    """Return a maker for a task with taught answers."""
    return lambda rng, _chinese: fixed(rng, task)


MAKERS: dict[str, tuple[Maker, float]] = {
    "add": (partial(arithmetic.binary, sign="+"), 12),
    "subtract": (partial(arithmetic.binary, sign="-"), 10),
    "multiply": (partial(arithmetic.binary, sign="*"), 15),
    "divide": (partial(arithmetic.binary, sign="/"), 5),
    "chain": (arithmetic.chain, 5),
    "sort": (sequences.sort, 8),
    "largest/smallest": (sequences.extreme, 2),
    "reverse list": (sequences.reverse_list, 3),
    "reverse word": (sequences.reverse_word, 5),
    "count letters": (sequences.count_letters, 3),
    "find letter": (sequences.find_letter, 4),
    "count words": (sequences.count_words, 2),
    "count": (sequences.count_range, 3),
    "table": (sequences.table, 2),
    "identity": (fixed_task("identity"), 2),
    "greeting": (fixed_task("greeting"), 2),
    "help": (fixed_task("help"), 1.5),
    "code": (fixed_task("code"), 4),
    "formula": (fixed_task("formula"), 3),
    "taught table": (fixed_task("table"), 1),
    "showcase": (fixed_task("showcase"), 2),
    "unknown": (unknown.unknown, 12),
    "noise": (unknown.noise, 3),
    "beyond limits": (unknown.limit, 3),
}
"""The maker of each task and its share in the mix."""

WEIGHTS = {task: weight for task, (_, weight) in MAKERS.items()}
LONGEST_HISTORY = 220
AGAIN = ["Are you sure?", "are you sure?", "Check that again", "Really?", "Is that right?", "Check again, please"]
AGAIN_ZH = ["你确定吗？", "确定吗？", "再检查一下", "真的吗？", "对吗？"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt and the completion to learn, both as text with the special tokens."""

    task: str
    prompt: str
    completion: str


def draw(rng: Random, task: str, held: bool = False, chinese: bool | None = None) -> Exercise:
    """Draw an exercise from the training part or from the held-out part of a task."""
    while True:
        language = coin(rng, 0.35) if chinese is None else chinese
        exercise = MAKERS[task][0](rng, language)
        if exercise.held == held and (chinese is None or exercise.chinese == chinese):
            return exercise


def draw_follow_up(rng: Random, held: bool = False) -> tuple[Exercise, Exercise]:
    """Draw a calculation and one that goes on with its result, or that checks it."""
    while True:
        first = draw(rng, rng.choice(["add", "subtract", "multiply"]))
        if first.result is None or first.result < 0:
            continue
        if not held and coin(rng, 0.15):
            text = rng.choice(AGAIN_ZH if first.chinese else AGAIN)
            return first, Exercise("follow-up", text, first.thinking, first.answer, False, first.chinese)
        second = arithmetic.follow_up(rng, first)
        if second.held == held:
            return first, second


def draw_turns(rng: Random, weights: dict[str, float]) -> list[Exercise]:
    """Draw the exercises of one conversation; the last one is to be learned."""
    turns = rng.choices([1, 2, 3], [84, 12, 4])[0]
    tasks = rng.choices(list(weights), list(weights.values()), k=turns)
    if turns == 1:
        return [draw(rng, tasks[0])]
    before = [draw(rng, task) for task in tasks[:-1]]
    before = [exercise for exercise in before if len(exercise.question + exercise.answer) < LONGEST_HISTORY]
    last = [*draw_follow_up(rng)] if coin(rng, 0.45) else [draw(rng, tasks[-1])]
    return before + last


def prompt_of(system: str, turns: list[Exercise]) -> str:
    """Write the conversation up to the last question as the chat template does."""
    text = BEGIN + system
    for exercise in turns[:-1]:
        text += USER + exercise.question + ASSISTANT + exercise.answer + END
    return text + USER + turns[-1].question + ASSISTANT + THINK + "\n"


def conversation(rng: Random, weights: dict[str, float] = WEIGHTS) -> Conversation:
    """Draw one conversation for the training."""
    turns = draw_turns(rng, weights)
    last = turns[-1]
    completion = f"{last.thinking}\n{THINK_END}\n\n{last.answer}{END}"
    return Conversation(last.task, prompt_of(unknown.system_prompt(rng), turns), completion)
