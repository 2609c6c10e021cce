"""Hosts for terminals and scripts: one row each, from tables only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from models_admin.hosts import hosts
from models_admin.hosts.inventory import Inventory
from models_admin.models import Host

State = Literal["here", "gone", "not_seen"]


@dataclass(frozen=True)
class HostRow:
    """`address` '' = it shares the site's machine, or never joined. `cut_off` is a sentence, '' = it was not."""

    name: str
    state: State
    address: str
    seen_at: str | None
    told: Inventory | None
    cut_off: str = ""

    @property
    def shown_state(self) -> str:
        return {"here": _("here"), "gone": _("gone"), "not_seen": _("not seen yet")}[self.state]

    def for_programs(self) -> dict[str, Any]:
        """Sizes in bytes, None where the host never told."""
        told = self.told
        return {
            "name": self.name,
            "state": self.state,
            "address": self.address,
            "seen_at": self.seen_at,
            "cut_off": self.cut_off,
            "memory_total_bytes": told.memory_total_bytes if told else None,
            "disk_free_bytes": told.disk_free_bytes if told else None,
            "gpus": [card.name for card in told.gpus] if told else [],
        }


def all_hosts() -> list[HostRow]:
    return [_row(host, host.is_gone) for host in hosts.with_silence()]  # type: ignore[attr-defined]


def _row(host: Host, is_gone: bool) -> HostRow:
    state: State = "gone" if is_gone else "here" if host.seen_at else "not_seen"
    seen_at = host.seen_at.isoformat() if host.seen_at else None
    return HostRow(host.name, state, host.address, seen_at, hosts.seen(host), hosts.why_cut_off(host))
