"""What the page of models shows: the family's cards, and which of them this site offers now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import formats
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.models import User
from chat import picker
from models_admin.engines import access, fleet
from models_admin.engines.fleet import DEMO_MODEL
from models_admin.family import catalogue
from models_admin.family.catalogue import Card, Source
from models_admin.family.sentences import listed
from models_admin.models import CatalogueModel, Deployment

State = Deployment.State


@dataclass(frozen=True)
class Here:
    """A model that people may ask for on this site. `look` names the dot of its state; context in tokens."""

    key: str
    name: str
    look: str
    state: str
    places: str
    context: str
    is_cloud: bool
    about: str = ""
    can_wish: bool = False
    is_wished: bool = False
    may_ask: bool = True

    @property
    def is_demo(self) -> bool:
        return self.key == DEMO_MODEL


@dataclass(frozen=True)
class Offer:
    """A card, what this site has of it, or both: a model that is none of the family has no card."""

    card: Card | None
    here: Here | None

    @property
    def name(self) -> str:
        return self.here.name if self.here else self.card.name if self.card else ""

    @property
    def parameters(self) -> str:
        if self.card is None:
            return ""
        active = self.card.active_parameters
        if active == self.card.parameters:
            return _count(active)
        return _("{all}, {active} active").format(all=_count(self.card.parameters), active=_count(active))

    @property
    def size(self) -> str:
        if self.card is None:
            return ""
        size = self.card.download
        places = 1 if size.bytes < 1e11 else 0  # number_format cuts off, so round first
        text = f"{formats.number_format(round(size.bytes / 1e9, places), decimal_pos=places)} GB"
        return text if size.is_exact else _("about {size}").format(size=text)

    @property
    def context(self) -> str:
        return formats.number_format(self.card.context, force_grouping=True) if self.card else ""

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(dict.fromkeys(figure.source for figure in self.card.figures)) if self.card else ()


def offers(user: User) -> tuple[list[Offer], list[Offer]]:
    """What this site offers, ready ones first and the largest of them on top; and the rest of the family."""
    here = sorted(_offered(user), key=lambda offer: (_ORDER[offer.here.look] if offer.here else 0, -_weight(offer)))
    known = {offer.card for offer in here}
    return here, [Offer(card, None) for card in catalogue.cards() if card not in known]


_ORDER = {"warm": 0, "loading": 1, "cold": 2}


def _weight(offer: Offer) -> int:
    return offer.card.parameters if offer.card else 0


def _offered(user: User) -> Iterable[Offer]:
    rows = Deployment.objects.filter(artifact__model__is_visible=True).select_related("artifact__model", "engine__host")
    found: dict[CatalogueModel, list[Deployment]] = {}
    for row in rows.order_by("pk"):
        found.setdefault(row.artifact.model, []).append(row)
    choices, may = {each.key: each for each in picker.models(user)}, access.of(user)
    for model, deployments in found.items():
        if not may.sees(model.key):
            continue
        here = _here(model, deployments, choices.get(model.key))
        yield Offer(None if here.is_cloud else _card(model, deployments), here)


def _card(model: CatalogueModel, deployments: list[Deployment]) -> Card | None:
    return catalogue.first_of([model.key, *(row.artifact.ref for row in deployments)])


def _here(model: CatalogueModel, deployments: list[Deployment], choice: picker.Model | None) -> Here:
    """`choice` is what the picker says of it to this reader, None where he may not ask for it."""
    states = {row.state for row in deployments}
    look = "warm" if State.WARM in states else "loading" if State.STARTING in states else "cold"
    best = [row for row in deployments if row.state == State.WARM] or deployments
    context = max(row.context_tokens for row in best)
    return Here(
        key=model.key,
        name=model.name,
        look=look,
        state={"warm": _("ready"), "loading": _("starting"), "cold": _("not ready")}[look],
        places=listed(dict.fromkeys(fleet.place_of(row.engine) for row in best)),
        context=formats.number_format(context, force_grouping=True),
        is_cloud=all(row.engine.is_cloud for row in deployments),
        about=choice.note if choice and (choice.can_wish or not choice.may_ask) else "",
        can_wish=bool(choice and choice.can_wish),
        is_wished=bool(choice and choice.is_wished),
        may_ask=choice is None or choice.may_ask,
    )


def _count(parameters: int) -> str:
    """33 B, or 328 亿: Chinese counts in units of 10^8."""
    if (get_language() or "").startswith("zh"):
        return f"{parameters / 1e8:.0f} 亿"
    return f"{parameters / 1e9:.0f} B" if parameters >= 99.5e9 else f"{parameters / 1e9:.1f} B"
