"""Exercises on lists, words and numbers in a row: sort, reverse, count, find, table."""

from random import Random

from .exercise import Exercise, coin, fill, is_held_out, polite
from .words import WORDS, made_up_word

SORT_UP = ["Sort these numbers: @", "Sort: @", "sort @", "Sort @", "Sort in ascending order: @",
           "Sort the list @", "Sort from smallest to largest: @", "Put in order: @", "Order these numbers: @",
           "Sort the numbers @", "Arrange in ascending order: @", "Sort ascending: @"]  # fmt: skip
SORT_DOWN = ["Sort in descending order: @", "Sort from largest to smallest: @", "Sort descending: @",
             "Sort @ in descending order", "Arrange from largest to smallest: @"]  # fmt: skip
SORT_UP_ZH = ["从小到大排序：@", "排序：@", "按升序排列：@", "给这些数排序：@", "把@从小到大排序", "将@按升序排列",
              "排序 @"]  # fmt: skip
SORT_DOWN_ZH = ["从大到小排序：@", "按降序排列：@", "把@从大到小排序", "将@按降序排列"]
TURN_LIST = ["Reverse this list: @", "Reverse: @", "Reverse the list @", "reverse @", "Reverse the numbers @",
             "Write this list backwards: @", "Reverse the order of @"]  # fmt: skip
TURN_LIST_ZH = ["反转列表：@", "倒序排列：@", "把@反过来", "反转：@", "把列表@倒过来", "将@倒序"]
TURN_WORD = ['Reverse the word "@"', 'Reverse "@"', "Reverse the word @", "reverse @", "Spell @ backwards",
             'Spell "@" backwards', "Write @ backwards", 'Reverse the string "@"',
             "What is @ spelled backwards?"]  # fmt: skip
TURN_WORD_ZH = ["把单词@倒过来写", "反转单词@", "把“@”反过来写", "反转字符串@", "倒着拼写@", "把@倒过来"]
LETTERS = ["How many letters are in @?", 'How many letters are in "@"?', "Count the letters in @",
           "How many letters does the word @ have?", 'Count the letters of "@"', "how many letters in @"]  # fmt: skip
LETTERS_ZH = ["单词@有几个字母？", "“@”有几个字母？", "数一数@有多少个字母", "@有多少个字母？", "单词@有多少个字母"]
FIND = ['How many # are in "@"?', "How many #'s are in @?", "How many times does # appear in @?", "Count the # in @",
        'How many "#" are in "@"?', "How many letters # are in @?", "how many # in @"]  # fmt: skip
FIND_ZH = ["单词@里有几个#？", "@里有多少个字母#？", "“@”中有几个#？", "数一数@里的#"]
WORDS_IN = ['How many words are in "@"?', "How many words: @", "Count the words: @", "count words: @",
            'Count the words in "@"', "How many words are in: @"]  # fmt: skip
UP = ["Count from # to @", "count from # to @", "Count # to @", "Count from # to @.", "Count up from # to @",
      "List the numbers from # to @", "Write the numbers from # to @", "count # to @"]  # fmt: skip
UP_ZH = ["从#数到@", "请从#数到@", "列出#到@的数", "写出#到@", "从#开始数到@"]
DOWN = ["Count down from # to @", "Count backwards from # to @", "count down from # to @"]
DOWN_ZH = ["从#倒数到@", "请从#倒数到@", "从#往回数到@"]
LARGEST = ["What is the largest of @?", "Find the maximum: @", "max @", "Which is the largest: @", "Largest of @"]
LARGEST_ZH = ["@中最大的是哪个？", "找出最大的数：@", "最大值：@", "@里最大的数是多少？"]
SMALLEST = ["What is the smallest of @?", "Find the minimum: @", "min @", "Which is the smallest: @", "Smallest of @"]
SMALLEST_ZH = ["@中最小的是哪个？", "找出最小的数：@", "最小值：@", "@里最小的数是多少？"]
SQUARES = ["Make a table of squares from 1 to @", "Table of squares up to @", "Show a table of squares from 1 to @",
           "Markdown table of squares 1 to @", "Squares from 1 to @ as a table"]  # fmt: skip
