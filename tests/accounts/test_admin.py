"""What admins do and see in /admin/."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db.models.signals import pre_save
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.views.debug import get_exception_reporter_filter

from accounts import tokens
from accounts.models import ApiToken, LedgerEntry, QuotaLimit, User
from chat import generation
from chat.generation import Ask
from chat.models import Conversation, Generation, Message
from models_admin.engines import fleet, secrets
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

BACKEND = "django.contrib.auth.backends.ModelBackend"
NEW = "another long password"
LISTS = [
    *(
        "accounts_user",
        "accounts_group",
        "accounts_apitoken",
        "accounts_quotalimit",
        "accounts_quotarequest",
        "accounts_ledgerentry",
    ),
    *("chat_conversation", "chat_generation"),
    *("models_admin_host", "models_admin_engine", "models_admin_cataloguemodel", "models_admin_deployment"),
]


@pytest.fixture
def admin(admin_person: User, client: Client) -> Client:
    client.force_login(admin_person, backend=BACKEND)
    return client


@pytest.fixture(params=["web", "api"])
def answered(request: pytest.FixtureRequest, person: User) -> Generation:
    """A person's question, or a script's, with an answer and a machine that could have given it."""
    artifact = Artifact.objects.create(model=CatalogueModel.objects.create(key="m", name="M"), ref="m")
    engine = Engine.objects.create(host=fleet.local_host(), kind="llama.cpp", base_url="http://127.0.0.1:9")
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=10, slots=1)
    # A person's chat is known by how its question begins, and by no more.
    beginning = "How do I add up the first hundred numbers by hand, please? " if request.param == "web" else ""
    wish = Ask(key=uuid.uuid4(), text=f"{beginning}PRIVATE question", model="m", source=request.param)
    made = generation.submit(person, wish)
    Message.objects.filter(pk=made.answer).update(text="PRIVATE answer", thinking="PRIVATE thought")
    return Generation.objects.get(pk=made.generation)


def test_people_are_added_and_can_sign_in(admin: Client) -> None:
    fields = {"username": "new", "password1": NEW, "password2": NEW, "usable_password": "true"}
    assert admin.post("/admin/accounts/user/add/", fields).status_code == 302
    assert Client().post("/signin/", {"username": "new", "password": NEW}).status_code == 302


def test_people_get_a_new_password_and_lose_their_sessions(admin: Client, person: User) -> None:
    browser = Client()
    browser.force_login(person, backend=BACKEND)
    address = reverse("admin:auth_user_password_change", args=[person.pk])
    assert admin.post(address, {"password1": NEW, "password2": NEW}).status_code == 302
    assert browser.get("/password/").status_code == 302
    assert browser.post("/signin/", {"username": "ann", "password": NEW}).status_code == 302


def test_a_token_made_there_is_shown_once_and_works(admin: Client, person: User) -> None:
    page = admin.post("/admin/accounts/apitoken/add/", {"user": person.pk, "name": "build"}).content.decode()
    secret = re.search(r"r1_[\w-]{43}", page)
    assert secret is not None
    found = tokens.authenticate(secret[0])
    assert found is not None and found.user == person
    for address in ("/admin/accounts/apitoken/", f"/admin/accounts/apitoken/{found.pk}/change/", "/admin/"):
        assert secret[0] not in admin.get(address).content.decode()


def test_a_token_revoked_there_is_refused_at_once(admin: Client, person: User) -> None:
    token, secret = tokens.create(person, "build")
    admin.post("/admin/accounts/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    assert tokens.authenticate(secret) is None
    assert ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=False).exists()


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_and_shows_nothing_that_was_said(admin: Client, answered: Generation, name: str) -> None:
    response = admin.get(reverse(f"admin:{name}_changelist"))
    assert response.status_code == 200
    assert "PRIVATE" not in response.content.decode()


def test_the_page_of_a_conversation_and_an_answer_shows_nothing_that_was_said(
    admin: Client, answered: Generation
) -> None:
    assert answered.message is not None
    rows = {"chat_conversation": answered.message.conversation_id, "chat_generation": answered.pk}
    for name, pk in rows.items():
        response = admin.get(reverse(f"admin:{name}_change", args=[pk]))
        assert response.status_code == 200
        assert "PRIVATE" not in response.content.decode()


def test_a_chat_is_found_by_its_title_and_a_scripts_call_is_not(admin: Client, answered: Generation) -> None:
    assert answered.message is not None
    conversation = answered.message.conversation
    is_chat = conversation.source == "web"
    address = reverse("admin:chat_conversation_changelist")
    shown = admin.get(address).content.decode()
    assert ("API call" in shown, conversation.title in shown) == (not is_chat, is_chat)
    found = admin.get(address, {"q": conversation.title.split()[0]}).content.decode()
    assert (str(conversation.pk) in found) == is_chat


def test_stopping_there_reaches_an_answer_in_the_trash(admin: Client, answered: Generation) -> None:
    assert answered.message is not None
    Conversation.objects.filter(pk=answered.message.conversation_id).update(deleted_at=timezone.now())
    address = reverse("admin:chat_generation_changelist")
    fields = {"action": "stop", "_selected_action": [str(answered.pk)]}
    assert "1 answer is being stopped." in admin.post(address, fields, follow=True).content.decode()
    answered.refresh_from_db()
    assert answered.state == "stopped"
    assert "0 answers are being stopped." in admin.post(address, fields, follow=True).content.decode()


def test_a_limit_with_an_unknown_time_zone_is_refused(admin: Client, answered: Generation) -> None:
    limit = {"subject_kind": "everyone", "unit": "requests", "window": "day", "amount": "5"}
    address = "/admin/accounts/quotalimit/add/"
    for zone in ("Berlin", "../etc", "Europe"):
        assert "Unknown time zone" in admin.post(address, limit | {"time_zone": zone}).content.decode()
    assert admin.post(address, limit | {"time_zone": "Europe/Berlin"}).status_code == 302
    generation.submit(answered.user, Ask(key=uuid.uuid4(), text="12+34=?", model="m"))


def test_an_administrator_is_made_and_unmade_by_one_choice(admin: Client, person: User) -> None:
    address = f"/admin/accounts/user/{person.pk}/change/"
    form = admin.get(address).content.decode()
    assert 'name="is_superuser"' in form and 'name="is_staff"' not in form
    browser = Client()
    for choice, status in (({"is_superuser": "on"}, 200), ({}, 302)):
        admin.post(address, {"username": "ann", "is_active": "on", **choice})
        browser.force_login(User.objects.get(pk=person.pk), backend=BACKEND)
        assert browser.get("/admin/accounts/user/").status_code == status


def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(
    admin: Client, answered: Generation, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        user = User.objects.create_user(f"u{number}")
        Conversation.objects.create(user=user, title=str(number))
    for name in LISTS:
        with django_assert_max_num_queries(20):  # type: ignore[operator]
            admin.get(reverse(f"admin:{name}_changelist"))


def test_an_engines_key_goes_in_encrypted_and_never_comes_out(admin: Client) -> None:
    fields = {"host": fleet.local_host().pk, "kind": "openai-compatible", "base_url": "http://10.0.0.5:8000/"}
    admin.post("/admin/models_admin/engine/add/", fields | {"new_key": "sk-very-secret"})
    engine = Engine.objects.get()
    assert "sk-very-secret" not in engine.secret
    assert secrets.decrypt(engine.secret) == "sk-very-secret"
    page = reverse("admin:models_admin_engine_change", args=[engine.pk])
    shown = admin.get(page).content.decode()
    assert "sk-very-secret" not in shown and engine.secret not in shown
    admin.post(page, fields)
    assert Engine.objects.get().secret == engine.secret
    admin.post(page, fields | {"forget_key": "on"})
    assert Engine.objects.get().secret == ""


def test_a_report_of_an_error_leaves_the_key_out(admin: Client) -> None:
    reported: list[str] = []

    def fails(**_: object) -> None:
        raise OSError("the disk is full")

    def report(request: Any, **_: object) -> None:
        reported.append(str(get_exception_reporter_filter(request).get_post_parameters(request)))

    fields = {"host": fleet.local_host().pk, "kind": "vllm", "base_url": "http://h:1", "new_key": "sk-very-secret"}
    pre_save.connect(fails, sender=Engine)
    got_request_exception.connect(report)
    admin.raise_request_exception = False
    try:
        assert admin.post("/admin/models_admin/engine/add/", fields).status_code == 500
    finally:
        pre_save.disconnect(fails, sender=Engine)
        got_request_exception.disconnect(report)
    assert reported and "http://h:1" in reported[0] and "sk-very-secret" not in reported[0]


def test_an_engines_key_does_not_follow_to_another_address(admin: Client) -> None:
    fields = {"host": fleet.local_host().pk, "kind": "openai-compatible", "base_url": "http://10.0.0.5:8000"}
    admin.post("/admin/models_admin/engine/add/", fields | {"new_key": "sk-very-secret"})
    page = reverse("admin:models_admin_engine_change", args=[Engine.objects.get().pk])
    admin.post(page, fields | {"base_url": "http://elsewhere.example:8000"})
    assert Engine.objects.get().base_url == "http://elsewhere.example:8000"
    assert Engine.objects.get().secret == ""


def test_a_staff_member_cannot_raise_himself_or_touch_an_admin(person: User, admin_person: User) -> None:
    from django.contrib.auth.models import Permission

    person.is_staff = True
    person.save()
    person.user_permissions.add(*Permission.objects.filter(content_type__app_label="accounts"))
    browser = Client()
    browser.force_login(person, backend=BACKEND)
    own = f"/admin/accounts/user/{person.pk}/change/"
    browser.post(own, {"username": "ann", "is_active": "on", "is_staff": "on", "is_superuser": "on"})
    assert not User.objects.get(pk=person.pk).is_superuser
    address = reverse("admin:auth_user_password_change", args=[admin_person.pk])
    assert browser.post(address, {"password1": NEW, "password2": NEW}).status_code == 403
    browser.post("/admin/accounts/user/", {"action": "deactivate", "_selected_action": [admin_person.pk]})
    assert User.objects.get(pk=admin_person.pk).is_active


def test_an_administrator_cannot_unmake_himself(admin: Client, admin_person: User) -> None:
    address = f"/admin/accounts/user/{admin_person.pk}/change/"
    for kept in ("is_active", "is_superuser"):
        page = admin.post(address, {"username": admin_person.username, kept: "on"}).content.decode()
        assert "You cannot take this from yourself" in page
    fields = {"action": "deactivate", "_selected_action": [admin_person.pk]}
    page = admin.post("/admin/accounts/user/", fields, follow=True).content.decode()
    assert "You cannot deactivate yourself." in page
    admin.post(f"/admin/accounts/user/{admin_person.pk}/delete/", {"post": "yes"})
    admin.post("/admin/accounts/user/", fields | {"action": "delete_selected", "post": "yes"})
    left = User.objects.get(pk=admin_person.pk)
    assert left.is_active and left.is_superuser


def test_a_limit_is_for_a_person_who_exists(admin: Client, person: User) -> None:
    address = "/admin/accounts/quotalimit/add/"
    limit = {"subject_kind": "user", "unit": "requests", "window": "day", "amount": "5", "time_zone": "UTC"}
    for wrong in ({}, {"user": "999999"}, {"subject_kind": "everyone", "user": person.pk}):
        assert admin.post(address, limit | wrong).status_code == 200
    assert "quotalimit_amount" not in admin.post(address, limit | {"user": person.pk, "amount": "-1"}).content.decode()
    assert not QuotaLimit.objects.exists()
    assert admin.post(address, limit | {"user": person.pk}).status_code == 302
    assert QuotaLimit.objects.get().subject_id == person.pk
    page = admin.get("/admin/accounts/quotalimit/").content.decode()
    assert "5 requests / day" in page and "user ann" in page


def test_the_ledger_names_whoever_still_exists(admin: Client, person: User) -> None:
    row = {"at": timezone.now(), "model_key": "m", "source": "web"}
    LedgerEntry.objects.create(key="1", ledger_id=person.ledger_id, **row)
    assert ">ann<" in admin.get("/admin/accounts/ledgerentry/").content.decode()
    person.delete()
    assert ">ann<" not in admin.get("/admin/accounts/ledgerentry/").content.decode()


def test_a_person_is_deleted_with_all_that_was_said(admin: Client, answered: Generation) -> None:
    address = f"/admin/accounts/user/{answered.user_id}/delete/"
    asked = admin.get(address).content.decode()
    assert "Are you sure" in asked and "PRIVATE" not in asked
    assert admin.post(address, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=answered.user_id).exists() and not Conversation.objects.exists()


def test_a_new_password_is_the_only_choice_there(admin: Client, person: User) -> None:
    page = admin.get(reverse("admin:auth_user_password_change", args=[person.pk])).content.decode()
    assert "password1" in page and "authentication" not in page


def test_whoever_may_not_enter_is_told_so_in_our_words(person: User) -> None:
    browser = Client()
    browser.force_login(person, backend=BACKEND)
    page = browser.get("/admin/", follow=True).content.decode()
    assert "Only administrators come in here." in page and "authenticated as" not in page


def test_the_admin_has_the_look_that_the_person_chose(admin: Client, admin_person: User) -> None:
    User.objects.filter(pk=admin_person.pk).update(theme="dark")
    page = admin.get("/admin/").content.decode()
    assert "css/look_dark.css" in page and "theme-toggle" not in page and "js/theme.js" not in page


@pytest.mark.parametrize("typed", ["http://ollama:11434", "http://ollama:11434/v1/", " http://ollama:11434/ "])
def test_an_engine_may_have_the_name_of_a_service_and_is_stored_in_one_form(admin: Client, typed: str) -> None:
    fields = {"host": fleet.local_host().pk, "kind": "ollama", "base_url": typed}
    admin.post("/admin/models_admin/engine/add/", fields)
    assert Engine.objects.get().base_url == "http://ollama:11434"


@pytest.mark.parametrize(
    "typed", ["http://u:p@h:1", "http://:key@h:1", "http://h:1?key=k", "ftp://h", "h:1", "http://h:0"]
)
def test_what_is_no_address_or_would_show_a_key_is_refused(admin: Client, typed: str) -> None:
    fields = {"host": fleet.local_host().pk, "kind": "ollama", "base_url": typed}
    assert "Not an address." in admin.post("/admin/models_admin/engine/add/", fields).content.decode()
    assert not Engine.objects.exists()


def test_the_deepseek_api_is_a_cloud_whatever_the_box_says(admin: Client) -> None:
    fields = {"host": fleet.local_host().pk, "kind": "deepseek", "base_url": "https://api.example"}
    admin.post("/admin/models_admin/engine/add/", fields)
    assert Engine.objects.get().is_cloud
