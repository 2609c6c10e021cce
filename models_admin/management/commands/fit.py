"""`bin/manage fit MODEL`: does it fit here, and what is the sum; `--table` prints docs/models.md."""

from __future__ import annotations

import json
import math
from typing import Any

import psutil
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin.engines.secrets import SecretUnreadable
from models_admin.family import fit_table, memory_sources
from models_admin.family.expected_memory import Comparison
from models_admin.family.memory_sources import SourceError, Subject
from models_admin.fit import gpus, memory_fit
from models_admin.fit.memory_fit import GIB, KV_BYTES, USUAL_CONTEXT, CannotReckon, Fit, Gpu, Share, Verdict
from models_admin.fit.memory_split import tensor_parallel_sizes
from models_admin.loads import measured_memory
from models_admin.models import Deployment
from models_admin.pages import memory_words

MOST_GPUS = 64
MOST_GIB = 4_096


class Command(BaseCommand):
    help = "Say whether a model fits into GPUs, before anything is downloaded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", nargs="?", default="", help="a model of the catalogue, a GGUF file, a folder, an address of either"
        )
        parser.add_argument("--gpus", help="sizes in GB, like 24,24 or 8x80, or none; left out: this machine's")
        parser.add_argument("--ram", type=float, help="memory beside GPUs in GiB (default: this machine's free memory)")
        parser.add_argument("--context", type=int, help="tokens per slot (default: 16384, or as deployed)")
        parser.add_argument("--slots", type=int, help="answers at once (default: 1, or as deployed)")
        parser.add_argument("--kv", default="f16", choices=sorted(KV_BYTES), help="type of the KV cache")
        parser.add_argument(
            "--engine", default="", choices=memory_fit.ENGINES, help="default: the usual one for what is named"
        )
        parser.add_argument("--quantisation", default="", help="of a model of the catalogue: Q4_K_M, Q8_0, BF16")
        parser.add_argument("--loaded", default="", help="address of an attached engine that runs it: measure and keep")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--table", action="store_true", help="all models and usual cards: docs/models.md")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["table"]:
            self.stdout.write(fit_table.page(), ending="")
            return
        if not options["model"]:
            raise CommandError(_("Name a model, or ask for --table."))
        deployment = _deployment(options["loaded"]) if options["loaded"] else None
        machine = _machine(options["gpus"])
        ram = _ram(options)
        try:
            subject = memory_sources.find(
                options["model"], engine=options["engine"], quantisation=options["quantisation"]
            )
            wish = _wish(options, subject, deployment)
            found = memory_fit.fit(subject.weights, subject.shape, machine, ram=ram, **wish)
            next_one = _next(found, subject, machine, {**wish, "ram": ram})
        except SourceError as error:
            raise CommandError(str(error)) from error
        except CannotReckon as error:
            raise CommandError(memory_words.refusal(error)) from error
        compared = _compared(deployment, found) if deployment else None
        if options["json"]:
            self.stdout.write(json.dumps(_for_programs(subject, found, next_one, compared), ensure_ascii=False))
        else:
            self._tell(subject, found, next_one, compared, is_here=options["gpus"] is None)

    def _tell(self, subject: Subject, found: Fit, next_one: str, compared: Comparison | None, *, is_here: bool) -> None:
        self.stdout.write(f"{subject.name} · {found.wish.engine}\n\n")
        for name, size, why in memory_words.parts(found):
            self.stdout.write(f"  {name:<12} {size:>12}   {why}".rstrip())
        for line in [*memory_words.gpus(found), *memory_words.foreign([share.gpu for share in found.shares])]:
            self.stdout.write(f"  {line}")
        self.stdout.write("\n" + memory_words.verdict(found))
        if is_here and not found.shares:
            self.stdout.write(_("No NVIDIA GPU is seen on this machine; --gpus 24 asks about a card of 24 GB."))
        sizes = ", ".join(map(str, tensor_parallel_sizes(subject.shape)))
        self.stdout.write(_("Tensor-parallel sizes for vLLM and SGLang: %(sizes)s.") % {"sizes": sizes})
        if next_one:
            self.stdout.write(_("Next that would fit: %(name)s.") % {"name": next_one})
        if compared:
            self.stdout.write(memory_words.comparison(compared))


