"""The models a person may ask for, as the picker shows them: state, wait, and what the wish would cost others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db.models import OuterRef, Subquery
from django.utils import formats, timezone
from django.utils.functional import Promise as LazyText
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from accounts import rights
from accounts.models import User
from chat import cold_models, estimating, pace, ready_wishes, thinking_end
from models_admin.backends.capabilities import CAPABILITIES, continuing
from models_admin.engines import access, fleet, rates
from models_admin.engines.access import Access
from models_admin.engines.fleet import DEMO_MODEL
from models_admin.family.sentences import filled
from models_admin.loads import outlook, warm_words
from models_admin.loads.outlook import Look, Outlook, Verdict
from models_admin.models import Deployment, Measurement
from models_admin.pages.catalogue_view import gibibytes
from models_admin.pages.host_view import moment

State = Deployment.State
LOOKS: Final[dict[Verdict, str]] = {
    Verdict.WARM: "warm", Verdict.LOADING: "loading", Verdict.TOO_BIG: "none",
    Verdict.FAILED: "gone", Verdict.QUARANTINED: "gone", Verdict.HOST_GONE: "gone",
}  # fmt: skip
ORDER: Final = ("warm", "loading", "cold", "gone", "none")
WAITS: Final[dict[Verdict, str | LazyText]] = {
    Verdict.WARM: gettext_lazy("ready"),
    Verdict.LOADING: gettext_lazy("loading now"),
    Verdict.FITS: gettext_lazy("loads first"),
    Verdict.AFTER_UNLOADING: gettext_lazy("loads first"),
    Verdict.IN_USE: gettext_lazy("no room now"),
    Verdict.PINNED: gettext_lazy("no room now"),
    Verdict.PULLING: gettext_lazy("being pulled"),
    Verdict.PULL_PAUSED: gettext_lazy("pull paused"),
    Verdict.NOT_PULLED: gettext_lazy("not here yet"),
    Verdict.PULL_FAILED: gettext_lazy("pull failed"),
    Verdict.FAILED: gettext_lazy("failed"),
    Verdict.QUARANTINED: gettext_lazy("failed"),
    Verdict.TOO_BIG: gettext_lazy("does not fit"),
    Verdict.HOST_GONE: gettext_lazy("silent"),
    Verdict.NOT_OURS: gettext_lazy("not ready"),
}
LOADABLE = (Verdict.FITS, Verdict.AFTER_UNLOADING)


@dataclass(frozen=True)
class Can:
    """`goes_on`: behind a text that broke off; `answers_now`: its thought can be ended; `has_effort`: to be chosen."""

    goes_on: bool = False
    answers_now: bool = False
    has_effort: bool = False


@dataclass(frozen=True)
class Model:
    """One model to choose. `look` names the dot of its state, `note` stands under the field where it is chosen.

    `is_wished`: the person will be told when it is ready; `can_wish`: there is something to be told of. `may_ask`: he
    may, at least while it is warm.
    """

    key: str
    name: str
    look: str
    wait: str
    about: str
    note: str
    can_wish: bool = False
    is_wished: bool = False
    is_out_of_reach: bool = False
    is_cloud: bool = False
    always_thinks: bool = False
    may_ask: bool = True
    cost: str = ""
    can: Can = Can()

    @property
    def is_demo(self) -> bool:
        return self.key == DEMO_MODEL


def models(user: User) -> list[Model]:
    """Best state first."""
    rows = Deployment.objects.filter(artifact__model__is_visible=True).select_related("artifact__model", "engine__host")
    if not rights.may_use_cloud(user):
        rows = rows.filter(engine__is_cloud=False)
    by_key: dict[str, list[Deployment]] = {}
    for row in rows.order_by("artifact__model__name", "pk"):
        by_key.setdefault(row.artifact.model.key, []).append(row)
    may = access.of(user)
    words = _Words(outlook.look(), ready_wishes.wished_by(user), may)
    found = [_allowed(words.of(key, mine), may) for key, mine in by_key.items() if may.sees(key)]
    found = _with_costs(user, found)
    return sorted(found, key=lambda model: (not model.may_ask, ORDER.index(model.look)))


def _with_costs(user: User, found: Iterable[Model]) -> list[Model]:
    """What an ordinary answer of each takes: as long as this person's were, else everybody's."""
    models = list(found)
    lengths = estimating.lengths((user.pk, model.key, "auto") for model in models)
    return [
        replace(model, cost=_cost(model, lengths[user.pk, model.key, "auto"].tokens))
        if not model.is_out_of_reach
        else model
        for model in models
    ]


def _cost(model: Model, tokens: int) -> str:
    rate = rates.of_model(model.key) or estimating.NO_RATE
    return gpu_seconds(rate.gpu_ms(prompt_tokens=0, output_tokens=tokens))


def gpu_seconds(gpu_ms: int) -> str:
    """In words; '' for what costs no card."""
    return _("about %(seconds)d GPU s") % {"seconds": max(1, round(gpu_ms / 1000))} if gpu_ms else ""


def _allowed(model: Model, may: Access) -> Model:
    """The same with what this person may do of it in its words."""
    if not may.asks(model.key):
        note = _("You may see this model, not ask it.")
        return replace(
            model,
            look="none",
            wait=_("not for you"),
            note=note,
            about=note,
            can_wish=False,
            is_out_of_reach=True,
            may_ask=False,
        )
    if may.loads(model.key) or not access.costs_a_load(model.key):
        return model
    note = _("You may ask it while it is warm, and it is cold now.")
    return replace(model, wait=_("cold"), note=note, about=note)


def chosen(found: Sequence[Model], key: str) -> Model | None:
    return next((model for model in found if model.key == key), found[0] if found else None)


def sentences(*parts: str) -> str:
    """One after the other, with the blank that the language puts between them."""
    return ("" if _is_chinese() else " ").join(part for part in parts if part)


class _Words:
    """The sentences about each model, from one reading of the tables."""

    def __init__(self, look: Look, wished: frozenset[str], may: Access) -> None:
        self._look, self._wished, self._may = look, wished, may
        self._in_use = fleet.slots_in_use()
        self._people: dict[str, set[int]] = {}
        for each in pace.waiting(timezone.now()):
            self._people.setdefault(each.model, set()).add(each.user)
        self._first_token_ms = _newest_first_token_ms()

    def of(self, key: str, rows: Sequence[Deployment]) -> Model:
        found = self._look.for_model(key)
        if found is None:
            return _of_cloud(key, rows)
        name, about = rows[0].artifact.model.name, self._about(found)
        is_demo = key == DEMO_MODEL
        return Model(
            key=key,
            name=name,
            look=LOOKS.get(found.verdict, "cold"),
            wait=self._wait(found),
            about=_("Our own toy of a million parameters: sums, sorting, counting, a few set pieces.") if is_demo
            else sentences(about, self._context(found)),
            note=_("A demo model: sums, sorting, counting, little else.")
            if is_demo and found.verdict is Verdict.WARM else sentences(about, self._time(found)),
            can_wish=found.verdict not in (Verdict.WARM, Verdict.TOO_BIG),
            is_wished=key in self._wished,
            is_out_of_reach=found.verdict is Verdict.TOO_BIG,
            is_cloud=any(row.engine.is_cloud for row in rows),
            always_thinks=not all(CAPABILITIES[row.engine.kind].thinking_off for row in rows),
            can=_can(rows),
        )  # fmt: skip

    def _about(self, found: Outlook) -> str:
        row = found.deployment
        where = {"host": fleet.shown_name(row.engine.host)}
        match found.verdict:
            case Verdict.WARM:
                return filled(_("Warm on %(host)s."), where)
            case Verdict.LOADING:
                return sentences(_loading(row, where), self._waiting(row.artifact.model.key))
            case Verdict.FITS:
                return filled(_("Cold. There is room for it on %(host)s."), where)
            case Verdict.AFTER_UNLOADING:
                return sentences(_("Cold."), self._unloads(found.unloads))
            case Verdict.PINNED:
                return self._pinned(found, where)
            case Verdict.IN_USE:
                return filled(_("Cold. There is room on %(host)s once the models there have answered."), where)
            case Verdict.TOO_BIG:
                return _too_big(found, where)
            case Verdict.PULLING:
                return filled(_("Its files are on their way to %(host)s."), where)
            case Verdict.PULL_PAUSED:
                return filled(_("The pull of its files to %(host)s is paused. An admin can resume it."), where)
            case Verdict.PULL_FAILED:
                return filled(_("The pull of its files to %(host)s failed. An admin can retry it."), where)
            case Verdict.NOT_PULLED:
                return filled(_("Its files are not on %(host)s yet. An admin can pull them."), where)
            case Verdict.HOST_GONE:
                return filled(_("It is on %(host)s, which is silent."), where)
            case Verdict.FAILED | Verdict.QUARANTINED if outlook.is_loadable(row):
                return sentences(filled(_("It did not get ready on %(host)s."), where), warm_words.reason(row))
        return filled(_("Its engine on %(host)s does not answer."), where)

    def _waiting(self, key: str) -> str:
        count = len(self._people.get(key, ()))
        text = ngettext("One person waits for it.", "%(count)d people wait for it.", count)
        return text % {"count": count} if count else ""

    def _pinned(self, found: Outlook, where: dict[str, str]) -> str:
        host = found.deployment.engine.host_id
        here = [
            row for row in self._look.deployments.values()
            if row.engine.host_id == host and row.state == State.WARM and self._look.is_pinned(row)
        ]  # fmt: skip
        about = {**where, "models": names(here, self._may)}
        if found.pinned_until:
            about["time"] = moment(found.pinned_until)
            return _("Pinned until %(time)s: %(models)s would have to go.") % about
        return filled(_("%(models)s would have to go, and is pinned on %(host)s."), about)

    def _unloads(self, rows: Sequence[Deployment]) -> str:
        """Whom it costs: counted are people of today, the reader's own day."""
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        today = pace.since(midnight).filter(deployment__in=[row.pk for row in rows])
        people = today.values("user").distinct().count()
        about = {"models": names(rows, self._may), "count": people}
        if not people:
            return _("Unloads %(models)s, used by nobody today.") % about
        text = ngettext(
            "Unloads %(models)s, used by one person today.",
            "Unloads %(models)s, used by %(count)d people today.",
            people,
        )
        return text % about

    def _context(self, found: Outlook) -> str:
        count = formats.number_format(found.deployment.context_tokens, force_grouping=True)
        return _("{n} tokens of context.").format(n=count) if found.verdict is Verdict.WARM else ""

    def _wait(self, found: Outlook) -> str:
        row = found.deployment
        if found.verdict is Verdict.WARM and self._in_use.get(row.pk, 0) >= row.slots:
            return _("in line")
        seconds = self._seconds(found)
        return _("about %(seconds)d s") % {"seconds": seconds} if seconds else str(WAITS[found.verdict])

    def _time(self, found: Outlook) -> str:
        """What a question has to reckon with now."""
        seconds = {"seconds": self._seconds(found)}
        if found.verdict is Verdict.WARM:
            return _("First words in about %(seconds)d s.") % seconds if seconds["seconds"] else ""
        if found.verdict is Verdict.LOADING or found.verdict in LOADABLE:
            return _("Ready in about %(seconds)d s, by its last load.") % seconds if seconds["seconds"] else ""
        return "" if found.verdict is Verdict.TOO_BIG else _("What you ask is kept and waits.")

    def _seconds(self, found: Outlook) -> int | None:
        if found.verdict is Verdict.WARM:
            ms = self._first_token_ms.get(found.deployment.pk)
            return max(1, round(ms / 1000)) if ms is not None else None
        return cold_models.seconds_left(found.deployment) if found.verdict in (Verdict.LOADING, *LOADABLE) else None


