"""What the page of one model shows in the admin: what is known of it, where it would fit, where it runs."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family.expected_memory import Comparison
from models_admin.fit.memory_fit import USUAL_CONTEXT
from models_admin.models import CatalogueModel, Deployment
from models_admin.pages import catalogue_view, memory_words

# Marks of states; what is not named has the one of a cold model.
LOOKS = {"warm": "fits", "failed": "no", "starting": "unload", "quarantined": "unload", "draining": "unload"}


def known(model: CatalogueModel) -> dict[str, Any]:
    card = catalogue_view.card_of(model)
    return {
        "card": card,
        "plans": catalogue_view.plans(model, catalogue_view.machines()),
        "changed": catalogue_view.changed(model),
        "parameters": catalogue_view.parameters(card) if card else "",
        "context_tokens": catalogue_view.number(card.context) if card else "",
        "assumed_tokens": catalogue_view.number(USUAL_CONTEXT),
        "sizes": [(size, catalogue_view.gigabytes(size.bytes)) for size in card.sizes] if card else [],
        "deployed": _deployed(model),
        "can_plan": any(each.source in catalogue_view.ENGINES for each in model.artifacts.all()),
    }


def _deployed(model: CatalogueModel) -> list[dict[str, Any]]:
    rows = catalogue_view.deployments(model)
    memory = {row.pk: found for row, found in catalogue_view.memory(rows)}
    return [_deployment(row, memory.get(row.pk)) for row in rows]


def _deployment(row: Deployment, memory: Comparison | None) -> dict[str, Any]:
    found = {
        "row": row,
        "place": fleet.place_of(row.engine),
        "look": LOOKS.get(row.state, "cold"),
        "context": catalogue_view.number(row.context_tokens),
    }
    if row.measured_bytes:
        found["known"] = _("%(size)s measured") % {"size": catalogue_view.gibibytes(row.measured_bytes)}
    elif row.expected_bytes:
        found["known"] = _("%(size)s reckoned, not measured") % {"size": catalogue_view.gibibytes(row.expected_bytes)}
    if memory is not None:
        found["expected"] = catalogue_view.gibibytes(memory.expected)
        found["measured"] = catalogue_view.gibibytes(memory.measured)
        found["error"] = memory_words.error(memory)
    return found