def _machine(words: str | None) -> tuple[Gpu, ...]:
    if words is None:
        return gpus.read()
    if words in {"", "none"}:
        return ()
    sizes: list[float] = []
    for word in words.lower().split(","):
        count, _x, size = word.rpartition("x")
        try:
            sizes += [float(size)] * (int(count) if count else 1) if len(count) < 4 else [math.nan]
        except ValueError:
            sizes.append(math.nan)
    if len(sizes) > MOST_GPUS or not all(0 < size <= MOST_GIB for size in sizes):
        raise CommandError(_("“%(words)s” are no GPUs; write their sizes in GB: 24,24 or 8x80.") % {"words": words})
    return tuple(map(Gpu.sized, sizes))


def _ram(options: dict[str, Any]) -> int | None:
    """Bytes; not known for GPUs that are somewhere else."""
    if options["ram"] is not None:
        if not 0 <= options["ram"] <= MOST_GIB * MOST_GPUS:
            raise CommandError(_("--ram is a number of GiB."))
        return int(options["ram"] * GIB)
    return int(psutil.virtual_memory().available) if options["gpus"] is None else None


def _wish(options: dict[str, Any], subject: Subject, deployment: Deployment | None) -> dict[str, Any]:
    context = min(USUAL_CONTEXT, subject.shape.context_length) if deployment is None else deployment.context_tokens
    slots = 1 if deployment is None else deployment.slots
    return {
        "context": context if options["context"] is None else options["context"],
        "slots": slots if options["slots"] is None else options["slots"],
        "kv_type": options["kv"],
        "engine": subject.engine,
    }


def _next(found: Fit, subject: Subject, machine: tuple[Gpu, ...], wish: dict[str, Any]) -> str:
    """The next smaller weights that fit as wished, where these don't."""
    if found.verdict is Verdict.FITS:
        return ""
    smaller = (each for each in memory_sources.alternatives(subject) if each.shape.context_length >= wish["context"])
    candidate = memory_fit.next_that_fits(smaller, machine, **wish)
    return candidate.name if candidate else ""


def _deployment(url: str) -> Deployment:
    rows = Deployment.objects.filter(engine__base_url=url.rstrip("/")).select_related("engine", "artifact")
    if rows.count() != 1:
        raise CommandError(_("No engine with one model is attached at %(url)s.") % {"url": url})
    return rows.get()


def _compared(deployment: Deployment, found: Fit) -> Comparison:
    try:
        compared = measured_memory.compare(deployment, expected=found.total)
    except SecretUnreadable as error:
        raise CommandError(_("The stored key can't be read any more; give it again with --key-file.")) from error
    if compared is None:
        raise CommandError(
            _("%(url)s does not say what it takes, and is no process here.") % {"url": deployment.engine.base_url}
        )
    return compared


def _for_programs(subject: Subject, found: Fit, next_one: str, compared: Comparison | None) -> dict[str, Any]:
    measured = {"measured_bytes": compared.measured, "error": round(compared.error, 4)} if compared else {}
    return {
        "model": subject.name,
        "engine": found.wish.engine,
        "verdict": found.verdict.value,
        "context": found.wish.context,
        "longest_context": found.longest_context,
        "slots": found.wish.slots,
        "kv_type": found.wish.kv_type,
        "kv_bytes_per_token": found.wish.shape.kv_bytes_per_token(found.wish.kv_type),
        "weights_bytes": found.weights,
        "kv_bytes": found.kv,
        "total_bytes": found.total,
        "cpu_bytes": found.on_cpu,
        "layers_on_gpu": found.layers_on_gpu,
        "tensor_parallel": found.tensor_parallel,
        "tensor_parallel_sizes": list(tensor_parallel_sizes(subject.shape)),
        "gpus": [_share_for_programs(share) for share in found.shares],
        "next_that_fits": next_one or None,
        **measured,
    }


def _share_for_programs(share: Share) -> dict[str, Any]:
    return {
        "gpu": share.gpu.name,
        "budget_bytes": share.budget,
        "weights_bytes": share.weights,
        "kv_bytes": share.kv,
        "overhead_bytes": share.overhead,
        "layers": share.layers,
        "foreign": [vars(process) for process in share.gpu.foreign],
    }
