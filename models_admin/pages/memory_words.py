"""A fit told in words: its verdict, its sum part by part, what every GPU bears."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from models_admin.family.expected_memory import Comparison
from models_admin.fit.memory_fit import GIB, MIB, CannotReckon, Fit, Gpu, Share, Verdict, utilisation


def size(amount: int) -> str:
    """Bytes as people read them: two decimals of GiB, whole MiB below a tenth of it."""
    return f"{amount / GIB:,.2f} GiB" if abs(amount) >= GIB // 10 else f"{amount / MIB:,.0f} MiB"


def verdict(fit: Fit) -> str:
    """One sentence."""
    about = {
        "on": fit.layers_on_gpu,
        "all": fit.wish.shape.layers,
        "ram": size(fit.on_cpu),
        "tokens": f"{fit.longest_context:,}",
        "engine": fit.wish.engine,
    }
    if fit.verdict is Verdict.FITS:
        return _("It fits.")
    if fit.verdict is Verdict.SHORTER:
        return _("It fits with a context of at most %(tokens)s tokens a slot; the sum is that of this context.") % about
    if fit.verdict is Verdict.PARTLY and fit.layers_on_gpu:
        return _("Partly on the processor, which is slow: %(on)d of %(all)d layers on GPUs, %(ram)s in memory.") % about
    if fit.verdict is Verdict.PARTLY:
        return _("On the processor alone, which is slow: %(ram)s of memory.") % about
    if fit.on_cpu and fit.ram is not None:
        about["free"] = size(fit.ram)
        return _("It does not fit: beside GPUs it needs %(ram)s of memory, and %(free)s are free.") % about
    if not fit.shares:
        return _("It does not fit: without a GPU %(engine)s does not run.") % about
    return _("It does not fit.")


def refusal(error: CannotReckon) -> str:
    """What is wrong with a wish, as a sentence."""
    sentences = {
        "engine": _("There is no such engine; there are %(allowed)s."),
        "kv_type": _("This engine has no such cache; it has %(allowed)s."),
        "number": _("Context and slots must be %(allowed)s or more."),
        "context": _("The model reads at most %(allowed)s tokens."),
    }
    return sentences[error.what] % {"allowed": error.allowed}


def parts(fit: Fit) -> list[tuple[str, str, str]]:
    """Name, size and how it comes about, of every part of the sum over all GPUs and the processor."""
    on_gpus = [share for share in fit.shares if share.needed]
    rows = [(_("weights"), size(fit.weights), ""), (_("KV cache"), size(fit.kv), _cache(fit))]
    if fit.kv_copies > 1:
        rows.append((_("its copies"), size(int(fit.kv * (fit.kv_copies - 1))), _copies(fit)))
    if overhead := sum(share.overhead for share in on_gpus):
        told = ngettext("%(size)s on %(count)d GPU", "%(size)s on each of %(count)d GPUs", len(on_gpus))
        rows.append((_("overhead"), size(overhead), told % {"size": size(on_gpus[0].overhead), "count": len(on_gpus)}))
    if fit.cpu_overhead:
        rows.append((_("buffers"), size(fit.cpu_overhead), _("on the processor")))
    return [*rows, (_("together"), size(fit.total), "")]


def gpus(fit: Fit) -> list[str]:
    """One line for every GPU."""
    return [line for number, share in enumerate(fit.shares) for line in _gpu(number, share, fit)]


def foreign(found: Sequence[Gpu]) -> list[str]:
    """Who else holds memory of the GPUs."""
    told = _("GPU %(number)d: %(name)s (process %(pid)d) holds %(size)s.")
    return [
        told % {"number": number, "name": process.name, "pid": process.pid, "size": size(process.bytes)}
        for number, gpu in enumerate(found)
        for process in gpu.foreign
    ]


def comparison(found: Comparison) -> str:
    return _("Measured %(measured)s, expected %(expected)s: %(difference)s (%(error)s).") % {
        "measured": size(found.measured),
        "expected": size(found.expected),
        "difference": f"{'+' if found.difference >= 0 else '−'}{size(abs(found.difference))}",
        "error": error(found),
    }


def error(found: Comparison) -> str:
    """How much of the real figure the sum is off, + = too much."""
    return f"{100 * found.error:+.1f} %".replace("-", "−")


def _cache(fit: Fit) -> str:
    wish = fit.wish
    per_token = wish.shape.kv_bytes_per_token(wish.kv_type)
    return _("%(bytes)s bytes a token × %(context)s tokens × %(slots)d, %(type)s") % {
        "bytes": f"{per_token:,}",
        "context": f"{fit.context:,}",
        "slots": wish.slots,
        "type": wish.kv_type,
    }


def _copies(fit: Fit) -> str:
    told = (
        _("its rows can't be parted: kept by all %(ranks)d")
        if fit.wish.shape.mla
        else _("%(heads)d KV heads on %(ranks)d GPUs: each is kept more than once")
    )
    return told % {"ranks": fit.tensor_parallel, "heads": fit.wish.shape.kv_heads}


def _gpu(number: int, share: Share, fit: Fit) -> list[str]:
    about = {
        "number": number,
        "name": share.gpu.name,
        "needed": size(share.needed),
        "budget": size(share.budget),
        "weights": size(share.weights),
        "kv": size(share.kv),
        "layers": share.layers,
        "share": int(100 * utilisation(share.gpu, fit.wish.engine)) if fit.tensor_parallel else 0,
    }
    if fit.tensor_parallel:
        told = _("GPU %(number)d, %(name)s: %(needed)s of %(budget)s (%(share)d %%): weights %(weights)s, cache %(kv)s")
    elif not share.needed:
        told = _("GPU %(number)d, %(name)s: not needed")
    else:
        told = _(
            "GPU %(number)d, %(name)s: %(needed)s of %(budget)s free: "
            "%(layers)d layers, weights %(weights)s, cache %(kv)s"
        )
    return [told % about]
