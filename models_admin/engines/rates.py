"""What an answer costs of a card: GPU time per token of a deployment, as measured, else as first seen, else assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models_admin.models import Deployment, Measurement, RateCard

# Of one stream, where nothing was measured: a 32 B distill in four bits on a card of 24 GB, roughly.
ASSUMED_PREFILL_US: Final = 1_000
ASSUMED_DECODE_US: Final = 30_000


@dataclass(frozen=True)
class Rate:
    """GPU µs per token read and per token written: one stream's time at reference load × GPUs ÷ slots.

    `stream_us` is the time of one token of one stream, which its reader waits. Not `is_measured`: a guess.
    """

    prefill_us: int
    decode_us: int
    stream_us: int
    is_measured: bool = True

    def gpu_ms(self, *, prompt_tokens: int, cached_tokens: int = 0, output_tokens: int) -> int:
        """What is charged: thinking is output, what the engine had read before costs nothing."""
        read = max(0, prompt_tokens - cached_tokens) * self.prefill_us
        return (read + output_tokens * self.decode_us) // 1000


def of(deployment: Deployment) -> Rate:
    """By its newest rate card, else by its last measurement of one stream, else assumed. Clouds cost no card."""
    if deployment.engine.is_cloud:
        return Rate(0, 0, ASSUMED_DECODE_US)
    card = RateCard.objects.filter(deployment=deployment).order_by("-valid_from", "-pk").first()
    if card is not None:
        return _shared(deployment, card.prefill_us_per_token, card.decode_us_per_token)
    seen = Measurement.objects.filter(deployment=deployment, streams=1).order_by("-at", "-pk").first()
    if seen is not None and seen.tokens_per_second > 0:
        return _shared(deployment, ASSUMED_PREFILL_US, round(1e6 / seen.tokens_per_second))
    if deployment.tokens_per_second:
        return _shared(deployment, ASSUMED_PREFILL_US, round(1e6 / deployment.tokens_per_second))
    return _shared(deployment, ASSUMED_PREFILL_US, ASSUMED_DECODE_US, is_measured=False)


def of_model(model_key: str) -> Rate | None:
    """Of the dearest deployment that could take an answer now, warm ones before cold ones. None where there is none.

    The dearest: where a cloud serves it too, what is put aside has to do for a card of our own.
    """
    rows = list(Deployment.objects.filter(artifact__model__key=model_key).select_related("engine", "launch"))
    warm = [row for row in rows if row.state == Deployment.State.WARM]
    return max((of(row) for row in warm or rows), key=lambda rate: rate.decode_us, default=None)


def gpus_of(deployment: Deployment) -> int:
    """Cards that it takes; one where nobody told how many, as of an engine that was attached."""
    launch = getattr(deployment, "launch", None)
    return max(1, len(launch.gpus_in_use or launch.gpus)) if launch else 1


def _shared(deployment: Deployment, prefill_us: int, decode_us: int, *, is_measured: bool = True) -> Rate:
    share = gpus_of(deployment) / deployment.slots
    # A paced stream is not faster than its pace, however fast its engine is.
    stream_us = max(decode_us, round(1e6 / deployment.tokens_per_second) if deployment.tokens_per_second else 0)
    return Rate(max(1, round(prefill_us * share)), max(1, round(decode_us * share)), stream_us, is_measured)