def _newest_first_token_ms() -> dict[int, int]:
    """By warm deployment: one row of each, however often it was measured."""
    newest = Measurement.objects.filter(deployment=OuterRef("pk"), streams=1).order_by("-at", "-pk")
    warm = Deployment.objects.filter(state=State.WARM).annotate(ms=Subquery(newest.values("first_token_ms")[:1]))
    return dict(warm.filter(ms__isnull=False).values_list("pk", "ms"))


def names(rows: Iterable[Deployment], may: Access) -> str:
    """Of their models; those that this person does not see have none."""
    models = [row.artifact.model for row in rows]
    found = (model.name if model.is_visible and may.sees(model.key) else _("another model") for model in models)
    return ("、" if _is_chinese() else ", ").join(dict.fromkeys(found))


def _loading(row: Deployment, where: dict[str, str]) -> str:
    if row.stage == cold_models.EVICTING:
        return filled(_("Loading on %(host)s, which makes room for it."), where)
    if row.progress is None:
        return filled(_("Loading on %(host)s."), where)
    return filled(_("Loading on %(host)s, %(percent)d %%."), {**where, "percent": row.progress})


def _too_big(found: Outlook, where: dict[str, str]) -> str:
    if found.needs_bytes is None:
        return filled(_("Does not fit on %(host)s."), where)
    return filled(_("Needs %(size)s, more than %(host)s has."), {**where, "size": gibibytes(found.needs_bytes)})


def _of_cloud(key: str, rows: Sequence[Deployment]) -> Model:
    row = next((row for row in rows if row.state == State.WARM), rows[0])
    is_warm = row.state == State.WARM
    return Model(
        key=key,
        name=row.artifact.model.name,
        look="warm" if is_warm else "cold",
        wait=str(WAITS[Verdict.WARM if is_warm else Verdict.NOT_OURS]),
        about=_("Not one of your own machines."),
        note=_("A cloud answers: what you write leaves this site."),
        is_cloud=True,
        always_thinks=not all(CAPABILITIES[row.engine.kind].thinking_off for row in rows),
        can=_can(rows),
    )


def _can(rows: Sequence[Deployment]) -> Can:
    """Any replica goes on with what another one left; which one will answer is not known, so the rest all have to."""
    abilities = [continuing(row.engine.kind, row.artifact.ref) for row in rows]
    return Can(
        goes_on=any("continue_answer" in each for each in abilities),
        answers_now=all(thinking_end.ABILITY in each for each in abilities),
        has_effort=all(CAPABILITIES[row.engine.kind].effort for row in rows),
    )


def _is_chinese() -> bool:
    return (get_language() or "").startswith("zh")
