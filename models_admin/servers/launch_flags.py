"""Which flags an admin may give to a server that a host launches: a list per program, and what each may be given.

Names are whole and values have no blank, no sign before a digit and nothing invisible: no pair can become another flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.utils.translation import gettext as _

from models_admin.family.model_names import shown

MAX_FLAGS = 40
MAX_TEXT = 2000
MAX_VALUE = 100
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,:+-]*")


class FlagRefused(Exception):
    """Why a flag is not taken, as a sentence for whoever wrote it."""


class _Kind(Protocol):
    def fits(self, value: str) -> bool: ...

    def wish(self) -> str:
        """What it wants, to stand behind a colon."""
        ...


@dataclass(frozen=True)
class _Alone:
    def fits(self, value: str) -> bool:
        return value == ""

    def wish(self) -> str:
        return _("it takes no value")


@dataclass(frozen=True)
class _Whole:
    low: int
    high: int

    def fits(self, value: str) -> bool:
        return re.fullmatch(r"[0-9]{1,15}", value) is not None and self.low <= int(value) <= self.high

    def wish(self) -> str:
        return _("a whole number from %(low)s to %(high)s") % {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class _Decimal:
    low: float
    high: float

    def fits(self, value: str) -> bool:
        return re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) is not None and self.low <= float(value) <= self.high

    def wish(self) -> str:
        return _("a number from %(low)s to %(high)s") % {"low": f"{self.low:g}", "high": f"{self.high:g}"}


@dataclass(frozen=True)
class _OneOf:
    words: tuple[str, ...]

    def fits(self, value: str) -> bool:
        return value in self.words

    def wish(self) -> str:
        return _("one of %(words)s") % {"words": ", ".join(self.words)}


@dataclass(frozen=True)
class _Layers:
    """How many layers go to the cards."""

    def fits(self, value: str) -> bool:
        return value in ("auto", "all") or _Whole(0, 1000).fits(value)

    def wish(self) -> str:
        return _("auto, all, or a whole number")


@dataclass(frozen=True)
class _Shares:
    """A number for each card."""

    def fits(self, value: str) -> bool:
        parts = value.split(",")
        return len(parts) <= 16 and all(_Decimal(0, 1000).fits(part) for part in parts)

    def wish(self) -> str:
        return _("a number for each card, like 3,1")


@dataclass(frozen=True)
class _Name:
    """A short name that the program itself looks up."""

    def fits(self, value: str) -> bool:
        return re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", value) is not None

    def wish(self) -> str:
        return _("a short name like deepseek_r1")


_ALONE, _NAME, _DEGREE, _TOKENS = _Alone(), _Name(), _Whole(1, 64), _Whole(1, 10_000_000)
_DTYPE = _OneOf(("auto", "half", "float16", "bfloat16", "float", "float32"))
_VLLM_KV = _OneOf(("auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2"))
_SGLANG_KV = _OneOf(("auto", "bf16", "bfloat16", "fp8_e4m3", "fp8_e5m2"))
_SEQUENCES = _Whole(1, 65_536)
_GIGABYTES = _Decimal(0, 4096)
_GGML_TYPE = _OneOf(("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"))
_VLLM: dict[str, _Kind] = {
    "--tensor-parallel-size": _DEGREE, "--pipeline-parallel-size": _DEGREE, "--data-parallel-size": _DEGREE,
    "--gpu-memory-utilization": _Decimal(0.05, 1), "--kv-cache-memory-bytes": _Whole(1, 10**14),
    "--kv-cache-dtype": _VLLM_KV, "--dtype": _DTYPE, "--quantization": _NAME, "--block-size": _Whole(1, 1024),
    "--max-model-len": _TOKENS, "--max-num-seqs": _SEQUENCES, "--max-num-batched-tokens": _TOKENS,
    "--max-num-queued-reqs": _SEQUENCES, "--max-num-queued-tokens": _TOKENS, "--seed": _Whole(0, 2**31),
    "--swap-space": _GIGABYTES, "--cpu-offload-gb": _GIGABYTES, "--scheduling-policy": _OneOf(("fcfs", "priority")),
    "--reasoning-parser": _NAME, "--tool-call-parser": _NAME, "--enable-auto-tool-choice": _ALONE,
    "--generation-config": _OneOf(("auto", "vllm")), "--enforce-eager": _ALONE, "--enable-expert-parallel": _ALONE,
    "--enable-prefix-caching": _ALONE, "--no-enable-prefix-caching": _ALONE, "--enable-chunked-prefill": _ALONE,
    "--no-enable-chunked-prefill": _ALONE, "--disable-custom-all-reduce": _ALONE,
    "--enable-prompt-tokens-details": _ALONE,
}  # fmt: skip
_SGLANG: dict[str, _Kind] = {
    "--tensor-parallel-size": _DEGREE, "--tp-size": _DEGREE, "--pipeline-parallel-size": _DEGREE,
    "--data-parallel-size": _DEGREE, "--expert-parallel-size": _DEGREE, "--context-length": _TOKENS,
    "--mem-fraction-static": _Decimal(0.05, 1), "--max-running-requests": _SEQUENCES,
    "--max-queued-requests": _SEQUENCES, "--max-total-tokens": _TOKENS, "--max-prefill-tokens": _TOKENS,
    "--chunked-prefill-size": _TOKENS, "--kv-cache-dtype": _SGLANG_KV, "--dtype": _DTYPE, "--quantization": _NAME,
    "--reasoning-parser": _NAME, "--tool-call-parser": _NAME, "--cpu-offload-gb": _GIGABYTES,
    "--schedule-policy": _NAME, "--attention-backend": _NAME, "--sampling-backend": _NAME, "--grammar-backend": _NAME,
    "--device": _OneOf(("cuda", "cpu", "xpu", "hpu", "npu")), "--random-seed": _Whole(0, 2**31),
    "--disable-radix-cache": _ALONE, "--disable-cuda-graph": _ALONE,
    "--enable-metrics": _ALONE, "--enable-cache-report": _ALONE, "--enable-mixed-chunk": _ALONE,
    "--enable-priority-scheduling": _ALONE, "--enable-dp-attention": _ALONE, "--enable-torch-compile": _ALONE,
}  # fmt: skip
# What llama-server and the built-in engine both take.
_LLAMA_CPP: dict[str, _Kind] = {
    "--threads": _Whole(1, 1024), "--threads-batch": _Whole(1, 1024), "--gpu-layers": _Layers(),
    "--batch-size": _Whole(1, 65_536), "--ubatch-size": _Whole(1, 65_536), "--flash-attn": _OneOf(("on", "off")),
    "--cache-type-k": _GGML_TYPE, "--cache-type-v": _GGML_TYPE, "--split-mode": _OneOf(("none", "layer", "row")),
    "--main-gpu": _Whole(0, 63), "--tensor-split": _Shares(), "--cache-ram": _Whole(0, 10_000_000),
    "--no-kv-offload": _ALONE,
}  # fmt: skip
ALLOWED: Mapping[str, Mapping[str, _Kind]] = {"vllm": _VLLM, "sglang": _SGLANG, "llama.cpp": _LLAMA_CPP}
# Set from fields of their own: whoever could name them here would open the server, or serve something else.
_OURS = {
    "--host", "--port", "--api-key", "--api-key-file", "--admin-api-key", "--model", "--model-path", "--config",
    "--served-model-name", "--alias", "--ctx-size", "--parallel", "--uds",
}  # fmt: skip


def check(program: str, flags: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """The pairs of a flag and its value ('' = none) as they came. Raises FlagRefused."""
    if program not in ALLOWED:
        raise FlagRefused(_("“%(name)s” is no program that hosts launch.") % {"name": shown(program)})
    if len(flags) > MAX_FLAGS:
        raise FlagRefused(_("At most %(count)d flags go with a server.") % {"count": MAX_FLAGS})
    pairs = tuple(_pair(flag) for flag in flags)
    names = [name for name, _value in pairs]
    for name, value in pairs:
        _check_one(program, name, value)
        if names.count(name) > 1:
            raise FlagRefused(_("“%(flag)s” is there twice.") % {"flag": name})
    return pairs


def parse(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs out of a line as one types it: `--flag value`, `--flag=value`, `--flag`; unchecked. Raises FlagRefused."""
    if len(text) > MAX_TEXT:
        raise FlagRefused(_("The flags are longer than %(count)d characters.") % {"count": MAX_TEXT})
    pairs: list[tuple[str, str]] = []
    waits = False
    for word in text.split():
        if word.startswith("--"):
            name, sign, value = word.partition("=")
            pairs.append((name, value))
            waits = not sign
        elif waits:
            pairs[-1] = (pairs[-1][0], word)
            waits = False
        else:
            raise FlagRefused(_("“%(word)s” belongs to no flag; flags begin with two hyphens.") % {"word": shown(word)})
    return tuple(pairs)


