"""Arithmetic exercises, worked digit by digit as with pen and paper."""

from random import Random

from .exercise import Exercise, coin, fill, is_held_out

SIGNS = {
    "+": ["+", "+", " + ", " + ", "＋"],
    "-": ["-", "-", " - ", " - ", "－"],
    "*": ["*", "*", " * ", "×", " × ", " x ", "x"],
    "/": ["/", " / ", "÷", " ÷ "],
}
ENGLISH_NAMES = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
CHINESE_NAMES = {"+": "加", "-": "减", "*": "乘以", "/": "除以"}
SHOWN = {"+": "+", "-": "-", "*": "×", "/": "÷"}
ENGLISH = [
    "@", "@", "@=", "@=?", "@ =", "@ = ?", "@?", "What is @?", "what is @", "What's @?",
    "Calculate @", "Calculate @.", "Compute @", "compute @", "calculate @", "How much is @?",
    "how much is @", "Please calculate @", "Please compute @.", "Can you compute @?",
    "Can you calculate @?", "Solve @", "Tell me @", "Work out @", "What does @ equal?",
    "What is the result of @?", "Hi, what is @?", "Evaluate @", "What is @ ?", "I need @",
    "Let's do @", "Could you tell me what @ is?", "Do the math: @", "Solve: @", "and @?",
]  # fmt: skip
CHINESE = [
    "@", "@=", "@=?", "@=？", "@等于多少？", "@等于几？", "@等于多少", "@等于几", "@是多少？", "@是多少",
    "计算@", "计算：@", "请计算@", "请计算 @", "请问@等于多少？", "请问@是多少？", "算一下@", "帮我算@",
    "帮我算一下@", "求@的值", "求@", "@的结果是什么？", "@的结果是多少？", "你会算@吗？", "那@呢？",
    "你好，@等于多少？",
]  # fmt: skip
FOLLOW_ENGLISH = {
    "+": ["now add @", "Now add @.", "Add @ to that", "add @", "plus @", "And plus @?", "+@", "+ @"],
    "-": ["now subtract @", "Subtract @ from that", "subtract @", "minus @", "And minus @?", "- @"],
    "*": ["now multiply by @", "Multiply that by @", "times @", "multiply it by @", "* @", "×@"],
}
FOLLOW_CHINESE = {
    "+": ["再加@", "结果再加@", "加@呢？", "加上@", "再加上@等于多少？"],
    "-": ["再减@", "结果再减@", "减@呢？", "减去@", "再减去@等于多少？"],
    "*": ["再乘以@", "结果再乘以@", "乘以@呢？", "乘@", "再乘以@等于多少？"],
}


def digit(number: int, place: int) -> int:
    """Return the digit of ``number`` at ``place``, 0 being the ones."""
    return number // 10**place % 10


def add_columns(a: int, b: int) -> str:
    """Add two numbers column by column: digit + digit + carry."""
    steps, carry = [], 0
    for place in range(max(len(str(a)), len(str(b)))):
        x, y = digit(a, place), digit(b, place)
        steps.append(f"{x}+{y}+{carry}={x + y + carry}")
        carry = (x + y + carry) // 10
    return f"{a}+{b}: {' '.join(steps)} → {a + b}"


def subtract_columns(a: int, b: int) -> str:
    """Subtract ``b`` from ``a`` (``a >= b``) column by column: digit - digit - borrow."""
    steps, borrow = [], 0
    for place in range(len(str(a))):
        x, y = digit(a, place), digit(b, place)
        short = x - y - borrow < 0
        top = x + 10 if short else x
        steps.append(f"{top}-{y}-{borrow}={top - y - borrow}")
        borrow = int(short)
    return f"{a}-{b}: {' '.join(steps)} → {a - b}"


def multiply_digit(a: int, factor: int, zeros: int) -> str:
    """Multiply ``a`` by one digit and append zeros: digit * factor + carry."""
    steps, carry = [], 0
    for place in range(len(str(a))):
        x = digit(a, place)
        steps.append(f"{x}*{factor}+{carry}={x * factor + carry}")
        carry = (x * factor + carry) // 10
    return f"{a}*{factor}{'0' * zeros}: {' '.join(steps)} → {a * factor * 10**zeros}"


def multiply_lines(a: int, b: int) -> list[str]:
    """Multiply by each digit of ``b`` and add up the products as they come."""
    if a < 10 and b < 10:
        return [f"{a}*{b}={a * b}"]
    lines: list[str] = []
    total: int | None = None
    for place in range(len(str(b))):
        factor = digit(b, place)
        if factor == 0 and b:
            continue
        product = a * factor * 10**place
        lines.append(multiply_digit(a, factor, place))
        if total is not None:
            lines.append(add_columns(total, product))
        total = product + (total or 0)
    return lines