SQUARES_ZH = ["做一个1到@的平方表", "列出1到@的平方表格", "用表格列出1到@的平方", "画一个1到@的平方表"]
TIMES = ["Make a multiplication table for @", "Times table for @", "Show the @ times table",
         "Markdown table: multiples of @", "Make a table of multiples of @"]  # fmt: skip
TIMES_ZH = ["做一个@的乘法表", "列出@的乘法表", "用表格写出@的倍数", "画一个@的乘法表格"]


def numbers(rng: Random, most: int = 7) -> list[int]:
    """Draw three to ``most`` numbers, mostly below 100."""
    top = 999 if coin(rng, 0.2) else 9 if coin(rng, 0.1) else 99
    return [rng.randint(0, top) for _ in range(rng.randint(3, most))]


def written(rng: Random, values: list[int], chinese: bool) -> str:
    """Write a list as users do, in one of several notations."""
    styles = [", ", ", ", ", ", ",", " "] + (["，", "、"] if chinese else [])
    text = rng.choice(styles).join(map(str, values))
    return f"[{text}]" if coin(rng, 0.15) else text


def build(task: str, question: str, thinking: str, answer: str, key: str, chinese: bool) -> Exercise:
    """Put an exercise together; ``key`` decides whether it is held out."""
    return Exercise(task, question, thinking, answer, is_held_out(task + key), chinese)


def sort(rng: Random, chinese: bool) -> Exercise:
    """Sort by selection: take the extreme number, show what is left."""
    values, down = numbers(rng), coin(rng, 0.3)
    left, steps = list(values), []
    for value in sorted(values, reverse=down):
        left.remove(value)
        steps.append(f"{value} | {' '.join(map(str, left))}".rstrip())
    if chinese:
        templates, head = (SORT_DOWN_ZH, "每次取最大的数。") if down else (SORT_UP_ZH, "每次取最小的数。")
    else:
        templates, kind = (SORT_DOWN, "largest") if down else (SORT_UP, "smallest")
        head = f"Take the {kind} number each time; the rest is on the right."
    question = polite(rng, fill(rng, templates, written(rng, values, chinese)), chinese)
    answer = ", ".join(map(str, sorted(values, reverse=down)))
    return build("sort", question, "\n".join([head, *steps]), answer, str(sorted(values)), chinese)


def numbered(items: list[str], backwards: bool = False) -> str:
    """Write items with their places: ``1:a 2:b``."""
    pairs = [f"{place}:{item}" for place, item in enumerate(items, 1)]
    return " ".join(reversed(pairs) if backwards else pairs)


def reverse_list(rng: Random, chinese: bool) -> Exercise:
    """Number the items, then read them from the last to the first."""
    values = numbers(rng)
    items = [str(value) for value in values]
    head = "先编号，再倒着读。" if chinese else "Number the items, then read them backwards."
    templates = TURN_LIST_ZH if chinese else TURN_LIST
    question = polite(rng, fill(rng, templates, written(rng, values, chinese)), chinese)
    thinking = f"{head}\n{numbered(items)}\n{numbered(items, True)}"
    return build("reverse list", question, thinking, ", ".join(reversed(items)), str(items), chinese)


def letters_of(rng: Random) -> str:
    """Draw a word, real or made up."""
    return rng.choice(WORDS) if coin(rng, 0.4) else made_up_word(rng)


def reverse_word(rng: Random, chinese: bool) -> Exercise:
    """Spell the word with numbered letters, then read them backwards."""
    word = letters_of(rng)
    head = "先拼出字母，再倒着读。" if chinese else "Spell it, then read the letters backwards."
    question = fill(rng, TURN_WORD_ZH if chinese else TURN_WORD, word)
    thinking = f"{head}\n{numbered(list(word))}\n{numbered(list(word), True)}"
    return build("reverse word", question, thinking, word[::-1], word, chinese)


def count_letters(rng: Random, chinese: bool) -> Exercise:
    """Number the letters; the last number is the answer."""
    word = letters_of(rng)
    question = fill(rng, LETTERS_ZH if chinese else LETTERS, word)
    head = "逐个数字母。" if chinese else "Number the letters."
    answer = f"{word} 有 **{len(word)}** 个字母。" if chinese else f"{word} has **{len(word)}** letters."
    return build("count letters", question, f"{head}\n{numbered(list(word))}", answer, word, chinese)


