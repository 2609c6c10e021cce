"""What the site's machine has, line by line: engines that answer, GPUs, programs, the disk. From tables; in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_admin.hosts import hosts, inventory
from models_admin.hosts.inventory import FoundEngine, GpuCard, Inventory
from models_admin.models import Engine, FirstRun, Host
from models_admin.pages.catalogue_view import gibibytes, gigabytes

KINDS = dict(Engine.Kind.choices)
PROGRAMS = {"llama-server": "llama.cpp", "ollama": "Ollama", "vllm": "vLLM", "sglang": "SGLang"}


@dataclass(frozen=True)
class Line:
    """`look` is that of its dot; `can` what may be done: attach (the engine at `url`), add, or nothing."""

    look: str
    name: str
    about: str
    state: str = ""
    can: str = ""
    url: str = ""


def lines(host: Host, run: FirstRun) -> list[Line]:
    """Empty where the machine has not told of itself yet."""
    told = hosts.seen(host)
    if told is None:
        return []
    return [*_engines(host, told, run), *_gpus(told), *_programs(told), *_disk(told), *_silent(host, told)]


def to_attach(host: Host) -> list[FoundEngine]:
    """Engines that answered on a usual port, ask for no key, and are none of the site's yet."""
    return [each for each in hosts.not_attached(host) if not each.wants_key]


def _engines(host: Host, told: Inventory, run: FirstRun) -> Iterator[Line]:
    for engine in host.engines.filter(is_launched=False, is_cloud=False).order_by("pk"):
        name = f"{engine.get_kind_display()} {engine.build}".strip()
        yield Line("warm", name, engine.base_url, _("attached"))
    for each in hosts.not_attached(host):
        name = str(KINDS.get(each.kind, each.kind))
        if run.engine_asked_at and run.engine_url == each.url:
            yield Line("loading", name, each.url, _("being attached"))
        elif each.wants_key:
            yield Line("cold", name, _("%(url)s, asks for a key") % {"url": each.url}, can="add")
        else:
            yield Line("warm", name, each.url, can="attach", url=each.url)


def _gpus(told: Inventory) -> Iterator[Line]:
    for card in told.gpus:
        yield Line("warm", card.name, _card(card, told.driver), _free(card.free_bytes))
    if not told.gpus:
        about = _("small models run on the processor, slowly")
        yield Line("cold", _("No GPU"), about, _free(told.memory_free_bytes))


def _card(card: GpuCard, driver: str) -> str:
    size = gibibytes(card.total_bytes)
    return ", ".join(filter(None, (size, _("driver %(version)s") % {"version": driver} if driver else "")))


def _free(size: int) -> str:
    return _("%(size)s free") % {"size": gibibytes(size)}


def _programs(told: Inventory) -> Iterator[Line]:
    """What this site can start itself; Ollama starts by itself, and is attached."""
    names = [f"{PROGRAMS.get(each.name, each.name)} {each.version}".strip() for each in told.programs]
    if names:
        yield Line("warm", ", ".join(names), "", _("installed"))


def _disk(told: Inventory) -> Iterator[Line]:
    if told.disk_total_bytes and told.disk_free_bytes is not None:
        free = _("%(size)s free") % {"size": gigabytes(told.disk_free_bytes)}
        yield Line("warm", _("Disk of the models"), gigabytes(told.disk_total_bytes), free)


def _silent(host: Host, told: Inventory) -> Iterator[Line]:
    """Kinds of engines of which none is here, in one line."""
    here = {engine.kind for engine in host.engines.all() if not engine.is_launched} | {e.kind for e in told.engines}
    missing = {kind: port for kind, port in inventory.USUAL_PORTS.items() if kind not in here}
    if missing:
        names = ", ".join(str(KINDS[kind]) for kind in missing)
        ports = ", ".join(map(str, missing.values()))
        yield Line("cold", names, _("no answer on %(ports)s") % {"ports": ports}, can="add")
