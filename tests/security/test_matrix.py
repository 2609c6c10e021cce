"""Who gets what at every address. A route without a row here fails."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts import tokens
from accounts.models import User
from chat.models import Conversation
from tests.security import routes

BACKEND = "django.contrib.auth.backends.ModelBackend"
ACTORS = ("nobody", "owner", "stranger", "admin")
PUBLIC = ("ok", "ok", "ok", "ok")
SIGNED_IN = ("sign in", "ok", "ok", "ok")
OWN = ("sign in", "ok", "not found", "not found")
ADMIN_ONLY = ("sign in", "not found", "not found", "ok")
GONE = ("not found",) * 4
KEY_ONLY = ("no key",) * 4
# A machine's address: it takes a code out of JSON, and no cookie counts there.
CODE_ONLY = ("400",) * 4


@dataclass(frozen=True)
class Row:
    """What nobody, the owner, another person and an admin get; `fields` make it a POST."""

    outcomes: tuple[str, str, str, str]
    fields: dict[str, str] | None = None
    arguments: dict[str, str] = field(default_factory=dict)


MATRIX = {
    "healthz": Row(PUBLIC),
    "livez": Row(PUBLIC),
    "join-host": Row(CODE_ONLY, {}),
    "signin": Row(PUBLIC),
    "signout": Row(PUBLIC, {}),
    "password": Row(SIGNED_IN),
    "setup": Row(GONE, arguments={"token": "unknown"}),
    "first-run": Row(ADMIN_ONLY),
    "first-run-live": Row(ADMIN_ONLY),
    "join": Row(GONE, arguments={"token": "unknown"}),
    "language": Row(PUBLIC, {"language": "en"}),
    "theme": Row(SIGNED_IN, {"theme": "dark"}),
    "new-chat": Row(SIGNED_IN),
    "conversations": Row(SIGNED_IN),
    "models": Row(SIGNED_IN),
    "choices": Row(SIGNED_IN),
    "others": Row(SIGNED_IN),
    "foretold": Row(SIGNED_IN),
    "ready": Row(SIGNED_IN),
    "wish-ready": Row(("sign in", "not found", "not found", "not found"), {"model": "unknown"}),
    "forget-ready": Row(SIGNED_IN, {"model": "unknown"}),
    "limits": Row(SIGNED_IN),
    "ask-for-more": Row(("sign in", "not found", "not found", "not found"), {"limit": "0"}),
    "read-answer": Row(SIGNED_IN, {"request": "0"}),
    "box": Row(SIGNED_IN),
    "box-live": Row(SIGNED_IN),
    "usage": Row(SIGNED_IN),
    "usage-csv": Row(SIGNED_IN),
    "conversation": Row(OWN),
    "thread": Row(OWN),
    "rename": Row(OWN, {"title": "new"}),
    "local-only": Row(OWN, {"on": "1"}),
    "delete": Row(OWN, {}),
    "restore": Row(OWN, {}),
    "version": Row(OWN, {"message": "leaf"}),
    "api-models": Row(KEY_ONLY),
    "api-model": Row(KEY_ONLY, arguments={"key": "m"}),
    "api-chat-completions": Row(KEY_ONLY, {}),
    "api-nothing": Row(GONE),
}


def test_every_route_has_a_row() -> None:
    assert sorted(routes.names()) == sorted(MATRIX)


@pytest.mark.parametrize("name", sorted(MATRIX))
@pytest.mark.parametrize("actor", ACTORS)
def test_each_actor_gets_what_the_matrix_says(name: str, actor: str, owner: User, conversation: Conversation) -> None:
    if name == "restore":
        Conversation.objects.update(deleted_at=timezone.now())
    row = MATRIX[name]
    response = _ask(_browser(actor, owner), name, row, conversation)
    assert _outcome(response) == row.outcomes[ACTORS.index(actor)]


@pytest.mark.parametrize("name", sorted(name for name, row in MATRIX.items() if row.outcomes == OWN))
def test_anothers_conversation_looks_like_one_that_never_was(
    name: str, owner: User, conversation: Conversation
) -> None:
    browser, row = _browser("stranger", owner), MATRIX[name]
    foreign = _ask(browser, name, row, conversation)
    missing = _ask(browser, name, row, Conversation(active_leaf=conversation.active_leaf))
    assert (foreign.status_code, _steady(foreign)) == (missing.status_code, _steady(missing))
    assert foreign.status_code == 404


@pytest.mark.parametrize(
    "name",
    sorted(
        name for name, row in MATRIX.items() if row.fields is not None and row.outcomes not in (KEY_ONLY, CODE_ONLY)
    ),
)
def test_a_form_from_another_site_changes_nothing(name: str, owner: User, conversation: Conversation) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner, backend=BACKEND)
    assert _ask(browser, name, MATRIX[name], conversation).status_code == 403


@pytest.mark.parametrize("actor", ["nobody", "stranger"])
def test_the_admin_is_closed_to_everybody_else(actor: str, owner: User) -> None:
    browser = _browser(actor, owner)
    for name in sorted(set(routes.names(admin=True)) - {"admin:login", "admin:logout", "admin:jsi18n"}):
        response = browser.get(_admin_address(name))
        is_sent_away = response.status_code in (301, 302) and "/admin/login/" in response["Location"]
        assert is_sent_away or response.status_code == 404, name


@pytest.mark.django_db(transaction=True)
def test_a_key_opens_the_script_door_and_nothing_else(owner: User, conversation: Conversation) -> None:
    _token, secret = tokens.create(owner, "t")
    script = Client(headers={"Authorization": f"Bearer {secret}"})
    for name, row in MATRIX.items():
        if name.startswith("api-") and row.fields is None:
            assert _ask(script, name, row, conversation).status_code in (200, 404)
        elif row.outcomes in (SIGNED_IN, OWN):
            assert _outcome(_ask(script, name, row, conversation)) == "sign in", name


def _browser(actor: str, owner: User) -> Client:
    browser = Client()
    if actor == "owner":
        browser.force_login(owner, backend=BACKEND)
    elif actor == "stranger":
        browser.force_login(User.objects.create_user("stranger"), backend=BACKEND)
    elif actor == "admin":
        browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return browser


def _ask(browser: Client, name: str, row: Row, conversation: Conversation) -> HttpResponse:
    about = {"conversation_id": conversation.pk} if name in OWNED else row.arguments
    address = reverse(name, kwargs=about)
    if row.fields is None:
        return browser.get(address)
    leaf = str(conversation.active_leaf_id)
    return browser.post(address, {key: leaf if value == "leaf" else value for key, value in row.fields.items()})


OWNED = frozenset(name for name, row in MATRIX.items() if row.outcomes == OWN)


def _outcome(response: HttpResponse) -> str:
    if response.status_code == 302 and response["Location"].startswith("/signin/?next="):
        return "sign in"
    known = {200: "ok", 204: "ok", 302: "ok", 503: "ok", 401: "no key", 404: "not found"}
    return known.get(response.status_code, str(response.status_code))


def _steady(response: HttpResponse) -> str:
    """The page without its own address and its form key, which is masked anew each time."""
    return re.sub(r'name="(csrfmiddlewaretoken|next)" value="[^"]+"', "", response.content.decode())


def _admin_address(name: str) -> str:
    for arguments in ([], ["1"], ["1", "1"]):
        try:
            return reverse(name, args=arguments)
        except NoReverseMatch:
            continue
    return "/admin/unknown/"