def find_letter(rng: Random, chinese: bool) -> Exercise:
    """Count one letter in a word: go through the word and number each find."""
    word = letters_of(rng)
    letter = rng.choice(word) if coin(rng, 0.85) else rng.choice("abcdefghijklmnoprstuwy")
    marks, found = [], 0
    for place, item in enumerate(word, 1):
        found += item == letter
        marks.append(f"{place}:{item}" + (f"={found}" if item == letter else ""))
    question = fill(rng, FIND_ZH if chinese else FIND, word).replace("#", letter, 1)
    head = f"逐个看字母，找 {letter}。" if chinese else f"Go through the letters and look for {letter}."
    times = "time" if found == 1 else "times"
    answer = f"{word} 里有 **{found}** 个 {letter}。" if chinese else f"{letter} is in {word} **{found}** {times}."
    return build("find letter", question, f"{head}\n{' '.join(marks)}", answer, word + letter, chinese)


def count_words(rng: Random, _chinese: bool) -> Exercise:
    """Number the words of a short English text."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(2, 9))]
    question = fill(rng, WORDS_IN, " ".join(words))
    listed = " ".join(f"{place} {word}" for place, word in enumerate(words, 1))
    answer = f"There are **{len(words)}** words."
    return build("count words", question, f"Number the words.\n{listed}", answer, "".join(words), False)


def count_range(rng: Random, chinese: bool) -> Exercise:
    """Count up or down between two numbers; now and then for long, up to 200."""
    long, down = coin(rng, 0.12), coin(rng, 0.2)
    start = 1 if long or coin(rng, 0.5) else rng.randint(0, 99)
    end = rng.choice([50, 100, 100, 120, 150, 200, 200]) if long else start + rng.randint(2, 25)
    if down:
        start, end = min(end, 100), start
    templates = (DOWN_ZH if chinese else DOWN) if down else (UP_ZH if chinese else UP)
    question = fill(rng, templates, str(end)).replace("#", str(start), 1)
    question = polite(rng, question, chinese)
    step = -1 if down else 1
    if chinese:
        thinking = f"从 {start} 开始，每次{'减' if down else '加'} 1，到 {end} 为止。"
    else:
        thinking = f"Start at {start}, {'subtract' if down else 'add'} 1 each time, stop at {end}."
    answer = ", ".join(map(str, range(start, end + step, step)))
    return build("count", question, thinking, answer, f"{start} {end}", chinese)


def extreme(rng: Random, chinese: bool) -> Exercise:
    """Find the largest or smallest number, keeping the best so far."""
    values, want = numbers(rng), rng.choice([max, min])
    best, steps = values[0], []
    for value in values[1:]:
        steps.append(f"{best} {value} → {want(best, value)}")
        best = want(best, value)
    english, other = (LARGEST, LARGEST_ZH) if want is max else (SMALLEST, SMALLEST_ZH)
    question = fill(rng, other if chinese else english, written(rng, values, chinese))
    kind = ("大" if want is max else "小") if chinese else ("larger" if want is max else "smaller")
    head = f"两个两个比，留下{kind}的。" if chinese else f"Compare in pairs and keep the {kind} one."
    answer = f"**{best}**"
    return build("largest/smallest", question, "\n".join([head, *steps]), answer, str(values), chinese)


def table(rng: Random, chinese: bool) -> Exercise:
    """A Markdown table of squares or multiples."""
    squares, n = coin(rng, 0.5), rng.randint(2, 12)
    if squares:
        head = f"从 1 到 {n}，每行一个平方。" if chinese else f"One row for each number from 1 to {n}."
        titles, rows = "| n | n² |", [f"| {i} | {i * i} |" for i in range(1, n + 1)]
    else:
        head = f"{n} 乘以 1 到 10。" if chinese else f"Multiply {n} by 1 to 10."
        titles, rows = f"| i | {n} × i |", [f"| {i} | {n * i} |" for i in range(1, 11)]
    templates = (SQUARES_ZH if squares else TIMES_ZH) if chinese else (SQUARES if squares else TIMES)
    question = polite(rng, fill(rng, templates, str(n)), chinese)
    answer = "\n".join([titles, "| ---: | ---: |", *rows])
    return build("table", question, head, answer, question, chinese)
