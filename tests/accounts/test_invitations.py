"""Invitations: made by an admin, opened by whoever has the link, over when places or days are."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from accounts import invitations
from accounts.models import Group, Invitation, User
from tests.accounts.racing import race

BACKEND = "django.contrib.auth.backends.ModelBackend"
PASSWORD = "a long enough password"
ADD = "/admin/accounts/invitation/add/"


def form(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "password1": password, "password2": password}


@pytest.fixture
def admin(admin_person: User, client: Client) -> Client:
    client.force_login(admin_person, backend=BACKEND)
    return client


def made(admin: Client, **fields: object) -> str:
    """The path of a link that an admin makes."""
    page = admin.post(ADD, {"people": 20, "days": 7, "group": "", **fields}).content.decode()
    found = re.search(r"http://testserver(/join/[\w-]{43}/)<", page)
    assert found, page
    return found[1]


def test_an_admins_link_lets_a_stranger_sign_up_into_a_group(admin: Client) -> None:
    group = Group.objects.create(name="course")
    link = made(admin, group=group.pk, people=2)
    stranger = Client()
    assert "You were invited" in stranger.get(link).content.decode()
    answer = stranger.post(link, form("li"))
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert stranger.get("/models/").status_code == 200
    person = User.objects.get(username="li")
    assert (person.main_group, person.is_staff, person.is_superuser) == (group, False, False)
    assert Client().post("/signin/", {"username": "li", "password": PASSWORD}).status_code == 302
    seen = admin.get("/admin/accounts/invitation/").content.decode()
    assert 'class="field-uses_left">1<' in seen and 'class="field-made_by">' in seen
    assert link.split("/")[2] not in seen + Invitation.objects.get().digest


@pytest.mark.parametrize("change", [{"uses_left": 0}, {"expires_at": F("created_at") - timedelta(seconds=1)}, None])
def test_a_link_that_is_over_says_so_and_makes_nobody(admin: Client, change: dict[str, object] | None) -> None:
    link = made(admin)
    if change is None:
        pk = Invitation.objects.get().pk
        admin.post(f"/admin/accounts/invitation/{pk}/delete/", {"post": "yes"})
    else:
        Invitation.objects.update(**change)
    for answer in (Client().get(link), Client().post(link, form("late"))):
        assert answer.status_code == 404 and "This invitation no longer works" in answer.content.decode()
    assert not User.objects.filter(username="late").exists()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (form("root"), "already exists"),
        (form("new", "12345678"), "common"),
        (form("a\x00b"), "Null characters|valid username"),
        (form("../../etc; rm"), "valid username"),
        (form("n" * 10_000), "at most 150"),
        ({**form("new"), "is_superuser": "on", "password2": "other"}, "match"),
        ({}, "required"),
    ],
)
def test_what_cannot_be_used_is_said_and_takes_no_place(admin: Client, fields: dict[str, str], why: str) -> None:
    link = made(admin, people=1)
    answer = Client().post(link, fields)
    assert answer.status_code == 200 and re.search(why, answer.content.decode())
    assert Invitation.objects.get().uses_left == 1 and User.objects.count() == 1


def test_a_made_up_link_opens_nothing(db: None) -> None:
    for token in ("x", "x" * 10_000, "%00", "..%2f..", "'%20or%201=1"):
        assert Client().get(f"/join/{token}/").status_code == 404


def test_who_is_signed_in_gets_no_second_account(admin: Client) -> None:
    link = made(admin, people=1)
    assert "You are signed in as root" in admin.post(link, form("second")).content.decode()
    assert Invitation.objects.get().uses_left == 1 and User.objects.count() == 1


def test_only_who_may_add_invitations_makes_them(admin: Client, person: User) -> None:
    browser = Client()
    User.objects.filter(pk=person.pk).update(is_staff=True)
    browser.force_login(person, backend=BACKEND)
    assert browser.post(ADD, {"people": 20, "days": 7}).status_code == 403
    for people, days in ((0, 7), (-1, 7), (1001, 7), (20, 0), (20, 366), ("many", 7)):
        assert admin.post(ADD, {"people": people, "days": days}).status_code == 200
    assert not Invitation.objects.exists()


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_eight_for_the_last_place_one_gets_it() -> None:
    token = invitations.make(by="root", people=1).path.split("/")[2]
    got = race(lambda n: invitations.accept(token, username=f"u{n}", password=PASSWORD), threads=8)
    assert len([person for person in got if person]) == 1 == User.objects.count()
    assert Invitation.objects.get().uses_left == 0


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_eight_that_want_one_name_one_gets_it_and_the_others_keep_their_place() -> None:
    link = invitations.make(by="root").path
    pages = race(lambda _n: Client().post(link, form("li")), threads=8)
    assert sorted(page.status_code for page in pages) == [200] * 7 + [302]
    assert Invitation.objects.get().uses_left == invitations.PEOPLE - 1