def has_value(program: str, flag: str) -> bool:
    """Whether an allowed flag stands with a value."""
    return not isinstance(ALLOWED[program][flag], _Alone)


def _pair(flag: Sequence[str]) -> tuple[str, str]:
    if isinstance(flag, str) or len(flag) != 2 or not all(isinstance(word, str) for word in flag):
        raise FlagRefused(_("A flag is a name and a value."))
    return flag[0], flag[1]


def _check_one(program: str, name: str, value: str) -> None:
    if name == "--trust-remote-code":
        raise FlagRefused(_("--trust-remote-code would run code that came with a model’s files; it is never given."))
    if name in _OURS:
        raise FlagRefused(_("“%(flag)s” has a field of its own and is set from there.") % {"flag": name})
    kind = ALLOWED[program].get(name)
    if kind is None:
        told = {"flag": shown(name), "program": program}
        raise FlagRefused(_("“%(flag)s” is not among the flags that %(program)s may be given.") % told)
    is_plain = len(value) <= MAX_VALUE and (not value or _PLAIN.fullmatch(value))
    if not is_plain or not kind.fits(value):
        told = {"value": shown(value), "flag": name, "wish": kind.wish()}
        raise FlagRefused(_("“%(value)s” does not fit %(flag)s: %(wish)s.") % told)
