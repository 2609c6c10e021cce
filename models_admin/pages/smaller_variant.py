"""Where a model does not fit on a host: the largest smaller files of its family that do. From tables, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models_admin.family import catalogue
from models_admin.loads.outlook import Verdict
from models_admin.models import Artifact, Host
from models_admin.pages import fit_lines
from models_admin.pages.catalogue_view import ENGINES
from models_admin.pages.fit_lines import Board

FITTING = (Verdict.FITS, Verdict.AFTER_UNLOADING)


@dataclass(frozen=True)
class Smaller:
    """Files that fit there, with the context (tokens) and the answers at once of the wish, as far as they read."""

    artifact: Artifact
    context: int
    slots: int

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.artifact.model.name, self.artifact.quantisation)))


def smaller_of_family(than: Artifact) -> tuple[Artifact, ...]:
    """Largest first; () where the size is not known. Only models of the list have a Plan to go to."""
    rows = Artifact.objects.filter(source__in=ENGINES, bytes__lt=than.bytes or 0).select_related("model")
    return tuple(row for row in rows.order_by("-bytes", "pk") if catalogue.first_of((row.model.key, row.ref)))


def fitting(board: Board, candidates: Sequence[Artifact], host: Host, *, context: int, slots: int) -> Smaller | None:
    for each in candidates:
        card = catalogue.first_of((each.model.key, each.ref))
        reads = min(context, card.context) if card else context
        if fit_lines.kind_on(each, host):
            found = board.of_files(each, host, reads, slots)
            if found.verdict in FITTING and fit_lines.is_known(found):
                return Smaller(each, reads, slots)
    return None
