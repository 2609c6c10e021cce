"""What the site knows of its hosts: each agent's last word, and who has fallen silent."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from models_admin.engines import engine_address, fleet
from models_admin.hosts import inventory
from models_admin.hosts.inventory import LOOK_SECONDS, FoundEngine, Inventory
from models_admin.models import Host

GONE_SECONDS = 30
assert GONE_SECONDS >= 3 * LOOK_SECONDS
FLOOD = "flood"
LEFT = "left"
_CUT_OFF = {
    LEFT: gettext_lazy("stopped there; it is back as soon as it is started again"),
    FLOOD: gettext_lazy("cut off: it filled the site's Redis. Once it is mended, let it join again with a new code"),
}


def note(host_name: str, told: Inventory) -> None:
    """Keep an agent's word. A host that nobody knows any more stays unknown, and one that was cut off gone."""
    heard = Host.objects.filter(name=host_name, cut_off__in=["", LEFT])
    heard.update(inventory=inventory.to_json(told), seen_at=Now(), cut_off="")


def note_left(host_name: str) -> None:
    """Its agent was stopped: it is gone at once, until it speaks again."""
    Host.objects.filter(name=host_name, cut_off="").update(cut_off=LEFT)


def note_local(told: Inventory) -> None:
    note(fleet.local_host().name, told)


def with_silence() -> QuerySet[Host]:
    """All hosts, each with `is_gone`: cut off, stopped, or it has spoken once and not for 30 s by the database's clock.

    One that never spoke is not gone, but new, or has no agent.
    """
    is_gone = Case(When(_is_silent(), then=Value(True)), default=Value(False), output_field=BooleanField())
    return Host.objects.annotate(is_gone=is_gone).order_by("pk")


def gone() -> QuerySet[Host]:
    """Those that have spoken once and not for 30 s, and those that were cut off or stopped."""
    return Host.objects.filter(_is_silent())


def _is_silent() -> Q:
    return Q(seen_at__lt=Now() - timedelta(seconds=GONE_SECONDS)) | ~Q(cut_off="")


def why_cut_off(host: Host) -> str:
    """A sentence; '' where it was not."""
    return str(_CUT_OFF.get(host.cut_off, host.cut_off))


def seen(host: Host) -> Inventory | None:
    """Its agent's last word."""
    return inventory.from_json(host.inventory)


def not_attached(host: Host) -> list[FoundEngine]:
    """What answers on that machine and is no engine of it here yet, at the address where the site finds it."""
    told = seen(host)
    known = {_place(engine.base_url) for engine in host.engines.all()}
    found = [msgspec.structs.replace(each, url=_from_here(each.url, host)) for each in (told.engines if told else ())]
    return [each for each in found if _place(each.url) not in known]


def _from_here(url: str, host: Host) -> str:
    """An agent finds engines on its own loopback, which from the site's machine is another one."""
    if not host.address:
        return url
    name = f"[{host.address}]" if ":" in host.address else host.address
    return urlsplit(url)._replace(netloc=f"{name}:{urlsplit(url).port}").geturl()


def _place(url: str) -> str:
    return (engine_address.one_form(url) or url).replace("://localhost:", "://127.0.0.1:")
