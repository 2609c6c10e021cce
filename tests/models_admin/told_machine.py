"""The site's own machine as its agent would have told of it, for whoever sets it up."""

from __future__ import annotations

from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.hosts.inventory import FoundEngine, GpuCard, Inventory, Program
from models_admin.models import Engine

GIB, GB = 2**30, 10**9
OLLAMA = "http://127.0.0.1:11434"


def tell(*gib: int, engines: tuple[FoundEngine, ...] = (), programs: tuple[str, ...] = (), disk: int = 900) -> None:
    """This machine, with cards of so many GiB and so many GB of disk free."""
    fleet.local_host()
    cards = tuple(GpuCard("RTX 6000 Ada", size * GIB, size * GIB) for size in gib)
    told = Inventory(64 * GIB, 40 * GIB, 1000 * GB, disk * GB, "580.95", cards, tuple(map(Program, programs)), engines)
    hosts.note_local(told)


def attached(url: str = OLLAMA) -> Engine:
    return Engine.objects.create(host=fleet.local_host(), kind="ollama", base_url=url, build="0.14.1")
