"""What a wish will take, before it is sent: tokens by what was seen, GPU time and money by the rates of its model."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F, Q, Sum
from django.db.models.functions import Abs
from django.utils import timezone

from accounts.models import User
from accounts.quota import Amounts
from chat.models import Generation, LengthSeen, Segment
from models_admin.engines import access, fleet, rates
from models_admin.engines.rates import Rate
from models_admin.family import prices
from models_admin.family.prices import Cost
from models_admin.models import Deployment, PriceRow

# An answer of R1 with its thought, where none was seen yet.
UNSEEN_TOKENS: Final = 1_000
UNSEEN_SPREAD: Final = 800
UNSEEN_ANSWER: Final = 300  # without its thought
# How long answers of each effort are beside ordinary ones, until some were seen.
EFFORTS: Final = {"low": 0.5, "medium": 1.0, "high": 1.5, "max": 2.0}
NEWEST: Final = 0.2  # what one answer counts in the moving mean
NO_RATE: Final = Rate(0, 0, rates.ASSUMED_DECODE_US, is_measured=False)


@dataclass(frozen=True)
class Length:
    """Tokens written, thinking included: mean and mean distance from it."""

    tokens: int
    spread: int


@dataclass(frozen=True)
class Estimate:
    """`rate` is that of the deployment that would answer now; money in millionths of `currency`.

    Not `is_priced`: a cloud answers, and no price of it is known.
    """

    prompt_tokens: int
    output_tokens: int
    rate: Rate
    cost_micro: int = 0
    currency: str = ""
    is_priced: bool = True

    @property
    def gpu_ms(self) -> int:
        return self.rate.gpu_ms(prompt_tokens=self.prompt_tokens, output_tokens=self.output_tokens)

    @property
    def amounts(self) -> Amounts:
        """What of it is put aside in limits."""
        return Amounts(
            gpu_ms=self.gpu_ms,
            output_tokens=self.output_tokens,
            cost_micro=self.cost_micro,
            is_priced=self.is_priced,
        )


def estimate(user: User, model_key: str, *, think: str, prompt_tokens: int, max_tokens: int | None = None) -> Estimate:
    """`think` is off, auto, on or an effort. Never raises: what is not known is assumed."""
    output = _within_budget(user, model_key, think, length(user.pk, model_key, think).tokens)
    output = min(output, max_tokens) if max_tokens else output
    rate = rates.of_model(model_key) or NO_RATE
    found = _prices(model_key)
    dearest = _dearest(found, prompt_tokens, output)
    return Estimate(prompt_tokens, output, rate, dearest.micro, dearest.currency, is_priced=None not in found)


def cost(model_key: str, *, prompt_tokens: int, output_tokens: int) -> Cost:
    """Of the dearest cloud that serves it; nothing where none does, or no price is known."""
    return _dearest(_prices(model_key), prompt_tokens, output_tokens)


def length(user_id: int, model_key: str, think: str) -> Length:
    """By this person's own answers of this model, else by everybody's; of an effort not seen yet by ordinary ones."""
    kinds = [think, "auto"] if think in EFFORTS else [think]
    rows = LengthSeen.objects.filter(Q(user=user_id) | Q(user__isnull=True), model_key=model_key, think__in=kinds)
    seen = max(rows, key=lambda row: (row.think == think, row.user_id is not None), default=None)
    tokens, spread = (seen.tokens, seen.spread) if seen else (UNSEEN_TOKENS, UNSEEN_SPREAD)
    share = 1 if seen and seen.think == think else EFFORTS.get(think, 1)
    return Length(round(tokens * share), round(spread * share))


def _within_budget(user: User, model_key: str, think: str, tokens: int) -> int:
    """A thought that its budget ends leaves the answer as long as one without a thought."""
    budget = None if think == "off" else access.thinking_budget(user, model_key)
    if budget is None or not fleet.can_continue(model_key, "continue_thinking"):
        return tokens
    rows = LengthSeen.objects.filter(Q(user=user.pk) | Q(user__isnull=True), model_key=model_key, think="off")
    seen = max(rows, key=lambda row: row.user_id is not None, default=None)
    return min(tokens, budget + (round(seen.tokens) if seen else UNSEEN_ANSWER))


def lengths(wishes: Iterable[tuple[int, str, str]]) -> dict[tuple[int, str, str], Length]:
    """The same for many (person, model, think) at once."""
    wanted = set(wishes)
    rows = LengthSeen.objects.filter(model_key__in={model for _user, model, _think in wanted})
    seen = {(row.user_id, row.model_key, row.think): Length(round(row.tokens), round(row.spread)) for row in rows}
    unseen = Length(UNSEEN_TOKENS, UNSEEN_SPREAD)
    return {wish: seen.get(wish) or seen.get((None, wish[1], wish[2]), unseen) for wish in wanted}


def learn(user_id: int, model_key: str, think: str, tokens: int) -> None:
    """An answer came to its end by itself: it moves the means of its person and of everybody."""
    for who in (user_id, None):
        rows = LengthSeen.objects.filter(user=who, model_key=model_key, think=think)
        moved = rows.update(
            spread=F("spread") * (1 - NEWEST) + Abs(F("tokens") - tokens) * NEWEST,
            tokens=F("tokens") * (1 - NEWEST) + tokens * NEWEST,
            seen=F("seen") + 1,
        )
        if not moved:
            row = LengthSeen(user_id=who, model_key=model_key, think=think, tokens=tokens, spread=tokens / 2, seen=1)
            LengthSeen.objects.bulk_create([row], ignore_conflicts=True)


def tokens_in(*texts: str) -> int:
    """About how many tokens texts are, where no engine may be asked, or its count never came.

    DeepSeek's rule of thumb: 0.3 tokens a letter, 0.6 a Chinese character.
    """
    letters = sum(len(text.encode("ascii", "ignore")) for text in texts)
    return round(0.3 * letters + 0.6 * (sum(map(len, texts)) - letters))


def read_before(conversation: uuid.UUID | None) -> int:
    """Tokens of a conversation that go along with the next question: what its last answer was made from, and that."""
    if conversation is None:
        return 0
    rows = Segment.objects.filter(generation__message__conversation=conversation, prompt_tokens__gt=0)
    last = rows.order_by("-generation__created_at").values_list("generation__message", flat=True).first()
    return read_for(last) + _written(last, "answer_tokens") if last else 0


def read_for(answer: uuid.UUID) -> int:
    """Tokens of the question to an answer and of all before it; 0 where no engine has read it.

    Of the first attempt alone: every later one read the same again, and the text so far.
    """
    rows = Segment.objects.filter(generation__message=answer, prompt_tokens__gt=0)
    first = rows.order_by("generation__created_at", "attempt").values_list("prompt_tokens", flat=True).first()
    return first or 0


def read_to_go_on(answer: uuid.UUID) -> int:
    """Tokens that are read to write on behind an answer: its question, and all that was thought and said."""
    return read_for(answer) + _written(answer, "thinking_tokens") + _written(answer, "answer_tokens")


def _written(answer: uuid.UUID, field: str) -> int:
    tokens: int | None = Generation.objects.filter(message=answer).aggregate(all=Sum(field))["all"]
    return tokens or 0


def think_of(options: dict[str, Any]) -> str:
    """Under which lengths are kept: how it shall think, or with which effort."""
    think = str(options.get("think", "auto"))
    return think if think == "off" else str(options.get("effort") or think)


def _dearest(rows: Iterable[PriceRow | None], prompt_tokens: int, output_tokens: int) -> Cost:
    costs = [
        prices.cost(row, prompt_tokens=prompt_tokens, cached_tokens=0, output_tokens=output_tokens) for row in rows
    ]
    return max(costs, key=lambda each: each.micro, default=Cost())


def _prices(model_key: str) -> list[PriceRow | None]:
    """Of each cloud that serves it."""
    rows = Deployment.objects.filter(artifact__model__key=model_key, engine__is_cloud=True)
    now = timezone.now()
    return [prices.of(row, now) for row in rows.select_related("engine", "artifact")]
