"""An answer being written, pure: its numbered entries, places among them, and the text that has no number yet."""

from __future__ import annotations

from dataclasses import dataclass, field

ENTRY_CHARACTERS = 4_096
THINKING, ANSWER, SEAL, BEGIN = "t", "a", "e", "b"
PREFILL = "prefill"  # the stage between the beginning of an attempt and its first token
GAP = "gap"  # the stage between two attempts at an answer of which there is text
KEPT = "kept"  # what `begin` says of an attempt that goes on behind text, which the database has


@dataclass(frozen=True, order=True)
class Position:
    """A place in a log: after entry `n` of `attempt`; 0-0 lies before everything."""

    attempt: int = 0
    n: int = 0

    def __str__(self) -> str:
        return f"{self.attempt}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError for anything but 'attempt-n'."""
        attempt, n = text.split("-")
        return cls(int(attempt), int(n))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `tokens` counts the tokens of its kind up to and with it."""

    n: int
    kind: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Written:
    """Text and tokens by channel."""

    thinking: str = ""
    answer: str = ""
    thinking_tokens: int = 0
    answer_tokens: int = 0


@dataclass(eq=False)
class Log:
    """An answer being written: all entries since the attempt began, and the text that waits for the next flush.

    `before` is what earlier attempts had written; texts and tokens count it in, entries do not hold it.
    """

    generation: str
    attempt: int
    before: Written = field(default_factory=Written)
    entries: list[Entry] = field(default_factory=list)
    written: int = 0
    has_begun: bool = False
    is_fenced: bool = False
    is_suspect: bool = False
    _kind: str = ""
    _parts: list[str] = field(default_factory=list)
    _tokens: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = {THINKING: self.before.thinking_tokens, ANSWER: self.before.answer_tokens}

    def add(self, kind: str, text: str, tokens: int) -> None:
        if kind != self._kind:
            self.close_entry()
            self._kind = kind
        self._parts.append(text)
        self._tokens[kind] = self._tokens.get(kind, 0) + tokens

    def close_entry(self) -> None:
        """Give the text that waits its number; from here on the entry never changes."""
        if self._parts:
            text = "".join(self._parts)
            for start in range(0, len(text), ENTRY_CHARACTERS):
                piece = text[start : start + ENTRY_CHARACTERS]
                self.entries.append(Entry(len(self.entries) + 1, self._kind, piece, self._tokens[self._kind]))
            self._parts.clear()

    def tokens(self, kind: str) -> int:
        return self._tokens[kind]

    def text(self, kind: str) -> str:
        self.close_entry()
        before = self.before.thinking if kind == THINKING else self.before.answer
        return before + "".join(entry.text for entry in self.entries if entry.kind == kind)

    @property
    def is_empty(self) -> bool:
        """Whether this attempt has made nothing yet."""
        return not self.entries and not self._parts

    @property
    def begins_with(self) -> str:
        return KEPT if self.before.thinking or self.before.answer else ""

    @property
    def unwritten(self) -> list[Entry]:
        return self.entries[self.written :]