def divide_line(a: int, b: int) -> str:
    """Divide ``a`` by the digit ``b`` from the left, carrying the remainder."""
    steps, rest = [], 0
    for figure in str(a):
        part = rest * 10 + int(figure)
        steps.append(f"{part}={b}*{part // b}+{part % b}")
        rest = part % b
    return f"{a}/{b}: {' '.join(steps)} → {a // b} r {a % b}"


def work(a: int, sign: str, b: int) -> tuple[list[str], int]:
    """Return the lines of the work and the result of ``a sign b``."""
    if sign == "+":
        return [add_columns(a, b)], a + b
    if sign == "*":
        return multiply_lines(a, b), a * b
    if sign == "/":
        return [divide_line(a, b)], a // b
    if a >= b:
        return [subtract_columns(a, b)], a - b
    return [f"{a}<{b}", subtract_columns(b, a), f"→ -{b - a}"], a - b


def number(rng: Random, weights: tuple[int, ...]) -> int:
    """Draw a number; ``weights`` are the shares of 1, 2, 3 … digits."""
    size = rng.choices(range(1, len(weights) + 1), weights)[0]
    return rng.randint(0, 9) if size == 1 else rng.randint(10 ** (size - 1), 10**size - 1)


def operands(rng: Random, sign: str) -> tuple[int, int]:
    """Draw the two numbers of an exercise within what the model is taught."""
    if sign == "/":
        return number(rng, (1, 3, 3, 1)), rng.randint(1, 9)
    if sign != "*":
        return number(rng, (2, 6, 5, 2)), number(rng, (2, 6, 5, 2))
    a, b = number(rng, (3, 6, 4)), number(rng, (4, 6, 2))
    return (a, b) if coin(rng, 0.7) or b > 99 else (b, a)


def expression(rng: Random, terms: list[int | str], chinese: bool) -> str:
    """Write numbers and signs as a user would: with signs or with words."""
    names = CHINESE_NAMES if chinese else ENGLISH_NAMES
    in_words = coin(rng, 0.2)
    text = ""
    for term in terms:
        if isinstance(term, int):
            text += str(term)
        elif in_words:
            text += names[term] if chinese else f" {names[term]} "
        else:
            text += rng.choice(SIGNS[term])
    return text


def finish(task: str, question: str, terms: list[int | str], lines: list[str], result: int,
           chinese: bool, rest: int = 0) -> Exercise:  # fmt: skip
    """Put an arithmetic exercise together."""
    plain = "".join(map(str, terms))
    head = f"一步一步算 {plain}。" if chinese else f"Step by step: {plain}."
    shown = " ".join(SHOWN.get(str(term), str(term)) for term in terms)
    remainder = f" {'余' if chinese else 'remainder'} {rest}" if rest else ""
    answer = f"{shown} = **{result}**{remainder}"
    thinking = "\n".join([head, *lines])
    return Exercise(task, question, thinking, answer, is_held_out(plain), chinese, result)


def binary(rng: Random, chinese: bool, sign: str) -> Exercise:
    """One operation with two numbers."""
    a, b = operands(rng, sign)
    lines, result = work(a, sign, b)
    question = fill(rng, CHINESE if chinese else ENGLISH, expression(rng, [a, sign, b], chinese))
    rest = a % b if sign == "/" else 0
    task = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}[sign]
    return finish(task, question, [a, sign, b], lines, result, chinese, rest)


def chain(rng: Random, chinese: bool) -> Exercise:
    """Three numbers; a multiplication goes first."""
    first, second = rng.choice(["++", "+-", "-+", "--", "+*", "-*", "*+", "*-"])
    small = (3, 4)
    a, b, c = number(rng, (2, 5, 1)), number(rng, small), number(rng, small)
    if second == "*":
        lines, middle = work(b, "*", c)
        more, result = work(a, first, middle)
    else:
        lines, middle = work(a, first, b)
        if middle < 0:
            return chain(rng, chinese)
        more, result = work(middle, second, c)
    terms: list[int | str] = [a, first, b, second, c]
    question = fill(rng, CHINESE if chinese else ENGLISH, expression(rng, terms, chinese))
    return finish("chain", question, terms, lines + more, result, chinese)


def follow_up(rng: Random, before: Exercise) -> Exercise:
    """Go on calculating with the result of the exercise before; it must have one, not negative."""
    value = before.result or 0
    sign = "*" if value < 1000 and coin(rng, 0.25) else rng.choice("+-")
    step = rng.randint(2, 9) if sign == "*" else number(rng, (3, 5, 1))
    lines, result = work(value, sign, step)
    templates = (FOLLOW_CHINESE if before.chinese else FOLLOW_ENGLISH)[sign]
    question = fill(rng, templates, str(step))
    return finish("follow-up", question, [value, sign, step], lines, result, before.chinese)
